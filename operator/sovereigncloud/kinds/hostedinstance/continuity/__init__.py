"""Continuity of a VM: copies, failover readiness, failover, and fencing of superseded VMs.

It offers these to the HostedInstance controller and to migrations. It must not carry out a migration itself.
"""
