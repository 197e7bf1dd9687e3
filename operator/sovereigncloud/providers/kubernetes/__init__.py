"""Kubernetes adapter: API server sessions of the operator and of the commands.

It must not know the engine or the commands.
"""
