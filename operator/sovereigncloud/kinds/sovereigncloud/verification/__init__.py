"""Verification runs of a cloud.

Checks, test VMs, the validation Job and the condition Verified.

It offers `with_verification` and `verification_fields`; it must not change anything that spec declares.
"""
