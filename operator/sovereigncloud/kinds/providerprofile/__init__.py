"""Reconciles ProviderProfile: validates it, reports expired certificates and counts its users.

Offers the controller; it changes nothing outside of Kubernetes and does not know how policies judge a profile.
"""
