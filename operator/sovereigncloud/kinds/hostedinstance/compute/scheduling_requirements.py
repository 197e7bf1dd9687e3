"""SCHED_REQUIREMENTS: the expression that limits hosts or the cluster of a VM."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sovereigncloud.ports.opennebula.views import Host

# By id: host names are free text, and the expression cannot escape a quote.
_OPERATOR_PART = re.compile(r"\((?:ID = \d+(?: \| ID = \d+)*|CLUSTER_ID = \d+)\)")
_PINNED = re.compile(r"\(CLUSTER_ID = (\d+)\)")


def requirements(found: str, listed: Iterable[Host], cluster: int | None = None) -> str:
    """Return the requirement for these hosts, else for this cluster, else the existing one.

    Requirements of a template or a person are kept and combined with it.
    """
    numbers = sorted(host.id for host in listed)
    if not numbers and cluster is None:
        return found
    ours = f"({' | '.join(f'ID = {number}' for number in numbers)})" if numbers else f"(CLUSTER_ID = {cluster})"
    rest = _other_requirements(found.strip())
    return f"{ours} & ({rest})" if rest else ours


def _other_requirements(found: str) -> str:
    match = _OPERATOR_PART.match(found)
    if match is None:
        return found
    rest = found[match.end() :].strip()
    if rest.startswith("& (") and rest.endswith(")"):
        return rest[3:-1]
    return found if rest else ""  # somebody made our expression part of another one


def pinned_cluster(found: str) -> int | None:
    """Return the cluster id that the requirement pins the VM to, if any."""
    match = _PINNED.match(found.strip())
    return int(match.group(1)) if match is not None else None
