"""The IP blocks of a cloud's networks, routed to its vRack. Blocks move whole; a block is routed to one service.

A block is taken away from where it is only if that is ours to do: it is parked, or on a server of this very cloud, or ours and
in a vRack or on a server of this installation, or spec consents by name. It then leaves as a whole - out of the other vRack, or
parked -, which is waited for, and only then joins.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import HostedNetwork
from sovereigncloud.core.identity import (
    OVH_INSTALLATION,
    OVH_OBJECT,
    OVH_UID,
    Mark,
    Ownership,
    mark_from_ovh,
    ownership,
)
from sovereigncloud.core.locations import announced_in
from sovereigncloud.core.outcome import Outcome, Phase, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.planning.pending_writes import Asked, answered, pending
from sovereigncloud.kinds.sovereigncloud.network.vrack_mark import is_ours, plan_vrack_mark
from sovereigncloud.ports.ovh.account import IpBlock, VrackView

ASKED = "blockAsked"
LOOK_AGAIN = 5.0
_WITHIN = 600.0
MARK_KEYS = frozenset({OVH_INSTALLATION, OVH_OBJECT, OVH_UID})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachBlock(Step):
    """`region`: in which it is announced; empty: its own."""

    vrack: str
    block: str
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachBlock(Step):
    """Off a service: out of a vRack, anything else by parking."""

    service: str
    block: str

    @property
    def vrack(self) -> str:
        return self.service if is_vrack(self.service) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkBlock(Step):
    only_marks: ClassVar[bool] = True

    urn: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmarkBlock(Step):
    urn: str


@dataclass(frozen=True, slots=True)
class Routes:
    """What was read about the vRack and the blocks of a cloud.

    Attributes:
        mark: the cloud's.
        vracks: tags of every vRack of the account.
        blocks: declared blocks as they are; None: the account has no such block.
        holders: blocks that are marked for another object of this installation which exists, and that object.
        servers: the account's servers by service name, with their tags.
        own: service names of the cloud's servers.
        regions: where these stand, those with most of them first; None: nobody looked yet.
    """

    mark: Mark
    vrack: VrackView | None = None
    vracks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    blocks: Mapping[str, IpBlock | None] = field(default_factory=dict)
    holders: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    regions: tuple[str, ...] | None = None


def canonical(block: str) -> str:
    """The block as OVHcloud writes it; what is no block stays as it is."""
    try:
        return str(ipaddress.ip_network(block))
    except ValueError:
        return block


def public_networks(cloud: SovereignCloud) -> dict[str, HostedNetwork]:
    """The networks with a public block, by their block."""
    networks = (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()
    return {canonical(n.public_block): n for n in networks if n.public_block}


def declared(cloud: SovereignCloud) -> dict[str, str]:
    """The public blocks, by the name of their network."""
    return {network.name: block for block, network in public_networks(cloud).items()}


def astray(cloud: SovereignCloud, vrack: VrackView | None) -> dict[str, str]:
    """The declared blocks that the view does not show in the vRack."""
    inside = {canonical(b) for b in vrack.blocks} if vrack else set()
    return {name: block for name, block in declared(cloud).items() if block not in inside}


def plan_routing(cloud: SovereignCloud, routes: Routes, now: datetime) -> Plan:
    """Mark what the cloud uses, route what is not routed."""
    if routes.vrack is None:
        ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
        name = ovh.vrack if ovh else ""
        message = f"the account has no vRack {name}, or the credential may not see it; check spec.hosted.ovh.vrack"
        return Plan(outcome=stalled(Reason.VRACK_NOT_FOUND, message, after=300.0))
    missing = frozenset(astray(cloud, routes.vrack).values())
    parts = [plan_vrack_mark(routes.vrack, routes.mark)]
    for block, network in public_networks(cloud).items():
        found = routes.blocks.get(block)
        if found is None:
            parts.append(Plan(outcome=_no_such_block(network.name, block)) if block in missing else Plan())
            continue
        taken = _somebody_elses(found, routes)
        if taken is not None:
            parts.append(Plan(drift=_drifts(network, found, routes.vrack.name), outcome=taken))
            continue
        parts.append(plan_block_mark(found, routes.mark))
        if block in missing and found.routed_to != routes.vrack.name:  # else the block itself is newer than the view
            part = _bring(cloud, network, found, routes, now)
            parts.append(part)
            if part.outcome.phase is Phase.WAITING:
                return join(parts)  # One block at a time: one request is remembered.
    if not missing:
        parts.append(answered(cloud, ASKED))
    return join(parts)


def plan_block_mark(block: IpBlock, mark: Mark) -> Plan:
    """Whose the block is, written on it. Action Mark: taken over from a predecessor, so what differs is drift."""
    found = mark_from_ovh(block.tags)
    if ownership(found, mark) is Ownership.OURS:
        return Plan()
    action = Action.UPDATE if found is None else Action.MARK
    return Plan(steps=(MarkBlock(action=action, target=f"mark of IP block {block.block}", urn=block.urn, mark=mark),))


def plan_block_release(cloud: SovereignCloud, routes: Routes, now: datetime) -> Plan:
    """Take the cloud's own blocks out of its vRack and their marks off, since it is deleted with deletionPolicy Delete."""
    parts = []
    for block in public_networks(cloud):
        found = routes.blocks.get(block)
        if found is None or not (is_our_block(found, routes.mark) or _half_unmarked(found, routes.mark)):
            continue
        if routes.vrack is not None and found.routed_to == routes.vrack.name:
            parts.append(_leave(cloud, found, ("spec.deletionPolicy",), now))
            if parts[-1].outcome.phase is Phase.WAITING:
                return join(parts)
        else:
            fields = ("spec.deletionPolicy",)
            target = f"mark of IP block {block}"
            step = UnmarkBlock(action=Action.DELETE, target=target, fields=fields, urn=found.urn)
            parts.append(Plan(steps=(step,)))
    return join(parts)


