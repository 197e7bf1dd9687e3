"""Storage part of a VM's plan, with its steps and status: root and data disks, backups, snapshots, restores.

This package must not know the CPU, hosts or NICs of a VM; the plan of the instance combines it with those parts.
"""
