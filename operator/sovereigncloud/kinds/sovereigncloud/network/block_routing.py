"""Route the IP blocks of a cloud's networks to its vRack.

A block is routed as a whole, to one service.

A block is rerouted only if one of these holds: it is parked; it is on a server of this cloud; it carries our mark and is in a
vRack or on a server of this installation; or `moveFrom` names its service. It is first detached - from the other vRack, or by
parking -, and attached once that is visible.
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
_REQUEST_TIMEOUT = 600.0
MARK_KEYS = frozenset({OVH_INSTALLATION, OVH_OBJECT, OVH_UID})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachBlock(Step):
    """Route a block to the vRack. `region`: where it is announced; empty: its own."""

    vrack: str
    block: str
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachBlock(Step):
    """Detach a block from a service: remove it from a vRack, park it otherwise."""

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
    """The observed vRack and IP blocks of a cloud.

    Attributes:
        mark: the mark of the cloud.
        vracks: tags of every vRack of the account.
        blocks: declared blocks as observed; None: the account has no such block.
        holders: by block: another existing object of this installation that the block is marked for.
        servers: tags of the account's servers, by service name.
        own: service names of the cloud's servers.
        regions: regions of these servers, the most frequent first; None: not observed yet.
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
    """Return a block in the notation of OVHcloud; invalid input is returned unchanged."""
    try:
        return str(ipaddress.ip_network(block))
    except ValueError:
        return block


def public_networks(cloud: SovereignCloud) -> dict[str, HostedNetwork]:
    """Return the networks that have a public block, by block."""
    networks = (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()
    return {canonical(n.public_block): n for n in networks if n.public_block}


def declared(cloud: SovereignCloud) -> dict[str, str]:
    """Return the public blocks, by network name."""
    return {network.name: block for block, network in public_networks(cloud).items()}


def unrouted_blocks(cloud: SovereignCloud, vrack: VrackView | None) -> dict[str, str]:
    """Return the declared blocks that the account view does not show in the vRack, by network name."""
    inside = {canonical(b) for b in vrack.blocks} if vrack else set()
    return {name: block for name, block in declared(cloud).items() if block not in inside}


def plan_routing(cloud: SovereignCloud, routes: Routes, now: datetime) -> Plan:
    """Plan to mark the vRack and blocks of the cloud, and to route missing blocks."""
    if routes.vrack is None:
        ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
        name = ovh.vrack if ovh else ""
        message = f"the account has no vRack {name}, or the credential may not see it; check spec.hosted.ovh.vrack"
        return Plan(outcome=stalled(Reason.VRACK_NOT_FOUND, message, after=300.0))
    missing = frozenset(unrouted_blocks(cloud, routes.vrack).values())
    parts = [plan_vrack_mark(routes.vrack, routes.mark)]
    for block, network in public_networks(cloud).items():
        found = routes.blocks.get(block)
        if found is None:
            parts.append(Plan(outcome=_no_such_block(network.name, block)) if block in missing else Plan())
            continue
        taken = _owned_by_another(found, routes)
        if taken is not None:
            parts.append(Plan(drift=_drifts(network, found, routes.vrack.name), outcome=taken))
            continue
        parts.append(plan_block_mark(found, routes.mark))
        if block in missing and found.routed_to != routes.vrack.name:  # otherwise the block was read after the view
            part = _plan_attach(cloud, network, found, routes, now)
            parts.append(part)
            if part.outcome.phase is Phase.WAITING:
                return join(parts)  # One block at a time: only one request is recorded.
    if not missing:
        parts.append(answered(cloud, ASKED))
    return join(parts)


def plan_block_mark(block: IpBlock, mark: Mark) -> Plan:
    """Plan the mark of a block.

    Action.MARK means adoption from a predecessor: differences are then drift.
    """
    found = mark_from_ovh(block.tags)
    if ownership(found, mark) is Ownership.OURS:
        return Plan()
    action = Action.UPDATE if found is None else Action.MARK
    return Plan(steps=(MarkBlock(action=action, target=f"mark of IP block {block.block}", urn=block.urn, mark=mark),))


def plan_block_release(cloud: SovereignCloud, routes: Routes, now: datetime) -> Plan:
    """Plan to detach and unmark the blocks of a cloud deleted with deletionPolicy Delete."""
    parts = []
    for block in public_networks(cloud):
        found = routes.blocks.get(block)
        if found is None or not (is_our_block(found, routes.mark) or _half_unmarked(found, routes.mark)):
            continue
        if routes.vrack is not None and found.routed_to == routes.vrack.name:
            parts.append(_plan_detach(cloud, found, ("spec.deletionPolicy",), now))
            if parts[-1].outcome.phase is Phase.WAITING:
                return join(parts)
        else:
            fields = ("spec.deletionPolicy",)
            target = f"mark of IP block {block}"
            step = UnmarkBlock(action=Action.DELETE, target=target, fields=fields, urn=found.urn)
            parts.append(Plan(steps=(step,)))
    return join(parts)


def is_our_block(block: IpBlock, mark: Mark) -> bool:
    """Tell whether a block carries the mark of this cloud, also from before a cluster rebuild."""
    return ownership(mark_from_ovh(block.tags), mark) in {Ownership.OURS, Ownership.PREDECESSOR}


def _half_unmarked(block: IpBlock, mark: Mark) -> bool:
    """Tell whether a block carries part of this cloud's mark: tags are removed one by one."""
    left = {key: block.tags[key] for key in MARK_KEYS & block.tags.keys()}
    return mark_from_ovh(left) is None and any(mark.for_ovh()[key] == value for key, value in left.items())


# --- one block -------------------------------------------------------------------------------------------------------


def _plan_attach(cloud: SovereignCloud, network: HostedNetwork, found: IpBlock, routes: Routes, now: datetime) -> Plan:
    """Plan to bring a block to the vRack: detach it if needed, then attach it."""
    vrack = routes.vrack.name if routes.vrack else ""
    drift = _drifts(network, found, vrack)
    refused = _region_mismatch(network, found, routes)
    if refused is not None:
        return Plan(drift=drift, outcome=refused)
    if found.routed_to:
        if not _may_reroute(network, found, routes):
            return Plan(drift=drift, outcome=_in_use(found, vrack))
        left = _plan_detach(cloud, found, (_path(network),), now)
        return Plan(drift=drift, steps=left.steps, outcome=left.outcome)
    if pending(cloud, Asked(ASKED, found.block, _path(network), _REQUEST_TIMEOUT), now):
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


def _plan_detach(cloud: SovereignCloud, found: IpBlock, fields: tuple[str, ...], now: datetime) -> Plan:
    """Plan to detach a block: requested once, then awaited."""
    path = fields[0] if not cloud.deleting else ""
    if pending(cloud, Asked(ASKED, detach_request(found.block, found.routed_to), path, _REQUEST_TIMEOUT), now):
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


def detach_request(block: str, service: str) -> str:
    """Return the key of a detach request in `status.external`."""
    return f"{block} off {service}"


def is_vrack(service: str) -> bool:
    return service.startswith("pn-")


def _may_reroute(network: HostedNetwork, found: IpBlock, routes: Routes) -> bool:
    service = found.routed_to
    if network.move_from == service or service in routes.own:
        return True
    if not is_our_block(found, routes.mark):
        return False
    tags = routes.vracks.get(service) if is_vrack(service) else routes.servers.get(service)
    return tags is not None and is_ours(tags, routes.mark)


def _owned_by_another(found: IpBlock, routes: Routes) -> Outcome | None:
    """Return the outcome if another installation or object owns the block.

    None: it is free or ours.
    """
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
                f"IP block {found.block} is used by {routes.holders[found.block]} of this installation; a block belongs to"
                " one cloud: remove it from one of the two"
            )
            return stalled(Reason.OWNED_BY_ANOTHER_OBJECT, message, after=60.0)
        case _:
            return None