def is_our_block(block: IpBlock, mark: Mark) -> bool:
    """Whether it carries the cloud's mark, or that of the same cloud before the cluster was rebuilt."""
    return ownership(mark_from_ovh(block.tags), mark) in {Ownership.OURS, Ownership.PREDECESSOR}


def _half_unmarked(block: IpBlock, mark: Mark) -> bool:
    """Whether what is left of a mark is this cloud's: its tags go one by one."""
    left = {key: block.tags[key] for key in MARK_KEYS & block.tags.keys()}
    return mark_from_ovh(left) is None and any(mark.for_ovh()[key] == value for key, value in left.items())


# --- one block -------------------------------------------------------------------------------------------------------


def _bring(cloud: SovereignCloud, network: HostedNetwork, found: IpBlock, routes: Routes, now: datetime) -> Plan:
    """From wherever it is to the vRack: leave as a whole, then join."""
    vrack = routes.vrack.name if routes.vrack else ""
    drift = _drifts(network, found, vrack)
    refused = _unreachable(network, found, routes)
    if refused is not None:
        return Plan(drift=drift, outcome=refused)
    if found.routed_to:
        if not _ours_to_take(network, found, routes):
            return Plan(drift=drift, outcome=_elsewhere(found, vrack))
        left = _leave(cloud, found, (_path(network),), now)
        return Plan(drift=drift, steps=left.steps, outcome=left.outcome)
    if pending(cloud, Asked(ASKED, found.block, _path(network), _WITHIN), now):
        message = f"block {found.block} is being routed to vRack {vrack}"
        return Plan(
            drift=drift,
            outcome=waiting(Reason.ROUTING_BLOCK, message, after=LOOK_AGAIN, available=cloud.settled),
        )
    step = AttachBlock(
        action=Action.ATTACH,
        target=f"IP block {found.block} to vRack {vrack}",
        fields=(_path(network),),
        cause=Cause.OBSERVED if cloud.settled else Cause.DECLARED,
        vrack=vrack,
        block=found.block,
        region=announced_in(found.regions, routes.regions or ()) or "",
    )
    return Plan(drift=drift, steps=(step,))


