"""Network part of a VM's plan, with its steps and status: NICs, their addresses and security groups.

This package changes NICs only; it must not know disks or hosts of a VM, and never changes a network or a security group.
"""
