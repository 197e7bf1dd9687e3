"""Files generated from the code: CRDs, RBAC rules, user roles, dashboard and reference pages. It must not know a
cluster or a provider session.
"""
