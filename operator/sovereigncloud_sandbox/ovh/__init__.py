"""A simulator of the parts of the OVHcloud API that the operator drives: signed REST and OAuth2, state, tasks, faults.

Reply bodies validate against OVHcloud's own schema (tests/contract/test_ovh_simulator_schema.py). Where that schema is
silent - error texts, states of an asynchronous answer - the wording here is invented, and says so.
"""