def _region_mismatch(network: HostedNetwork, found: IpBlock, routes: Routes) -> Outcome | None:
    """Return why a block cannot be routed to the servers' regions.

    None: it can, or OVHcloud will tell.
    """
    if routes.regions is None:
        message = f"the regions of the servers are not known yet, so block {found.block} is not routed yet"
        return waiting(Reason.WAITING_FOR_SERVERS, message)
    if not found.regions or not routes.regions or announced_in(found.regions, routes.regions) is not None:
        return None
    message = (
        f"IP block {found.block} is of region {', '.join(found.regions)} and cannot be routed to"
        f" {', '.join(routes.regions)}, where the servers stand: only eu-west-gra, eu-west-rbx and eu-west-sbg interchange"
        f" blocks. Set publicBlock of {network.name} to a block of the servers' region"
    )
    return stalled(Reason.BLOCK_OF_OTHER_REGION, message, after=300.0)


# --- messages ----------------------------------------------------------------------------------------------------------


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


def _in_use(found: IpBlock, wanted: str) -> Outcome:
    service = found.routed_to
    what, reason = f"routed to {service}", Reason.BLOCK_IN_USE
    if is_vrack(service):
        what, reason = f"routed to vRack {service}, which is not this cloud's ({wanted})", Reason.BLOCK_IN_OTHER_VRACK
    message = (
        f"IP block {found.block} is {what}: whatever uses it there would lose its addresses. Set moveFrom: {service} beside"
        " publicBlock to consent, or take it off there first"
    )
    return stalled(reason, message, after=60.0)
