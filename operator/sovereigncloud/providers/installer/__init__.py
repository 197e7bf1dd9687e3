"""Installer adapter: runs OpenNebula's own playbooks (one-deploy) in Kubernetes Jobs, one per cloud at a time.

It offers `JobInstaller`, the implementation of `ports.installer`; it must not know the engine or the commands.
"""
