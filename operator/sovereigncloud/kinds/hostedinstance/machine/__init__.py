"""Contract of the parts of a VM's plan: their input and result, and what they share.

Base steps, requests, retry counters, capacity and identity live here. This package must not know the steps of a single
part (compute, storage, network), nor the order of the parts in the plan.
"""
