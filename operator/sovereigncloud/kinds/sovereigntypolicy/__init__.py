"""Reconciles SovereigntyPolicy: status, conflicts with other policies, admission bindings.

Offers the controller and the bindings; it does not know how placement or migration apply a policy.
"""
