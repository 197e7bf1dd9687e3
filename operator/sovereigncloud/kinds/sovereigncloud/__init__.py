"""The kind SovereignCloud.

Plans, steps and status of a whole cloud, from its servers to its endpoint.

It offers `controller.SovereignCloudController`; it must not import the kinds that run in a cloud: instances, migrations,
exit plans, tenants.
"""
