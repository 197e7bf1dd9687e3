"""`sovereign describe`: one object with its relations, causes of waiting and next actions. It reads the cluster only
and must not contact a cloud.
"""
