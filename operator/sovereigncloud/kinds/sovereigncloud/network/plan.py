"""What a cloud has at its provider beside servers: the vRack's mark, its blocks, their names, the record of its endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Ownership, mark_from_ovh, ownership
from sovereigncloud.core.locations import country_of, described
from sovereigncloud.core.outcome import DONE, Outcome, Phase, done, waiting
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.baremetalserver.identity import hosted_service_name, service_name_of
from sovereigncloud.kinds.contract.controller import AnyResource, Context
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.planning.pending_writes import asked
from sovereigncloud.kinds.sovereigncloud.network import block_routing, dns, reverse_dns, vrack_mark
from sovereigncloud.ports.errors import NotFound
from sovereigncloud.ports.ovh.account import AccountView, IpBlock, Ovh, VrackView

NetworkStep = (
    block_routing.AttachBlock
    | block_routing.DetachBlock
    | block_routing.MarkBlock
    | block_routing.UnmarkBlock
    | vrack_mark.MarkVrack
    | vrack_mark.UnmarkVrack
    | reverse_dns.SetReverse
    | reverse_dns.DeleteReverse
    | dns.WriteRecord
    | dns.DeleteRecord
)

_AT_REST = 600.0
"""Seconds that names and marks may be old while nothing is under way: a look at each is a request of its own."""
_BUSY = 30.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What was read at the provider.

    Attributes:
        entry: the name of the endpoint as it is; None: spec declares none.
        former: a name that was written before and that spec no longer has.
        places: the region of each member of the vRack and of each declared block; empty: the provider does not tell.
    """

    routes: block_routing.Routes
    reverses: reverse_dns.Reverses = field(default_factory=dict)
    entry: dns.Entry | None = None
    former: dns.Entry | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def countries(self) -> tuple[str, ...]:
        return tuple(sorted({country_of(region) or "unknown" for region in self.places.values()}))


# --- observing -------------------------------------------------------------------------------------------------------


