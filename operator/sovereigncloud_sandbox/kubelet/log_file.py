"""Log files of containers, in the format of container runtimes (CRI): `TIME STREAM TAG text`, tag P for part of a line."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_STREAM = b"stdout"  # a container's streams come as one
_FULL, _PART = b"F", b"P"


async def record(reader: asyncio.StreamReader, log: Path) -> None:
    """Write what comes, line by line with its time, until the end of it."""
    with log.open("ab", buffering=0) as opened:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    opened.write(_entry(error.partial, _PART))
                return
            except asyncio.LimitOverrunError as error:
                opened.write(_entry(await reader.readexactly(error.consumed), _PART))
            else:
                opened.write(_entry(line[:-1], _FULL))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `kubectl logs` asks for."""

    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str], now: datetime) -> "Wanted":
        """From the query of /containerLogs. Raises ValueError."""
        since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
        if "sinceSeconds" in query:
            since = now - timedelta(seconds=int(query["sinceSeconds"]))
        tail = int(query["tailLines"]) if "tailLines" in query else None
        return cls(tail, since, query.get("timestamps") == "true")

    def start(self, entries: list[bytes]) -> list[bytes]:
        """Of what is there, the part to begin with."""
        if self.tail is None:
            return entries
        return entries[-self.tail :] if self.tail else []

    def shown(self, entry: bytes) -> bytes:
        """One entry as a person sees it, empty for one that is too old."""
        time, text = told(entry)
        if self.since and datetime.fromisoformat(time.decode()) < self.since:
            return b""
        return time + b" " + text if self.timestamps else text


def told(entry: bytes) -> tuple[bytes, bytes]:
    """Time and text of an entry; the text ends with its line."""
    time, _, rest = entry.partition(b" ")
    _, tag, text = rest.split(b" ", 2)
    return time, text if tag == _FULL else text.removesuffix(b"\n")


def text_of(log: Path) -> str:
    """All that a container said in one run."""
    with log.open("rb") as opened:
        return b"".join(told(entry)[1] for entry in opened).decode(errors="replace")


def _entry(text: bytes, tag: bytes) -> bytes:
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
    return b" ".join((time, _STREAM, tag, text)) + b"\n"
