"""Creation of a VM: plan, source, initial placement, cloud-init, OpenNebula template.

This package must not change an existing VM, except its name, its labels, and its replacement when spec.source changes.
"""
