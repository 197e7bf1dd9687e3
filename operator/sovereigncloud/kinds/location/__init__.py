"""Location facts of clouds, clusters, VMs, images and marketplaces, for sovereignty policies.

It offers pure functions on status. It must not evaluate policies.
"""
