"""`sovereign tree`: the ownership tree, once or as a live view. It reads the cluster only and must not contact a
cloud.
"""
