"""Informer cache: the store of watched objects, and indexes and audits computed from it.

It must not know the loop, the views or the telemetry.
"""
