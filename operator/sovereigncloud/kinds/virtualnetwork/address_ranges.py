"""Address ranges of a network: each is added, resized or removed by itself; one whose addresses are in use stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, merge, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.planning.addressing import contains, overlap, shown
from sovereigncloud.kinds.virtualnetwork.leases import address_of, holder
from sovereigncloud.kinds.virtualnetwork.reservation import obstacle, taken_from
from sovereigncloud.kinds.virtualnetwork.steps import AddRange, RemoveRange, ReserveRange, ResizeRange
from sovereigncloud.kinds.virtualnetwork.template import Wanted
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Network

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Changes:
    """Of one network: where it is, why the steps are made, and of a reservation the network that it is from."""

    cloud: Key
    network: Network
    cause: Cause
    parent: Network | None

    def remove(self, range_: AddressRange) -> RemoveRange:
        reserved = self.parent is not None
        return RemoveRange(action=Action.DELETE, range_id=range_.id, reserved=reserved, **self._common(range_))

    def resize(self, range_: AddressRange, aim: AddressRange) -> ResizeRange:
        to = AddressRange(ip=aim.ip, size=aim.size, id=range_.id)
        return ResizeRange(action=Action.UPDATE, range_=to, **self._common(range_))

    def add(self, aim: AddressRange) -> AddRange | ReserveRange:
        if self.parent is not None:
            run = taken_from(self.parent, aim)
            return ReserveRange(action=Action.ATTACH, parent=self.parent.id, range_=run, **self._common(aim))
        return AddRange(action=Action.ATTACH, range_=aim, **self._common(aim))

    def _common(self, range_: AddressRange) -> _Common:
        network = f'network {self.network.id} "{self.network.name}" in {where(self.cloud)}'
        return _Common(
            target=f"range {shown(range_)} of {network}",
            fields=(_path(range_),),
            cause=self.cause,
            cloud=self.cloud,
            network=self.network.id,
        )


class _Common(TypedDict):
    target: str
    fields: tuple[str, ...]
    cause: Cause
    cloud: Key
    network: int


def ranges(
    resource: VirtualNetwork,
    network: Network,
    asked: Wanted,
    cloud: Key,
    view: CloudView | None,
    parent: Network | None = None,
) -> Plan:
    """OpenNebula takes overlapping ranges and would give one address twice, so what goes goes first, what shrinks
    shrinks before others grow, and nothing is added over a range that has to stay. A range without IPv4 addresses
    (Ethernet, IPv6) is nothing that spec can name; it is left alone. A reserved range cannot change its size: it is given
    back and taken anew.
    """
    if asked.ranges is None:
        return Plan()
    changes = _Changes(cloud, network, Cause.OBSERVED if resource.settled else Cause.DECLARED, parent)
    found = {range_.ip: range_ for range_ in network.ranges if range_.ip}
    planned = {range_.ip: range_ for range_ in asked.ranges}
    whole = parent is not None
    troubles = {ip: _in_use(network, range_, planned.get(ip), view, whole=whole) for ip, range_ in found.items()}
    staying = [range_ for ip, range_ in found.items() if troubles[ip] is not None]
    removed: list[Step] = []
    shrunk: list[Step] = []
    grown: list[Step] = []
    missing = [aim for ip, aim in planned.items() if ip not in found]
    for ip, range_ in found.items():
        aim = planned.get(ip)
        if range_ in staying or (aim is not None and aim.size == range_.size):
            continue
        if aim is None:
            removed.append(changes.remove(range_))
        elif parent is not None:
            removed.append(changes.remove(range_))
            missing.append(aim)
        elif aim.size < range_.size:
            shrunk.append(changes.resize(range_, aim))
        elif not any(overlap(aim, other) for other in staying):
            grown.append(changes.resize(range_, aim))
    obstacles = [] if parent is None else [obstacle(parent, aim, view, network.id) for aim in missing]
    blocked = [found for found in obstacles if found is not None]
    added = [] if blocked else [changes.add(aim) for aim in missing if not any(overlap(aim, o) for o in staying)]
    return Plan(
        drift=tuple(_drift(found, planned)),
        # A reserved range is not given back while what is wanted instead cannot be had.
        steps=() if blocked else (*removed, *shrunk, *grown, *added),
        outcome=merge((*(trouble for trouble in troubles.values() if trouble is not None), *blocked)),
    )


def _path(range_: AddressRange) -> str:
    return f"spec.addressRanges[{range_.ip}]"


def _drift(found: dict[str, AddressRange], planned: dict[str, AddressRange]) -> Iterator[Drift]:
    for ip, range_ in found.items():
        aim = planned.get(ip)
        if aim is None or aim.size != range_.size:
            yield Drift(_path(range_), shown(aim) if aim else "absent", shown(range_))
    for ip, aim in planned.items():
        if ip not in found:
            yield Drift(_path(aim), shown(aim), "absent")


def _in_use(
    network: Network, range_: AddressRange, aim: AddressRange | None, view: CloudView | None, *, whole: bool
) -> Outcome | None:
    """Why the range cannot be removed or cut, where spec asks for that. `whole`: it goes as a whole if its size changes."""
    if not range_.used or (aim is not None and (aim.size == range_.size if whole else aim.size >= range_.size)):
        return None
    users = _users(network, range_, None if whole else aim, view)
    if not users:
        return None
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    wish = "removed" if aim is None else f"{'changed' if whole else 'cut'} to {shown(aim)}"
    return stalled(
        Reason.IN_USE,
        f"range {shown(range_)} of network {network.id} is not {wish}: in use by {', '.join(users[:_SHOWN])}{more}; free"
        " the addresses, or put the range back into spec.addressRanges",
    )


def _users(network: Network, range_: AddressRange, aim: AddressRange | None, view: CloudView | None) -> list[str]:
    """Who has an address that would be lost. What a pool does not tell one by one is only counted."""
    if range_.leases:
        lost = [lease for lease in range_.leases if aim is None or lease.index >= aim.size]
        return [f"{holder(lease, view)} ({address_of(range_, lease)})" for lease in lost]
    machines = [
        (vm, nic.ip)
        for vm in (view.vms.values() if view is not None else ())
        for nic in vm.nics
        if nic.network_id == network.id and contains(range_, nic.ip)
    ]
    users = [f'VM {vm.id} "{vm.name}" ({ip})' for vm, ip in machines if aim is None or not contains(aim, ip)]
    unexplained = range_.used - len(machines)
    return [*users, f"{unexplained} addresses held or reserved"] if unexplained > 0 else users
