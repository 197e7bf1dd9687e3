"""Reconcile loop: queue, evaluation, execution of steps, sweeps, finalizers and the context of controllers.

It must not know Kopf, the adapters or any specific kind beyond the contracts in `kinds`.
"""
