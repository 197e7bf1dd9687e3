"""`sovereign plan`: a dry run of the operator's own planning on manifests or applied objects. Writes go to memory; it
must not change anything.
"""
