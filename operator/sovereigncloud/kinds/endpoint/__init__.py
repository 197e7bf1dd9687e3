"""Finds a SovereignCloud's OpenNebula endpoint: reference, address, credentials Secret, certificate.

Offers endpoint, front-end and reference lookups to all kinds; it does not know what they do in the cloud.
"""
