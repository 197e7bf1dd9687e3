"""Records of one-time requests in the template of a zone at the master.

SOVEREIGNCLOUD_FEDERATION  <change>:<word>:requested:<unix>  from before the Job is created until it is known to exist
                           <change>:<word>:begun:<unix>
SOVEREIGNCLOUD_FEDERATION_WORDS  digests of the requests that were carried out
SOVEREIGNCLOUD_NUDGE       <unix>:<index>  when a record was last written to make a lagging slave catch up, and the index
                           of the master by then
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.ports.installer.federation import Change

RECORD_NOTE = "SOVEREIGNCLOUD_FEDERATION"
WORDS_NOTE = "SOVEREIGNCLOUD_FEDERATION_WORDS"
NUDGE_NOTE = "SOVEREIGNCLOUD_NUDGE"
_REQUESTED, _BEGUN = "requested", "begun"


@dataclass(frozen=True, slots=True)
class Record:
    """A recorded request. `at`: seconds since the epoch; `begun`: its Job is known to exist."""

    change: Change
    word: str
    at: int
    begun: bool = False

    @property
    def text(self) -> str:
        return f"{self.change}:{self.word}:{_BEGUN if self.begun else _REQUESTED}:{self.at}"


def read_record(notes: Mapping[str, str]) -> Record | None:
    change, _, rest = notes.get(RECORD_NOTE, "").partition(":")
    word, stage, at = ([*rest.rsplit(":", 2), "", ""])[:3]
    if change not in set(Change) or stage not in {_REQUESTED, _BEGUN} or not at.isdigit():
        return None
    return Record(Change(change), word, int(at), stage == _BEGUN)


def was_used(notes: Mapping[str, str], change: Change, word: str) -> bool:
    """Tell whether a request was carried out before."""
    return _digest(change, word) in notes.get(WORDS_NOTE, "").split(".")


def words_with(notes: Mapping[str, str], change: Change, word: str) -> str:
    """Return the value of WORDS_NOTE after one more request."""
    known = [one for one in notes.get(WORDS_NOTE, "").split(".") if one]
    return ".".join(dict.fromkeys((*known, _digest(change, word))))


def _digest(change: Change, word: str) -> str:
    return hashlib.sha256(f"{change} {word}".encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Nudge:
    """A record written for a lagging slave.

    `at`: epoch seconds, 0: never; `index`: slave index if it helped.
    """

    at: int = 0
    index: int = -1

    @property
    def text(self) -> str:
        return f"{self.at}:{self.index}"


def last_nudge(notes: Mapping[str, str]) -> Nudge:
    """Read the last nudge from the attributes of a zone."""
    at, _, index = notes.get(NUDGE_NOTE, "").partition(":")
    return Nudge(int(at), int(index)) if at.isdigit() and index.lstrip("-").isdigit() else Nudge()