def _leave(cloud: SovereignCloud, found: IpBlock, fields: tuple[str, ...], now: datetime) -> Plan:
    """Off what it is routed to, as a whole. Asked for once, then waited for."""
    path = fields[0] if not cloud.deleting else ""
    if pending(cloud, Asked(ASKED, leaving(found.block, found.routed_to), path, _WITHIN), now):
        message = f"block {found.block} is being taken off {found.routed_to}"
        outcome = waiting(Reason.RELEASING_BLOCK, message, after=LOOK_AGAIN, available=cloud.settled)
        return Plan(outcome=outcome)
    service = found.routed_to
    where = f"from vRack {service}" if is_vrack(service) else f"from {service}, by parking it"
    step = DetachBlock(
        action=Action.DETACH,
        target=f"IP block {found.block} {where}: all of its addresses stop working there",
        fields=fields,
        disruption=Disruption.RESTART,
        cause=Cause.OBSERVED if cloud.settled and not cloud.deleting else Cause.DECLARED,
        service=service,
        block=found.block,
    )
    return Plan(steps=(step,))


def leaving(block: str, service: str) -> str:
    """What `external` remembers of a request to take a block off a service."""
    return f"{block} off {service}"


def is_vrack(service: str) -> bool:
    return service.startswith("pn-")


def _ours_to_take(network: HostedNetwork, found: IpBlock, routes: Routes) -> bool:
    service = found.routed_to
    if network.move_from == service or service in routes.own:
        return True
    if not is_our_block(found, routes.mark):
        return False
    tags = routes.vracks.get(service) if is_vrack(service) else routes.servers.get(service)
    return tags is not None and is_ours(tags, routes.mark)


def _somebody_elses(found: IpBlock, routes: Routes) -> Outcome | None:
    """Whose the block is, if it is not this cloud's."""
    mark = mark_from_ovh(found.tags)
    match ownership(mark, routes.mark):
        case Ownership.FOREIGN if mark is not None:
            message = (
                f"IP block {found.block} carries the mark of installation {mark.installation} ({mark.object}); nothing is"
                f" done with it. Remove the tags {', '.join(sorted(MARK_KEYS))} from it if that installation is gone"
            )
            return stalled(Reason.OWNED_BY_ANOTHER_INSTALLATION, message, after=300.0)
        case Ownership.SIBLING if found.block in routes.holders:
            message = (
                f"IP block {found.block} belongs to {routes.holders[found.block]} of this installation; a block is one"
                " cloud's: take it out of one of the two"
            )
            return stalled(Reason.OWNED_BY_ANOTHER_OBJECT, message, after=60.0)
        case _:
            return None


def _unreachable(network: HostedNetwork, found: IpBlock, routes: Routes) -> Outcome | None:
    """Whether a server of the cloud stands where the block can be routed to. What is not known is left to OVHcloud."""
    if routes.regions is None:
        message = f"where the servers stand is not known yet, so block {found.block} is not routed yet"
        return waiting(Reason.WAITING_FOR_SERVERS, message)
    if not found.regions or not routes.regions or announced_in(found.regions, routes.regions) is not None:
        return None
    message = (
        f"IP block {found.block} is of region {', '.join(found.regions)} and cannot be routed to"
        f" {', '.join(routes.regions)}, where the servers stand: only eu-west-gra, eu-west-rbx and eu-west-sbg interchange"
        f" blocks. Set publicBlock of {network.name} to a block of the servers' region"
    )
    return stalled(Reason.BLOCK_OF_OTHER_REGION, message, after=300.0)


# --- words -----------------------------------------------------------------------------------------------------------


def _path(network: HostedNetwork) -> str:
    return f"spec.hosted.networks[{network.name}].publicBlock"


def _drifts(network: HostedNetwork, found: IpBlock, vrack: str) -> tuple[Drift, ...]:
    if found.routed_to == vrack:
        return ()
    where = f"routed to {found.routed_to}" if found.routed_to else "parked"
    return (Drift(_path(network), f"{found.block} routed to {vrack}", where),)


def _no_such_block(network: str, block: str) -> Outcome:
    message = f"the account has no IP block {block}, or the credential may not see it; check publicBlock of {network}"
    return stalled(Reason.BLOCK_NOT_FOUND, message, after=300.0)


def _elsewhere(found: IpBlock, wanted: str) -> Outcome:
    service = found.routed_to
    what, reason = f"routed to {service}", Reason.BLOCK_IN_USE
    if is_vrack(service):
        what, reason = f"routed to vRack {service}, which is not this cloud's ({wanted})", Reason.BLOCK_IN_OTHER_VRACK
    message = (
        f"IP block {found.block} is {what}: whatever uses it there would lose its addresses. Set moveFrom: {service} beside"
        " publicBlock to consent, or take it off there first"
    )
    return stalled(reason, message, after=60.0)
