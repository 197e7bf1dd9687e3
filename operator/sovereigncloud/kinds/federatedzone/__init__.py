"""The kind FederatedZone.

Membership, settings and replication of a zone in an OpenNebula federation.

It offers `controller.FederatedZoneController`; it must not import the kinds that run in a cloud.
"""
