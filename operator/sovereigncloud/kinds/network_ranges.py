"""Address ranges of a network: each is added, resized or removed by itself; one whose addresses are in use stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from sovereigncloud.api.base import Key
from sovereigncloud.api.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, merge, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.addressing import contains, overlap, shown
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.network_steps import AddRange, RemoveRange, ResizeRange
from sovereigncloud.kinds.network_template import Wanted
from sovereigncloud.kinds.ports import AddressRange, CloudView, Network

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Changes:
    """Of one network: where it is, and why the steps are made."""

    cloud: Key
    network: Network
    cause: Cause

    def remove(self, range_: AddressRange) -> RemoveRange:
        return RemoveRange(action=Action.DELETE, range_id=range_.id, **self._common(range_))

    def resize(self, range_: AddressRange, aim: AddressRange) -> ResizeRange:
        to = AddressRange(ip=aim.ip, size=aim.size, id=range_.id)
        return ResizeRange(action=Action.UPDATE, range_=to, **self._common(range_))

    def add(self, aim: AddressRange) -> AddRange:
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


def ranges(resource: VirtualNetwork, network: Network, asked: Wanted, cloud: Key, view: CloudView | None) -> Plan:
    """OpenNebula takes overlapping ranges and would give one address twice, so what goes goes first, what shrinks
    shrinks before others grow, and nothing is added over a range that has to stay. A range without IPv4 addresses
    (Ethernet, IPv6) is nothing that spec can name; it is left alone.
    """
    if asked.ranges is None:
        return Plan()
    changes = _Changes(cloud, network, Cause.OBSERVED if resource.settled else Cause.DECLARED)
    found = {range_.ip: range_ for range_ in network.ranges if range_.ip}
    planned = {range_.ip: range_ for range_ in asked.ranges}
    troubles = {ip: _in_use(network, range_, planned.get(ip), view) for ip, range_ in found.items()}
    staying = [range_ for ip, range_ in found.items() if troubles[ip] is not None]
    removed: list[Step] = []
    shrunk: list[Step] = []
    grown: list[Step] = []
    for ip, range_ in found.items():
        aim = planned.get(ip)
        if range_ in staying or (aim is not None and aim.size == range_.size):
            continue
        if aim is None:
            removed.append(changes.remove(range_))
        elif aim.size < range_.size:
            shrunk.append(changes.resize(range_, aim))
        elif not any(overlap(aim, other) for other in staying):
            grown.append(changes.resize(range_, aim))
    missing = [aim for ip, aim in planned.items() if ip not in found]
    added = [changes.add(aim) for aim in missing if not any(overlap(aim, other) for other in staying)]
    return Plan(
        drift=tuple(_drift(found, planned)),
        steps=(*removed, *shrunk, *grown, *added),
        outcome=merge(trouble for trouble in troubles.values() if trouble is not None),
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


def _in_use(network: Network, range_: AddressRange, aim: AddressRange | None, view: CloudView | None) -> Outcome | None:
    """Why the range cannot be removed or cut, where spec asks for that. Leases that no machine explains are held or reserved by somebody."""
    if not range_.used or (aim is not None and aim.size >= range_.size):
        return None
    machines = [
        (vm, nic.ip)
        for vm in (view.vms.values() if view is not None else ())
        for nic in vm.nics
        if nic.network_id == network.id and contains(range_, nic.ip)
    ]
    in_the_way = [(vm, ip) for vm, ip in machines if aim is None or not contains(aim, ip)]
    unexplained = range_.used - len(machines)
    if not in_the_way and unexplained <= 0:
        return None
    users = [f'VM {vm.id} "{vm.name}" ({ip})' for vm, ip in in_the_way[:_SHOWN]]
    if unexplained > 0:
        users.append(f"{unexplained} addresses held or reserved")
    wish = "removed" if aim is None else f"cut to {shown(aim)}"
    return stalled(
        Reason.IN_USE,
        f"range {shown(range_)} of network {network.id} is not {wish}: in use by {', '.join(users)}; free the addresses,"
        " or put the range back into spec.addressRanges",
    )
