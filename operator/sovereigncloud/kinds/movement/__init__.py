"""Records shared by instances, migrations and exits: notes on VMs, requests, placement overrides.

It offers their formats and parsers. It must not know how a migration is carried out.
"""
