"""Network resources of a cloud at its provider.

The vRack mark, IP blocks, reverse DNS, the endpoint's DNS record.
"""

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

_MAX_AGE_AT_REST = 600.0
"""Seconds that cached names and marks may be old at rest: reading each costs a request."""
_MAX_AGE_IN_PROGRESS = 30.0


@dataclass(frozen=True, slots=True)
class ProviderNetwork:
    """Observed network resources at the provider.

    Attributes:
        entry: the endpoint's name as observed; None: spec declares none.
        former: a name that was written before and that spec no longer declares.
        places: the region of each vRack member and declared block; empty: unknown to the provider.
    """

    routes: block_routing.Routes
    reverses: reverse_dns.Reverses = field(default_factory=dict)
    entry: dns.ObservedName | None = None
    former: dns.ObservedName | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def countries(self) -> tuple[str, ...]:
        return tuple(sorted({country_of(region) or "unknown" for region in self.places.values()}))


# --- observing -------------------------------------------------------------------------------------------------------


async def observe_provider_network(
    cloud: SovereignCloud, context: Context, account: AccountView, servers: Mapping[str, BareMetalServer]
) -> ProviderNetwork | None:
    """Read the network resources; None: the cloud has no provider."""
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
        holders=_other_owners(cloud, blocks, context),
        servers={name: one.tags for name, one in account.servers.items()},
        own=frozenset(filter(None, (hosted_service_name(s, servers.get(s.name)) for s in ovh.servers))),
        regions=_regions(servers),
    )
    places = await reader.places(routes, servers) if not cloud.deleting else {}
    reverses = await reader.reverses(blocks)
    return ProviderNetwork(routes, reverses, *await reader.entries(context.get), places)


class _Reader:
    """Reads what the account view does not contain, with a maximum age of cached answers."""

    def __init__(self, cloud: SovereignCloud, client: Ovh) -> None:
        self._cloud, self._client = cloud, client
        wish = cloud.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
        if cloud.deleting or wish != (cloud.status.last_handled_reconcile_at or ""):
            self._age = 0.0
        else:
            self._age = _MAX_AGE_AT_REST if cloud.settled else _MAX_AGE_IN_PROGRESS

    async def blocks(self, vrack: VrackView | None) -> dict[str, IpBlock | None]:
        """Read the declared blocks; unrouted ones without cache."""
        missing = frozenset(block_routing.unrouted_blocks(self._cloud, vrack).values())
        found: dict[str, IpBlock | None] = {}
        for block in block_routing.public_networks(self._cloud):
            try:
                found[block] = await self._client.block(block, 0.0 if block in missing else self._age)
            except NotFound:
                found[block] = None
        return found

    async def places(self, routes: block_routing.Routes, servers: Mapping[str, BareMetalServer]) -> dict[str, str]:
        """Return the region of each vRack member and block.

        Of foreign servers a few are read at a time.
        """
        known = {service_name_of(s): s.status.region or "" for s in servers.values() if _is_observed(s)}
        members = frozenset(routes.vrack.interfaces.values()) if routes.vrack else frozenset()
        others = members - known.keys() - routes.own - {""}
        told = await self._client.vracks.regions(others) if others else {}
        blocks = {b: r for b, one in routes.blocks.items() if one is not None for r in one.regions[:1]}
        return {**known, **told, **blocks}

    async def reverses(self, blocks: Mapping[str, IpBlock | None]) -> dict[str, Mapping[str, str]]:
        wanted = reverse_dns.named_addresses(self._cloud, blocks)
        there = {block: addresses for block, addresses in wanted.items() if blocks.get(block) is not None}
        return {b: await self._client.zones.reverses(b, a, self._age) for b, a in there.items()}

    async def entries(
        self, get: Callable[[Key], AnyResource | None]
    ) -> tuple[dns.ObservedName | None, dns.ObservedName | None]:
        """Return the declared name, and the last written one if it differs."""
        wanted, known = dns.declared_name(self._cloud), dns.known_name(self._cloud)
        target = dns.target_of(self._cloud, get)
        entry = await self._entry(wanted, target) if wanted else None
        return entry, await self._entry(known, target) if known and known != wanted else None

    async def _entry(self, name: dns.Name, target: str) -> dns.ObservedName:
        zones = self._client.zones
        try:
            zone = await zones.zone(name.zone, self._age)
            return dns.ObservedName(name, zone, await zones.records(name.zone, name.subdomain, self._age), target)
        except NotFound:
            return dns.ObservedName(name)


