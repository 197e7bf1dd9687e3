"""Network resources of a cloud at OVHcloud.

The vRack mark, IP block routing, reverse DNS and the DNS record.

It offers `observe_outside`, `plan_outside` and `perform_outside`; it must not call OpenNebula.
"""
