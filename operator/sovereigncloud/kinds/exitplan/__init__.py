"""ExitPlan: estimate, rehearse or execute the exit from a cloud or a provider.

It offers the controller. It must not call OpenNebula to change anything: it only creates InstanceMigrations.
"""
