"""When a day has passed. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_AFTER_MIDNIGHT = 1.0


def until_tomorrow(now: datetime) -> float:
    """Seconds until the next day begins (UTC), and a moment more."""
    here = now.astimezone(UTC)
    tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - here).total_seconds() + _AFTER_MIDNIGHT
