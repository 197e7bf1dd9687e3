"""Network part of a VM's plan, with steps and status: NICs, addresses, security groups.

This package changes NICs only; it must not know disks or hosts of a VM, and never changes a network or a security group.
"""
