"""Fencing: whether the VMs of a lost cloud are certainly stopped; outage tolerance.

It offers pure functions on resources. It must not call a cloud or power anything off.
"""
