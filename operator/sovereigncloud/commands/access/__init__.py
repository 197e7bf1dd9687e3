"""SSH and console access to instances: `sovereign ssh` and `sovereign console`. It only reads the cluster and must not
know OpenNebula's API.
"""
