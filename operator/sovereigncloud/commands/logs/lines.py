"""The operator's log lines about one object. Pure."""

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
    """One entry.

    Attributes:
        time: as it was written.
        message: with the lines that follow it, of a traceback.
        fields: whatever else the entry says, a trace id for example.
        raw: the line as it came.
    """

    time: str
    level: str
    message: str
    raw: str
    fields: Json

    def as_json(self) -> Json:
        """As the JSON log names them."""
        return {"time": self.time, "level": self.level, "message": self.message, **self.fields}


class About:
    """Picks the lines about an object, of a log in JSON (the chart's default) or in text.

    A line names its object as "HostedInstance platform/web"; in text it ends with that in brackets. What belongs to an
    entry in text and has no time of its own, a traceback, is kept with it.
    """

    def __init__(self, key: Key) -> None:
        self._named, self._mark = str(key), f" [{key}]"
        self._wanted = False

    def pick(self, line: str) -> LogLine | None:
        """The entry that the line is, or None."""
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
    """The lines about an object."""
    picks = About(key)
    yield from (found for line in lines if (found := picks.pick(line)) is not None)
