"""OVHcloud permissions: the API calls of each feature and the IAM actions they require.

Offers the operation table, the required permissions of an object and IAM policies; it does not call OVHcloud.
"""
