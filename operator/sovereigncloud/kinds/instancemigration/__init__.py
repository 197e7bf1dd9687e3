"""InstanceMigration: copies a VM to another cloud and cuts its instance over to the copy.

It offers the controller, the pre-flight checks and the marketplace selection. It must not know ExitPlans beyond the
reference in its own spec, nor how other kinds are reconciled.
"""
