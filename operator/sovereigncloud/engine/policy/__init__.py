"""Policy index: which sovereignty policies apply to what, and which objects a policy-related change affects.

It reads the cache only and must not know the loop or the views, which call it.
"""
