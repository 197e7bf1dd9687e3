"""`sovereign pause`, `resume`, `reconcile` and `release`: annotations and finalizers of objects. It must not know
external resources or contact a cloud.
"""
