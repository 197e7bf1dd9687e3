"""Reservations: a network whose addresses are taken from another one, so that nobody else is given them."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import Outcome, blocked, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.name_resolution import Coming, resolve
from sovereigncloud.kinds.identity.usage_rights import not_of_other_tenants
from sovereigncloud.kinds.planning.addressing import contains, ends, index_of, shown
from sovereigncloud.kinds.virtualnetwork.leases import address_of, holder
from sovereigncloud.kinds.virtualnetwork.steps import MarkNetwork, NoteReservation, ReserveNetwork
from sovereigncloud.kinds.virtualnetwork.template import Wanted
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Network

_NOTE = "reserving"


def parent_of(
    resource: VirtualNetwork, view: CloudView | None, on_their_way: tuple[Coming, ...], cloud: Key
) -> Network | Outcome | None:
    """The network that a reservation is from; or why it cannot be; None: it is no reservation."""
    if resource.spec.reservation is None or view is None:
        return None
    name = resource.spec.reservation.from_
    candidates = not_of_other_tenants(view.networks.values(), view, frozenset())
    found = resolve("network", name, candidates, on_their_way, where(cloud))
    if isinstance(found, Outcome) or found.parent < 0:
        return found
    return stalled(
        Reason.INVALID_SPEC,
        f'spec.reservation.from: network {found.id} "{name}" in {where(cloud)} is a reservation itself; name the network'
        " that it is from",
    )


def obstacle(parent: Network, aim: AddressRange, view: CloudView | None, reservation: int = -1) -> Outcome | None:
    """Why a run of addresses cannot be taken from a network."""
    what = f'network {parent.id} "{parent.name}"'
    last = str(ends(aim)[1])
    for range_ in parent.ranges:
        if not range_.ip or not (contains(range_, aim.ip) and contains(range_, last)):
            continue
        begin = index_of(range_, aim.ip)
        taken = [
            lease
            for lease in range_.leases
            if begin <= lease.index < begin + aim.size and (lease.holder, lease.id) != ("NET", reservation)
        ]
        if not taken:
            return None
        users = ", ".join(f"{holder(lease, view)} ({address_of(range_, lease)})" for lease in taken[:5])
        return blocked(
            f"spec.addressRanges[{aim.ip}]: {shown(aim)} cannot be reserved from {what}: in use by {users}; free the"
            " addresses, or name others",
            reason=Reason.ADDRESS_IN_USE,
        )
    known = ", ".join(f"{r.ip} to {ends(r)[1]}" for r in parent.ranges if r.ip) or "none"
    return stalled(
        Reason.ADDRESS_OUTSIDE_RANGES,
        f"spec.addressRanges[{aim.ip}]: {shown(aim)} is not within one address range of {what}; there are: {known}",
    )


def taken_from(parent: Network, aim: AddressRange) -> AddressRange:
    """Addresses with the range of the network that has them all: OpenNebula reserves none by address alone."""
    last = str(ends(aim)[1])
    source = next((r for r in parent.ranges if r.ip and contains(r, aim.ip) and contains(r, last)), None)
    return aim if source is None else replace(aim, parent=source.id)


def has_its_parents_mark(network: Network, view: CloudView) -> bool:
    """Whether it is a reservation, of a person or not marked yet, with the mark that OpenNebula copied: then it says
    nothing of this one.
    """
    parent = view.networks.get(network.parent)
    return parent is not None and network.mark is not None and network.mark == parent.mark


def is_just_made(resource: VirtualNetwork, parent: Network, namesake: Network) -> bool:
    """Whether a network of that name is what a noted attempt made, which a crash kept from being marked: it carries what
    its network does, the mark included, since OpenNebula copies the whole template.
    """
    return (
        namesake.mark == parent.mark and namesake.parent == parent.id and resource.external.get(_NOTE) == str(parent.id)
    )


def mark(cloud: Key, found: Network) -> Plan:
    """Make the reservation ours."""
    what = f'network {found.id} "{found.name}" in {where(cloud)}'
    step = MarkNetwork(action=Action.MARK, target=what, cloud=cloud, network=found.id, reserved=True)
    return Plan(steps=(step,), outcome=waiting(Reason.CREATING, f"{what} is to be marked"))


def reserve(
    resource: VirtualNetwork, parent: Network, asked: Wanted, cloud: Key, view: CloudView | None, cause: Cause
) -> Plan:
    """Note the attempt, then take the first run of addresses; the further ones are added to what was made."""
    first, *_ = asked.ranges or (None,)
    if first is None:
        return Plan(
            outcome=stalled(Reason.INVALID_SPEC, "spec.addressRanges: a reservation needs the addresses to take")
        )
    trouble = obstacle(parent, first, view)
    if trouble is not None:
        return Plan(outcome=trouble)
    target = f'network "{resource.outside_name}" in {where(cloud)}, reserved from "{parent.name}"'
    run = taken_from(parent, first)
    step = ReserveNetwork(action=Action.CREATE, target=target, cause=cause, cloud=cloud, parent=parent.id, range_=run)
    note: tuple[Step, ...] = ()
    if resource.external.get(_NOTE) != str(parent.id):
        note = (NoteReservation(action=Action.UPDATE, target=f"note of {target}", inside=True, parent=parent.id),)
    return Plan(steps=(*note, step), outcome=waiting(Reason.CREATING, f"{target} is to be made"))
