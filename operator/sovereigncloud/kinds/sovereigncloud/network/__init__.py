"""Network resources of a cloud at OVHcloud.

The vRack mark, IP block routing, reverse DNS and the DNS record.

It offers `observe_provider_network`, `plan_provider_network` and `perform_network`; it must not call OpenNebula.
"""
