"""The mark on a vRack, which several clouds may share: each has a tag of its own, so that no two write the same one.

The installation is written by whoever comes first and stays until the last cloud has gone; a vRack that another installation
marked is used and left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.core.identity import OVH_INSTALLATION, Mark
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.ports.ovh.account import VrackView

USED_BY = "sovereigncloud.io/used-by/"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkVrack(Step):
    only_marks: ClassVar[bool] = True

    urn: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmarkVrack(Step):
    urn: str
    keys: frozenset[str]


def used_by(mark: Mark) -> str:
    """The key of a cloud's own tag. A name may be longer than a key, so it is told by the value; another UID, after a
    rebuilt cluster, is the same cloud.
    """
    return USED_BY + hashlib.sha256(f"{mark.installation} {mark.object}".encode()).hexdigest()[:16]


def is_ours(tags: Mapping[str, str], mark: Mark) -> bool:
    """Whether the vRack is used by this installation before any other."""
    return tags.get(OVH_INSTALLATION) == mark.installation


def plan_vrack_mark(vrack: VrackView, mark: Mark) -> Plan:
    """Write what is missing."""
    if vrack.tags.get(OVH_INSTALLATION, mark.installation) != mark.installation:
        return Plan()
    wanted = {used_by(mark): mark.object, OVH_INSTALLATION: mark.installation}
    missing = tuple((key, value) for key, value in wanted.items() if vrack.tags.get(key) != value)
    if not missing:
        return Plan()
    step = MarkVrack(action=Action.UPDATE, target=f"mark of vRack {vrack.name}", urn=vrack.urn, tags=missing)
    return Plan(steps=(step,))


def plan_vrack_release(vrack: VrackView, mark: Mark) -> Plan:
    """Take the cloud's own tag off, and the installation's with the last."""
    own = used_by(mark)
    if own not in vrack.tags:
        return Plan()
    others = any(key.startswith(USED_BY) and key != own for key in vrack.tags)
    keys = {own} if others or not is_ours(vrack.tags, mark) else {own, OVH_INSTALLATION}
    step = UnmarkVrack(
        action=Action.DELETE,
        target=f"mark of vRack {vrack.name}",
        fields=("spec.deletionPolicy",),
        urn=vrack.urn,
        keys=frozenset(keys),
    )
    return Plan(steps=(step,))
