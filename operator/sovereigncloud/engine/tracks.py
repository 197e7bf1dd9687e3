"""What the engine remembers of an object beside the store: when it wrote for it, and what it must still tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sovereigncloud.api.base import Key, Resource

# OpenNebula keeps no machine name unique, so a lost answer could lead to a second machine; every other object that is
# made has a name that its API refuses a second time.
_NAMES_NOT_UNIQUE = frozenset({"HostedInstance"})
MAX_REPEATS = 6
"""So often in a row may the same steps be done without reality following, before a person is asked."""


@dataclass(slots=True)
class Track:
    """One object.

    Attributes:
        uid: a new uid under the same name starts anew.
        trust_after: only a view that began after this (monotonic seconds) is believed.
        attempted: whether this process wrote outside for it.
        facts: ids that a write brought and that are not in status yet.
        repeats: how often in a row the steps with this hash were done.
        asked: the last reconcile-requested-at that was seen.
    """

    uid: str
    trust_after: float = float("-inf")
    attempted: bool = False
    facts: dict[str, str] = field(default_factory=dict)
    repeated: str = ""
    repeats: int = 0
    asked: str = ""

    def stuck(self, digest: str) -> bool:
        """Whether these steps were done too often in a row without effect."""
        return self.repeated == digest and self.repeats >= MAX_REPEATS

    def did(self, digest: str) -> None:
        """These steps were done without an error."""
        self.repeats = self.repeats + 1 if digest == self.repeated else 1
        self.repeated = digest


class Tracks:
    """Tracks by key."""

    def __init__(self, *, started: float, grace: float) -> None:
        self._started, self._grace = started, grace
        self._tracks: dict[Key, Track] = {}

    def of(self, resource: Resource[Any, Any]) -> Track:
        """The track of an object, made anew for a new uid."""
        known = self._tracks.get(resource.key)
        if known is None or known.uid != resource.metadata.uid:
            known = Track(resource.metadata.uid)
            if resource.finalized and not resource.external and resource.crd.kind in _NAMES_NOT_UNIQUE:
                # A finalizer without an id: a create may be under way since before this process started.
                known.trust_after = self._started + self._grace
            self._tracks[resource.key] = known
        return known

    def forget(self, key: Key) -> None:
        self._tracks.pop(key, None)
