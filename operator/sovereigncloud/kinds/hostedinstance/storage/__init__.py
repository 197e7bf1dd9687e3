"""Storage part of a VM's plan, with steps and status: disks, backups, snapshots, restores.

This package must not know the CPU, hosts or NICs of a VM; the plan of the instance combines it with those parts.
"""
