"""How much room the clusters of a cloud have: what their hosts have, less what machines take and what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.placement import NOTHING, Demand, Room
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import pinned_cluster
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import MONITORED
from sovereigncloud.ports.opennebula.views import CloudView, Host, Vm

PlaceT = TypeVar("PlaceT")
_KIB = 1024  # oned counts a host's memory in KiB, a machine's in MiB
_IMAGES, _SYSTEM = 0, 1
_UNPLACED = frozenset({0, 1, 2, 10, 11})
"""States in which a machine has no host yet and is to get one: INIT, PENDING, HOLD, CLONING, CLONING_FAILURE."""


@dataclass(frozen=True, slots=True)
class ClusterRoom:
    """Of one cluster; see `core.placement.Candidate`."""

    hosts: frozenset[str] = frozenset()
    rooms: tuple[Room, ...] = ()
    cpu: int = 0
    memory: int = 0
    promised: Demand = NOTHING
    system: int | None = None
    images: int | None = None


def clusters_with_hosts(view: CloudView) -> tuple[int, ...]:
    """The clusters in which a machine can run."""
    return tuple(sorted({host.cluster_id for host in view.hosts.values()}))


@dataclass(frozen=True, slots=True)
class _Load:
    """What the machines of a view take: on each host, and in a cluster (None: in any) without being on a host yet. `seen`:
    whose they are.
    """

    hosts: Mapping[str, tuple[int, int]]
    waiting: Mapping[int | None, tuple[int, int]]
    seen: frozenset[str]


_loads: dict[Key, tuple[tuple[CloudView, _Load], ...]] = {}
_VIEWS = 2
"""Of a cloud that are kept: as it was read, and as a sweep is given it."""
_CLOUDS = 64


def rooms_of(cloud: Key, view: CloudView, reservations: Iterable[Reservation]) -> Mapping[int, ClusterRoom]:
    """By cluster."""
    load = _load_of(cloud, view)
    promised: dict[int | None, tuple[int, int]] = dict(load.waiting)
    for promise in reservations:
        if promise.object not in load.seen:
            _add(promised, promise.cluster, promise.demand.cpu, promise.demand.memory)
    anywhere = promised.get(None, (0, 0))
    found: dict[int, ClusterRoom] = {}
    for number in clusters_with_hosts(view):
        hosts = [h for h in sorted(view.hosts.values(), key=lambda h: h.id) if h.cluster_id == number]
        works = [h for h in hosts if h.state in MONITORED]
        own = promised.get(number, (0, 0))
        found[number] = ClusterRoom(
            hosts=frozenset(h.name for h in hosts),
            rooms=tuple(_room(host, load) for host in works),
            cpu=sum(h.max_cpu for h in works),
            memory=sum(h.max_memory // _KIB for h in works),
            promised=Demand(own[0] + anywhere[0], own[1] + anywhere[1]),
            system=_free(view, number, _SYSTEM),
            images=_free(view, number, _IMAGES),
        )
    return found


def _load_of(cloud: Key, view: CloudView) -> _Load:
    """Each machine of the cloud is looked at once for a view, however many are to be placed."""
    kept = _loads.get(cloud, ())
    known = next((load for one, load in kept if one is view), None)
    if known is None:
        if len(_loads) >= _CLOUDS:
            _loads.clear()
        known = _counted(view)
        _loads[cloud] = ((view, known), *kept)[:_VIEWS]
    return known


def _counted(view: CloudView) -> _Load:
    hosts: dict[str, tuple[int, int]] = {}
    waiting: dict[int | None, tuple[int, int]] = {}
    for vm in view.vms.values():
        if vm.host:
            _add(hosts, vm.host, _hundredths(vm), vm.memory)
        elif vm.state in _UNPLACED:
            _add(waiting, pinned_cluster(vm.requirements), _hundredths(vm), vm.memory)
    return _Load(hosts, waiting, frozenset(vm.mark.object for vm in view.vms.values() if vm.mark is not None))


def _room(host: Host, load: _Load) -> Room:
    cpu, memory = load.hosts.get(host.name, (0, 0))
    return Room(host.name, host.max_cpu - cpu, host.max_memory // _KIB - memory)


def _free(view: CloudView, cluster: int, kind: int) -> int | None:
    """Most that a datastore there has free; None where none of them is monitored, as where each host has its own disk."""
    here = (
        d.free
        for d in view.datastores.values()
        if d.type == kind and d.total > 0 and (not d.clusters or cluster in d.clusters)
    )
    return max(here, default=None)


def _add(sums: dict[PlaceT, tuple[int, int]], where: PlaceT, cpu: int, memory: int) -> None:
    before = sums.get(where, (0, 0))
    sums[where] = (before[0] + cpu, before[1] + memory)


def _hundredths(vm: Vm) -> int:
    """Of a core. A machine's share is a decimal of two digits, so rounding finds it."""
    return round(float(vm.cpu or 0) * 100)
