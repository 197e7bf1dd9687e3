"""Views of external systems: periodic reads of clouds and accounts, their clients, host keys and latency.

The loop reads them; they must not know the loop or the policies.
"""
