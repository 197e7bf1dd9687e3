"""OpenNebula hosts of a hosted cloud: registration, draining and removal.

It offers plans and steps per host; it must not call OVHcloud or delete servers.
"""
