"""What is remembered of one-time requests of a zone, on the zone's own template, where the master keeps it:

SOVEREIGNCLOUD_FEDERATION  <change>:<word>:requested:<unix>  from before the Job is made until it is known to exist
                           <change>:<word>:begun:<unix>
SOVEREIGNCLOUD_FEDERATION_WORDS  digests of the words that were carried out
SOVEREIGNCLOUD_NUDGE       <unix>:<index>  when a slave that stayed behind was last given a record to catch up with, and what
                           the master had by then
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
    """A request. `at`: seconds since the epoch; `begun`: its Job is known to have been made."""

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
    """Whether a word was carried out before."""
    return _digest(change, word) in notes.get(WORDS_NOTE, "").split(".")


def words_with(notes: Mapping[str, str], change: Change, word: str) -> str:
    """The note about words that were carried out, with one more."""
    known = [one for one in notes.get(WORDS_NOTE, "").split(".") if one]
    return ".".join(dict.fromkeys((*known, _digest(change, word))))


def _digest(change: Change, word: str) -> str:
    return hashlib.sha256(f"{change} {word}".encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Nudge:
    """`at`: seconds since the epoch, 0: never; `index`: a slave that has it was helped."""

    at: int = 0
    index: int = -1

    @property
    def text(self) -> str:
        return f"{self.at}:{self.index}"


def last_nudge(notes: Mapping[str, str]) -> Nudge:
    """The last record that a slave was given."""
    at, _, index = notes.get(NUDGE_NOTE, "").partition(":")
    return Nudge(int(at), int(index)) if at.isdigit() and index.lstrip("-").isdigit() else Nudge()
