"""Reconciles BareMetalServer: order, adopt, reinstall, fence and release OVHcloud servers.

Offers the controller and the identity helpers; it does not know how clouds, instances or migrations use the servers.
"""