async def observe_outside(
    cloud: SovereignCloud, context: Context, account: AccountView, servers: Mapping[str, BareMetalServer]
) -> Outside | None:
    """Reads only; at rest, little more than the view. None: the cloud is at no provider."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return None
    reader = _Reader(cloud, await context.ovh(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name))
    vrack = account.vracks.get(ovh.vrack)
    blocks = await reader.blocks(vrack)
    routes = block_routing.Routes(
        mark=context.mark(cloud),
        vrack=vrack,
        vracks=account.vrack_tags,
        blocks=blocks,
        holders=_holders(cloud, blocks, context),
        servers={name: one.tags for name, one in account.servers.items()},
        own=frozenset(filter(None, (hosted_service_name(s, servers.get(s.name)) for s in ovh.servers))),
        regions=_regions(servers),
    )
    places = await reader.places(routes, servers) if not cloud.deleting else {}
    reverses = await reader.reverses(blocks)
    return Outside(routes, reverses, *await reader.entries(context.get), places)


class _Reader:
    """One look at what the view does not have."""

    def __init__(self, cloud: SovereignCloud, client: Ovh) -> None:
        self._cloud, self._client = cloud, client
        wish = cloud.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
        if cloud.deleting or wish != (cloud.status.last_handled_reconcile_at or ""):
            self._age = 0.0
        else:
            self._age = _AT_REST if cloud.settled else _BUSY

    async def blocks(self, vrack: VrackView | None) -> dict[str, IpBlock | None]:
        """The declared blocks: those that are astray as they are now, the others for their marks."""
        missing = frozenset(block_routing.astray(self._cloud, vrack).values())
        found: dict[str, IpBlock | None] = {}
        for block in block_routing.public_networks(self._cloud):
            try:
                found[block] = await self._client.block(block, 0.0 if block in missing else self._age)
            except NotFound:
                found[block] = None
        return found

    async def places(self, routes: block_routing.Routes, servers: Mapping[str, BareMetalServer]) -> dict[str, str]:
        """Own servers tell where they stand; of others in the vRack it is asked, a few at a time, once."""
        known = {service_name_of(s): s.status.region or "" for s in servers.values() if _looked_at(s)}
        members = frozenset(routes.vrack.interfaces.values()) if routes.vrack else frozenset()
        others = members - known.keys() - routes.own - {""}
        told = await self._client.vracks.regions(others) if others else {}
        blocks = {b: r for b, one in routes.blocks.items() if one is not None for r in one.regions[:1]}
        return {**known, **told, **blocks}

    async def reverses(self, blocks: Mapping[str, IpBlock | None]) -> dict[str, Mapping[str, str]]:
        wanted = reverse_dns.addresses_of_interest(self._cloud, blocks)
        there = {block: addresses for block, addresses in wanted.items() if blocks.get(block) is not None}
        return {b: await self._client.zones.reverses(b, a, self._age) for b, a in there.items()}

    async def entries(self, get: Callable[[Key], AnyResource | None]) -> tuple[dns.Entry | None, dns.Entry | None]:
        """The declared name, and the one that was written before where that is another."""
        wanted, known = dns.declared_name(self._cloud), dns.known_name(self._cloud)
        target = dns.target_of(self._cloud, get)
        entry = await self._entry(wanted, target) if wanted else None
        return entry, await self._entry(known, target) if known and known != wanted else None

    async def _entry(self, name: dns.Name, target: str) -> dns.Entry:
        zones = self._client.zones
        try:
            zone = await zones.zone(name.zone, self._age)
            return dns.Entry(name, zone, await zones.records(name.zone, name.subdomain, self._age), target)
        except NotFound:
            return dns.Entry(name)


def _looked_at(server: BareMetalServer) -> bool:
    return server.status.address is not None or server.status.region is not None


def _regions(servers: Mapping[str, BareMetalServer]) -> tuple[str, ...] | None:
    """Where the servers stand, the most first; None: nobody looked yet."""
    seen = [s for s in servers.values() if _looked_at(s)]
    counted = Counter(sorted(s.status.region for s in seen if s.status.region))
    return tuple(region for region, _ in counted.most_common()) if seen else None


def _holders(cloud: SovereignCloud, blocks: Mapping[str, IpBlock | None], context: Context) -> dict[str, str]:
    """The other object that a block is marked for, where there is such an object."""
    found: dict[str, str] = {}
    for block, one in blocks.items():
        mark = mark_from_ovh(one.tags) if one is not None else None
        if mark is None or ownership(mark, context.mark(cloud)) is not Ownership.SIBLING:
            continue
        kind, _, rest = mark.object.partition("/")
        namespace, _, name = rest.rpartition("/")
        if context.get(Key(kind, namespace, name)) is not None:
            found[block] = mark.object
    return found


# --- planning --------------------------------------------------------------------------------------------------------


def plan_outside(cloud: SovereignCloud, outside: Outside, now: datetime) -> Plan:
    """Everything but the reverse names, which come last."""
    former = dns.plan_record_release(outside.former, outside.routes.mark, ())
    record = dns.plan_record(cloud, outside.entry, outside.routes.mark)
    return join((block_routing.plan_routing(cloud, outside.routes, now), former, record, _places(outside)))


def names_last(plan: Plan, cloud: SovereignCloud, outside: Outside | None) -> Plan:
    """Reverse names, once all else is done: a name that does not resolve yet is refused, and must hold up nothing."""
    if outside is None:
        return plan
    names = reverse_dns.plan_reverses(cloud, outside.routes, outside.reverses)
    if plan.steps or plan.outcome.phase is not Phase.DONE:
        return replace(plan, drift=plan.drift + names.drift)
    return join((plan, names))


def _places(outside: Outside) -> Plan:
    """A vRack joins what is in it at layer 2, whatever borders lie between."""
    if len(outside.countries) < 2 or outside.routes.vrack is None:
        return Plan()
    message = (
        f"vRack {outside.routes.vrack.name} joins several countries: {described(outside.places.values())}; what runs in"
        " it may send data from one to the other"
    )
    return Plan(outcome=Outcome(reason=Reason.VRACK_ACROSS_COUNTRIES, message=message))


def plan_letting_go(cloud: SovereignCloud, outside: Outside | None, now: datetime) -> Plan:
    """With deletionPolicy Delete, before the servers go: first names, then what they lead to. Empty and done: all gone."""
    if outside is None:
        return Plan()
    routes, field_ = outside.routes, ("spec.deletionPolicy",)
    stages = (
        join(dns.plan_record_release(entry, routes.mark, field_) for entry in (outside.entry, outside.former)),
        reverse_dns.plan_reverse_release(cloud, routes, outside.reverses),
        block_routing.plan_block_release(cloud, routes, now),
        vrack_mark.plan_vrack_release(routes.vrack, routes.mark) if routes.vrack else Plan(),
    )
    return next((s for s in stages if s.steps or s.outcome.phase is not Phase.DONE), Plan())


# --- performing ------------------------------------------------------------------------------------------------------


async def perform_outside(step: NetworkStep, client: Ovh, cloud: SovereignCloud, now: datetime) -> Outcome:
    """One write at the provider."""
    match step:
        case block_routing.AttachBlock():
            await client.attach_block(step.vrack, step.block, step.region)
            message = f"IP block {step.block} is being routed to vRack {step.vrack}"
            return _under_way(cloud, Reason.ROUTING_BLOCK, message, asked(step.block, now))
        case block_routing.DetachBlock():
            return await _detach(step, client, cloud, now)
        case block_routing.MarkBlock():
            await client.tag(step.urn, step.mark.for_ovh())
            return DONE
        case block_routing.UnmarkBlock():
            await client.untag(step.urn, block_routing.MARK_KEYS)
            return done(Reason.BLOCK_RELEASED, f"{step.target} was taken off")
        case vrack_mark.MarkVrack():
            await client.tag(step.urn, dict(step.tags))
            return DONE
        case vrack_mark.UnmarkVrack():
            await client.untag(step.urn, step.keys)
            return done(Reason.RELEASED, f"{step.target} was taken off")
        case _:
            return await _perform_names(step, client)


async def _perform_names(
    step: reverse_dns.SetReverse | reverse_dns.DeleteReverse | dns.WriteRecord | dns.DeleteRecord, client: Ovh
) -> Outcome:
    match step:
        case reverse_dns.SetReverse():
            return await reverse_dns.set_reverse(step, client)
        case reverse_dns.DeleteReverse():
            return await reverse_dns.delete_reverse(step, client)
        case dns.WriteRecord():
            return await dns.write_record(step, client)
        case dns.DeleteRecord():
            return await dns.delete_record(step, client)


async def _detach(step: block_routing.DetachBlock, client: Ovh, cloud: SovereignCloud, now: datetime) -> Outcome:
    if step.vrack:
        await client.detach_block(step.vrack, step.block)
    else:
        await client.vracks.park(step.block)
    message = f"IP block {step.block} is being taken off {step.service}"
    return _under_way(
        cloud, Reason.RELEASING_BLOCK, message, asked(block_routing.leaving(step.block, step.service), now)
    )


def _under_way(cloud: SovereignCloud, reason: Reason, message: str, fact: str) -> Outcome:
    outcome = waiting(reason, message, after=block_routing.LOOK_AGAIN, available=cloud.settled)
    return replace(outcome, facts={block_routing.ASKED: fact}, events=((reason, message),))
