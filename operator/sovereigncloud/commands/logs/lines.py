"""Selection of log lines about an object. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sovereigncloud.api.common.base import Key

Json = dict[str, Any]
_TEXT = re.compile(r"^(?P<time>\d{4}-\d\d-\d\d[ T][0-9:,.+Z]+) (?P<level>[A-Z]+) (?P<message>.*)$")
_KNOWN = ("time", "level", "logger", "message", "object")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log entry."""

    time: str
    level: str
    message: str
    raw: str
    fields: Json

    def as_json(self) -> Json:
        """Return the entry with the keys of the JSON log."""
        return {"time": self.time, "level": self.level, "message": self.message, **self.fields}


class About:
    """Selects lines about an object from JSON logs (the chart's default) or text logs."""

    def __init__(self, key: Key) -> None:
        self._named, self._mark = str(key), f" [{key}]"
        self._wanted = False

    def pick(self, line: str) -> LogLine | None:
        """Return the entry of the line if it is about the object, else None."""
        if line.startswith("{"):
            return self._json(line)
        found = _TEXT.match(line)
        if found is None:
            return LogLine("", "", line, line, {}) if self._wanted and line.strip() else None
        # The mark is at the end of the message, and a traceback comes in lines after it.
        self._wanted = line.endswith(self._mark)
        if not self._wanted:
            return None
        return LogLine(found["time"], found["level"], found["message"].removesuffix(self._mark), line, {})

    def _json(self, line: str) -> LogLine | None:
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        self._wanted = False
        if not isinstance(entry, dict) or entry.get("object") != self._named:
            return None
        fields = {name: value for name, value in entry.items() if name not in _KNOWN}
        return LogLine(
            str(entry.get("time", "")), str(entry.get("level", "")), str(entry.get("message", "")), line, fields
        )


def about(lines: Iterable[str], key: Key) -> Iterator[LogLine]:
    """Return the selector for an object's log lines."""
    picks = About(key)
    yield from (found for line in lines if (found := picks.pick(line)) is not None)
