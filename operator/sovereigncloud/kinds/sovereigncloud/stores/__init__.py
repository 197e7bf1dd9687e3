"""Marketplaces and backup datastores that `spec.stores` declares.

Observation, plan and steps.

It offers `observe_stores`, `plan_stores`, `perform_store`; it must not know how the rest of the cloud is planned.
"""
