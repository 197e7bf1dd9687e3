"""Guests that really run, independent of what oned reports: tests use it to exclude a second copy.

A hypervisor's process needs its server's power, and nothing else: not its oned, and not a line to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sovereigncloud_sandbox.opennebula import contents

if TYPE_CHECKING:
    from sovereigncloud_sandbox.opennebula.cloud import Cloud
    from sovereigncloud_sandbox.opennebula.model import Host, Vm


@dataclass(slots=True)
class Run:
    """A guest ran on a host: since when, until when; None: it still does."""

    vm: Vm
    host: str
    start: float
    end: float | None = None


def host_of(cloud: Cloud, vm: Vm) -> Host | None:
    """The host on which a machine stands, or stood last."""
    return cloud.hosts.get(vm.last.hid) if vm.last is not None else None


def runs(cloud: Cloud, vm: Vm) -> bool:
    """Whether its process is there."""
    host = host_of(cloud, vm)
    return host is not None and host.powered and not vm.dead and (vm.wild or contents.guest_runs(vm))


def note(cloud: Cloud, vm: Vm, moment: float) -> None:
    """Something happened to a machine at this moment."""
    last = cloud.runs.get(vm.oid, [])
    open_ = last[-1] if last and last[-1].end is None else None
    host = host_of(cloud, vm)
    if not runs(cloud, vm):
        if open_ is not None:
            open_.end = max(moment, open_.start)
    elif open_ is None and host is not None:
        cloud.runs.setdefault(vm.oid, []).append(Run(vm, host.name, moment))
    elif open_ is not None and host is not None:
        open_.host = host.name


def copies(clouds: Iterable[Cloud], attribute: str, value: str) -> list[tuple[Cloud, Run]]:
    """Every run of a machine whose USER_TEMPLATE has this mark, anywhere, over and under way."""
    found: list[tuple[Cloud, Run]] = []
    for cloud in clouds:
        cloud.advance()
        for some in cloud.runs.values():
            found += [(cloud, one) for one in some if one.vm.user_template.get(attribute) == value]
    return found


def most(found: Iterable[tuple[Cloud, Run]]) -> int:
    """How many of them ran at the same time, at worst."""
    changes = [change for _, one in found for change in ((one.start, 1), (one.end or float("inf"), -1))]
    count = worst = 0
    for _, change in sorted(changes):  # who ends when another begins is gone: -1 sorts first
        count += change
        worst = max(worst, count)
    return worst
