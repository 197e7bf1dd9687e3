"""Generic operator engine: informer store, workqueue, reconcile loop, sweeps, leader election and telemetry.

It drives the controllers of `kinds` through `ports`; it must not know the commands, the adapters or the sandbox.
"""
