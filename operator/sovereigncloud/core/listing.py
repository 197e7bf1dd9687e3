"""Lists of names in messages, cut after a number of entries."""

from __future__ import annotations

from collections.abc import Iterable


def format_list(names: Iterable[str], limit: int = 10) -> str:
    """Join names for a message: the first `limit` of them, then "and N more"."""
    found = list(names)
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + more
