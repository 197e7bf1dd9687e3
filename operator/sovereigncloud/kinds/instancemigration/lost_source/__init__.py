"""Migration from a lost cloud: recreate the VM from a copy, fence the superseded one.

It must not call the lost cloud before that is reachable again.
"""
