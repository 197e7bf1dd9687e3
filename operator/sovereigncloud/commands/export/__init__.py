"""`sovereign export`: manifests that adopt existing resources of OVHcloud and OpenNebula. It must not write to any
API.
"""
