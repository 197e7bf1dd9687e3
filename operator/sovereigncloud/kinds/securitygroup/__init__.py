"""Reconciles SecurityGroup: firewall rules in each cloud, and groups resolved by name.

Offers the controller and the name lookup; it does not know how a NIC is built.
"""
