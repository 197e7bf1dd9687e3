"""Adapters that implement the ports: Kubernetes, OpenNebula, OVHcloud, SSH and the installer Jobs.

Only the wiring names them; they must not know the engine or the commands.
"""
