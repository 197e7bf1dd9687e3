"""Address ranges of a network: each is added, resized or removed by itself; one whose addresses are in use stays."""

from __future__ import annotations

from sovereigncloud.api.base import Key
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import DONE, Outcome, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.addressing import contains, overlap, shown
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.network_steps import AddRange, RemoveRange, ResizeRange
from sovereigncloud.kinds.network_template import Wanted
from sovereigncloud.kinds.ports import AddressRange, CloudView, Network

_SHOWN = 10


def ranges(resource: VirtualNetwork, network: Network, asked: Wanted, cloud: Key, view: CloudView | None) -> Plan:
    """Removals come first, since OpenNebula takes overlapping ranges and would give one address twice. A range
    without IPv4 addresses (Ethernet, IPv6) is nothing that spec can name; it is left alone.
    """
    if asked.ranges is None:
        return Plan()
    cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
    target = f'network {network.id} "{network.name}" in {where(cloud)}'
    found = {range_.ip: range_ for range_ in network.ranges if range_.ip}
    planned = {range_.ip: range_ for range_ in asked.ranges}
    drift: list[Drift] = []
    removed: list[Step] = []
    resized: list[Step] = []
    added: list[Step] = []
    outcome = DONE
    kept: list[AddressRange] = []
    for ip, range_ in found.items():
        aim = planned.get(ip)
        if aim is not None and aim.size == range_.size:
            kept.append(range_)
            continue
        path = f"spec.addressRanges[{ip}]"
        drift.append(Drift(path, shown(aim) if aim else "absent", shown(range_)))
        trouble = _in_use(network, range_, aim, view)
        if trouble is not None:
            kept.append(range_)
            outcome = outcome.merge(trouble)
        elif aim is None:
            removed.append(
                RemoveRange(
                    action=Action.DELETE,
                    target=f"range {shown(range_)} of {target}",
                    fields=(path,),
                    cause=cause,
                    cloud=cloud,
                    network=network.id,
                    range_id=range_.id,
                )
            )
        else:
            kept.append(aim)
            resized.append(
                ResizeRange(
                    action=Action.UPDATE,
                    target=f"range {shown(range_)} of {target}",
                    fields=(path,),
                    cause=cause,
                    cloud=cloud,
                    network=network.id,
                    range_=AddressRange(ip=ip, size=aim.size, id=range_.id),
                )
            )
    for ip, aim in planned.items():
        if ip in found:
            continue
        path = f"spec.addressRanges[{ip}]"
        drift.append(Drift(path, shown(aim), "absent"))
        if any(overlap(aim, other) for other in kept):
            continue  # the one that it overlaps is in use, which is said already
        added.append(
            AddRange(
                action=Action.ATTACH,
                target=f"range {shown(aim)} to {target}",
                fields=(path,),
                cause=cause,
                cloud=cloud,
                network=network.id,
                range_=aim,
            )
        )
    return Plan(drift=tuple(drift), steps=(*removed, *resized, *added), outcome=outcome)


def _in_use(network: Network, range_: AddressRange, aim: AddressRange | None, view: CloudView | None) -> Outcome | None:
    """Why the range cannot be removed or cut. Leases that no machine explains are held or reserved by somebody."""
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
        "InUse",
        f"range {shown(range_)} of network {network.id} is not {wish}: in use by {', '.join(users)}; free the addresses,"
        " or put the range back into spec.addressRanges",
    )
