"""Reverse names of a block's addresses. What was set is written on the block before, so that it can be taken away again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.sovereigncloud.network.block_routing import Routes, is_our_block, public_networks
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.ovh.account import IpBlock, Ovh

TAG: Final = "sovereigncloud.io/reverse/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReverse(Step):
    block: str
    urn: str
    address: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteReverse(Step):
    """`name`: what it says as long as nobody changed it; empty: it says something else, only our record of it goes."""

    block: str
    urn: str
    address: str
    name: str = ""


Reverses = Mapping[str, Mapping[str, str]]
"""By block: the reverse name of each address that has one."""


def addresses_of_interest(cloud: SovereignCloud, blocks: Mapping[str, IpBlock | None]) -> dict[str, frozenset[str]]:
    """By block: the addresses that spec gives a name, or that were given one before."""
    found: dict[str, frozenset[str]] = {}
    for block, network in public_networks(cloud).items():
        wanted = {entry.ip for entry in network.reverse_dns or ()}
        known = blocks.get(block)
        if addresses := wanted | set(_recorded(known) if known else ()):
            found[block] = frozenset(addresses)
    return found


def plan_reverses(cloud: SovereignCloud, routes: Routes, reverses: Reverses) -> Plan:
    """Give each address its declared name, and take those away that spec named before. Only on a block that is ours."""
    drift: list[Drift] = []
    steps: list[Step] = []
    for block, network in public_networks(cloud).items():
        known, found = routes.blocks.get(block), reverses.get(block, {})
        if known is None or not is_our_block(known, routes.mark):
            continue
        wanted = {entry.ip: entry.name for entry in network.reverse_dns or ()}
        for address, name in wanted.items():
            if _same(found.get(address, ""), name):
                continue
            path = f"spec.hosted.networks[{network.name}].reverseDNS[{address}]"
            drift.append(Drift(path, name, found.get(address, "").rstrip(".") or "none"))
            steps.append(
                SetReverse(
                    action=Action.UPDATE,
                    target=f"reverse name of {address}, {name}",
                    fields=(path,),
                    cause=Cause.OBSERVED if cloud.settled else Cause.DECLARED,
                    block=block,
                    urn=known.urn,
                    address=address,
                    name=name,
                )
            )
        steps += [_removal(known, a, found, ()) for a in _recorded(known) if a not in wanted]
    return Plan(drift=tuple(drift), steps=tuple(steps))


def plan_reverse_release(cloud: SovereignCloud, routes: Routes, reverses: Reverses) -> Plan:
    """Take away what was set, since the cloud is deleted with deletionPolicy Delete."""
    steps: list[Step] = []
    for block in public_networks(cloud):
        known = routes.blocks.get(block)
        if known is not None and is_our_block(known, routes.mark):
            found = reverses.get(block, {})
            steps += [_removal(known, a, found, ("spec.deletionPolicy",)) for a in _recorded(known)]
    return Plan(steps=tuple(steps))


async def set_reverse(step: SetReverse, client: Ovh) -> Outcome:
    await client.tag(step.urn, {TAG + step.address: step.name})
    try:
        await client.zones.set_reverse(step.block, step.address, step.name)
    except Rejected as error:
        if error.reason is not Reason.FORWARD_RECORD_MISSING:
            raise
        message = (
            f"{step.name} does not resolve to {step.address}, so that address cannot be given that name: make an A record"
            " for it where that name is served; it is tried again by itself"
        )
        raise Rejected(message, reason=Reason.FORWARD_RECORD_MISSING) from None
    return done(Reason.REVERSE_DNS_SET, f"{step.address} is called {step.name}")


async def delete_reverse(step: DeleteReverse, client: Ovh) -> Outcome:
    if step.name:
        await client.zones.delete_reverse(step.block, step.address)
    await client.untag(step.urn, frozenset({TAG + step.address}))
    return done(Reason.REVERSE_DNS_DELETED, f"{step.target} was taken away")


def _recorded(block: IpBlock) -> dict[str, str]:
    """What was set, by address."""
    return {key.removeprefix(TAG): name for key, name in sorted(block.tags.items()) if key.startswith(TAG)}


def _removal(block: IpBlock, address: str, found: Mapping[str, str], fields: tuple[str, ...]) -> DeleteReverse:
    ours = _same(found.get(address, ""), _recorded(block)[address])
    return DeleteReverse(
        action=Action.DELETE,
        target=f"reverse name of {address}",
        fields=fields,
        block=block.block,
        urn=block.urn,
        address=address,
        name=_recorded(block)[address] if ours else "",
    )


def _same(one: str, other: str) -> bool:
    return bool(one) and one.rstrip(".").lower() == other.rstrip(".").lower()
