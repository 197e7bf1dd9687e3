"""Compute part of a VM's plan, with its steps: capacity, devices, power, hosts, recovery.

This package must not know disks, NICs or how a VM is created; the plan of the instance combines it with those parts.
"""
