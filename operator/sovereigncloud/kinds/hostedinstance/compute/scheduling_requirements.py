"""SCHED_REQUIREMENTS: what the scheduler of OpenNebula is told of where a machine may be."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sovereigncloud.ports.opennebula.views import Host

# By id: a host's name is free text, and the expression has no way to quote a quote.
_OURS = re.compile(r"\((?:ID = \d+(?: \| ID = \d+)*|CLUSTER_ID = \d+)\)")
_PINNED = re.compile(r"\(CLUSTER_ID = (\d+)\)")


def requirements(found: str, listed: Iterable[Host], cluster: int | None = None) -> str:
    """For these hosts, else for this cluster; what a template or a person demands beside that is kept. Of neither: as found."""
    numbers = sorted(host.id for host in listed)
    if not numbers and cluster is None:
        return found
    ours = f"({' | '.join(f'ID = {number}' for number in numbers)})" if numbers else f"(CLUSTER_ID = {cluster})"
    rest = _beside_ours(found.strip())
    return f"{ours} & ({rest})" if rest else ours


def _beside_ours(found: str) -> str:
    match = _OURS.match(found)
    if match is None:
        return found
    rest = found[match.end() :].strip()
    if rest.startswith("& (") and rest.endswith(")"):
        return rest[3:-1]
    return found if rest else ""  # ours was made a part of something else


def pinned_cluster(found: str) -> int | None:
    """The cluster that it was placed in, where the scheduler was told."""
    match = _PINNED.match(found.strip())
    return int(match.group(1)) if match is not None else None
