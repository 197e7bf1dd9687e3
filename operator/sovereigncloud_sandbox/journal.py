"""Request log of a simulator: the latest requests and counters, for tests, demo and bench."""

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and its answer.

    `route` is the path with its parameters replaced by their names; `status` is 0 where the connection was closed
    without an answer; `at` is seconds since the epoch, `seconds` how long the client waited.
    """

    number: int
    at: float
    account: str
    method: str
    path: str
    route: str
    status: int
    seconds: float
    faults: tuple[str, ...] = ()


class Journal:
    """The newest `keep` requests, and counters over all since the last reset. Safe from any thread."""

    def __init__(self, keep: int = 20_000) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._number = 0

    def record(
        self,
        *,
        method: str,
        path: str,
        route: str,
        status: int,
        started: float,
        account: str = "",
        faults: tuple[str, ...] = (),
    ) -> None:
        """Note a request that has been answered; `started` is the value of time.monotonic() when it arrived."""
        seconds = time.monotonic() - started
        with self._lock:
            self._number += 1
            self._counts[method, route] += 1
            at = time.time() - seconds
            entry = Entry(self._number, at, account, method, path, route, status, round(seconds, 6), faults)
            self._entries.append(entry)

    def entries(self, since: int = 0) -> list[Entry]:
        """The requests with a number greater than `since`, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > since]

    def count(self, method: str | None = None, route: str | None = None) -> int:
        """How many requests since the last reset, of one method, of one route."""
        with self._lock:
            return sum(
                number
                for (one, where), number in self._counts.items()
                if method in (None, one) and route in (None, where)
            )

    def writes(self) -> int:
        """How many requests since the last reset were no GET."""
        return self.count() - self.count("GET")

    def counts(self) -> dict[str, int]:
        """Requests by "METHOD route"."""
        with self._lock:
            return {f"{method} {route}": number for (method, route), number in sorted(self._counts.items())}

    def report(self, since: int = 0) -> dict[str, Any]:
        """The log as JSON."""
        return {
            "total": self.count(),
            "writes": self.writes(),
            "counts": self.counts(),
            "entries": [asdict(entry) for entry in self.entries(since)],
        }

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._number = 0
