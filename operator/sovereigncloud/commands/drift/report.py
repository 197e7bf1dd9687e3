"""Everything that drifted, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.resource_graph import ResourceGraph

Json = dict[str, Any]

NONE, DRIFTED = 0, 2
"""Exit codes; 1 is an error."""


@dataclass(frozen=True, slots=True)
class DriftLine:
    """A field of an object in which reality differs from what is declared."""

    key: Key
    path: str
    desired: str
    observed: str
    action: str
    since: str

    @property
    def counts(self) -> bool:
        """Whether it is drift to anybody: what driftPolicy ignores is shown, and that is all."""
        return self.action != "Ignored"

    def as_json(self) -> Json:
        """The names of status.drift."""
        return {
            "kind": self.key.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
            "path": self.path,
            "desired": self.desired,
            "observed": self.observed,
            "action": self.action,
            "since": self.since or None,
        }


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What was looked through.

    Attributes:
        lines: by object, in the order of status.
        looked: objects whose status speaks of drift.
        unknown: objects of which nobody knows: reality was not compared with their present spec yet.
    """

    lines: tuple[DriftLine, ...]
    looked: int
    unknown: tuple[Key, ...]

    @property
    def exit_code(self) -> int:
        return DRIFTED if any(line.counts for line in self.lines) else NONE

    @property
    def drifted(self) -> int:
        """Objects with drift that counts."""
        return len({line.key for line in self.lines if line.counts})

    def as_json(self) -> Json:
        """With stable keys."""
        return {
            "format": 1,
            "result": "Drifted" if self.exit_code else "InSync",
            "exitCode": self.exit_code,
            "items": [line.as_json() for line in self.lines],
            "notCompared": [{"kind": k.kind, "namespace": k.namespace, "name": k.name} for k in self.unknown],
        }


def drift_report(resource_graph: ResourceGraph, keys: Iterable[Key]) -> DriftReport:
    """Of these objects."""
    lines: list[DriftLine] = []
    unknown: list[Key] = []
    looked = 0
    for key in keys:
        resource = resource_graph.get(key)
        drifted = resource.status.condition("Drifted") if resource else None
        if resource is None or drifted is None or drifted.status == "Unknown":
            unknown.append(key)
        else:
            looked += 1
        entries = resource.status.drift if resource else None
        lines += [DriftLine(key, e.path, e.desired, e.observed, e.action, e.since) for e in entries or ()]
    return DriftReport(tuple(lines), looked, tuple(unknown))
