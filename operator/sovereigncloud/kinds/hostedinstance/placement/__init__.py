"""Placement of a VM: choice of cloud and cluster, free capacity, quota, eviction and relocation.

It offers the choice to new VMs, migrations and failovers. It must not create or change VMs, other than by requesting
a migration.
"""
