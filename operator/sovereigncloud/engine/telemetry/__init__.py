"""Telemetry: metrics, traces, logs, events and redaction of secrets.

It must not know the store, the views or the loop; they report to it.
"""
