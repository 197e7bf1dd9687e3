"""Compute part of a VM's plan, with its steps: capacity, CPU model, PCI devices, power, hosts, VM group, recovery.

This package must not know disks, NICs or how a VM is created; the plan of the instance combines it with those parts.
"""
