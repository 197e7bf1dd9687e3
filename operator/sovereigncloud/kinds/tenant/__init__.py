"""Reconciles Tenant: group, VDC, quota, image permissions and users in each of its clouds.

Offers the controller; it does not know how instances or security groups use the tenancy.
"""
