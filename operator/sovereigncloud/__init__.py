"""Sovereign clouds as custom resources: declared, observed, planned, performed, proven."""

__version__ = "0.1.0"
