"""Where each part of a cloud is: country, data center and the source of that fact.

It offers `observe_locations` and `locate`; it reports facts only and must not evaluate policies.
"""
