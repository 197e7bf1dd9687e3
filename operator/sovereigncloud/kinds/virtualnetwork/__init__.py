"""Reconciles VirtualNetwork: creates, adopts, reserves and updates a network in one cloud.

Offers the controller and lease lookups; it does not know how a NIC is built or where an instance runs.
"""
