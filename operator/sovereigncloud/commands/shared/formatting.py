"""Numbers with their nouns. Pure.

Durations as Go and kubectl write them. Pure.
"""

from __future__ import annotations

import re

from sovereigncloud.commands.shared.errors import CommandError


def counted(number: int, noun: str) -> str:
    """1 field, 2 fields."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """90s, 1m30s, 500ms in seconds. Raises CommandError."""
    parts = _PARTS.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise CommandError(f"{duration} is no duration: write for example 90s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
