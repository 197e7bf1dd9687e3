"""Template attributes as OpenNebula takes them: nested mappings of text."""

from __future__ import annotations

from collections.abc import Mapping

Attributes = Mapping[str, "str | Attributes | list[Attributes]"]
"""A template as nested values; the adapter writes it safely quoted in OpenNebula's XML form."""