def _is_observed(server: BareMetalServer) -> bool:
    return server.status.address is not None or server.status.region is not None


def _regions(servers: Mapping[str, BareMetalServer]) -> tuple[str, ...] | None:
    """Return the regions of the servers, the most frequent first; None: not observed yet."""
    seen = [s for s in servers.values() if _is_observed(s)]
    counted = Counter(sorted(s.status.region for s in seen if s.status.region))
    return tuple(region for region, _ in counted.most_common()) if seen else None


def _other_owners(cloud: SovereignCloud, blocks: Mapping[str, IpBlock | None], context: Context) -> dict[str, str]:
    """Return the existing object that a block is marked for, if it is another one, by block."""
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


def plan_provider_network(cloud: SovereignCloud, provider_network: ProviderNetwork, now: datetime) -> Plan:
    """Plan everything but reverse names, which come last (`with_reverse_dns`)."""
    former = dns.plan_record_release(provider_network.former, provider_network.routes.mark, ())
    record = dns.plan_record(cloud, provider_network.entry, provider_network.routes.mark)
    return join(
        (
            block_routing.plan_routing(cloud, provider_network.routes, now),
            former,
            record,
            _countries_outcome(provider_network),
        )
    )


def with_reverse_dns(plan: Plan, cloud: SovereignCloud, provider_network: ProviderNetwork | None) -> Plan:
    """Add reverse names once all else is done.

    OVHcloud refuses a name that does not resolve yet.
    """
    if provider_network is None:
        return plan
    names = reverse_dns.plan_reverses(cloud, provider_network.routes, provider_network.reverses)
    if plan.steps or plan.outcome.phase is not Phase.DONE:
        return replace(plan, drift=plan.drift + names.drift)
    return join((plan, names))


def _countries_outcome(provider_network: ProviderNetwork) -> Plan:
    """Report a vRack that spans several countries: it is one layer 2 network."""
    if len(provider_network.countries) < 2 or provider_network.routes.vrack is None:
        return Plan()
    message = (
        f"vRack {provider_network.routes.vrack.name} joins several countries: {described(provider_network.places.values())}; what runs in"
        " it may send data from one to the other"
    )
    return Plan(outcome=Outcome(reason=Reason.VRACK_ACROSS_COUNTRIES, message=message))


def plan_network_release(cloud: SovereignCloud, provider_network: ProviderNetwork | None, now: datetime) -> Plan:
    """Plan to release names, then blocks, then the vRack mark; empty and done: all released."""
    if provider_network is None:
        return Plan()
    routes, field_ = provider_network.routes, ("spec.deletionPolicy",)
    stages = (
        join(
            dns.plan_record_release(entry, routes.mark, field_)
            for entry in (provider_network.entry, provider_network.former)
        ),
        reverse_dns.plan_reverse_release(cloud, routes, provider_network.reverses),
        block_routing.plan_block_release(cloud, routes, now),
        vrack_mark.plan_vrack_release(routes.vrack, routes.mark) if routes.vrack else Plan(),
    )
    return next((s for s in stages if s.steps or s.outcome.phase is not Phase.DONE), Plan())


# --- executing -------------------------------------------------------------------------------------------------------


async def perform_network(step: NetworkStep, client: Ovh, cloud: SovereignCloud, now: datetime) -> Outcome:
    """Execute one network step."""
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
        cloud, Reason.RELEASING_BLOCK, message, asked(block_routing.detach_request(step.block, step.service), now)
    )


def _under_way(cloud: SovereignCloud, reason: Reason, message: str, fact: str) -> Outcome:
    outcome = waiting(reason, message, after=block_routing.LOOK_AGAIN, available=cloud.settled)
    return replace(outcome, facts={block_routing.ASKED: fact}, events=((reason, message),))
