"""Clusters, hosts and datastores that spec declares, and the clusters of Edge sites.

It offers `plan_parts`, `perform_part` and `plan_sites`; it must not call OVHcloud or know how OpenNebula is installed.
"""
