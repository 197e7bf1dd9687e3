"""The IP blocks of a cloud's networks, routed to its vRack. Blocks move whole; a block is routed to one service."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.pending import Asked, answered, pending
from sovereigncloud.kinds.ports import IpBlock, VrackView

ASKED = "blockAsked"
LOOK_AGAIN = 5.0
_WITHIN = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachBlock(Step):
    vrack: str
    block: str


def canonical(block: str) -> str:
    """The block as OVHcloud writes it; what is no block stays as it is."""
    try:
        return str(ipaddress.ip_network(block))
    except ValueError:
        return block


def declared(cloud: SovereignCloud) -> dict[str, str]:
    """The public blocks, by the name of their network."""
    networks = (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()
    return {n.name: canonical(n.public_block) for n in networks if n.public_block}


def astray(cloud: SovereignCloud, vrack: VrackView | None) -> dict[str, str]:
    """The declared blocks that the view does not show in the vRack."""
    inside = {canonical(b) for b in vrack.blocks} if vrack else set()
    return {name: block for name, block in declared(cloud).items() if block not in inside}


def plan_routing(
    cloud: SovereignCloud, vrack: VrackView | None, blocks: Mapping[str, IpBlock | None], now: datetime
) -> Plan:
    """Route what is not. `blocks`: the blocks that the view does not show in the vRack, read one by one; None: unknown."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None or vrack is None:
        name = ovh.vrack if ovh else ""
        message = f"the account has no vRack {name}, or the credential may not see it; check spec.hosted.ovh.vrack"
        return Plan(outcome=stalled(Reason.NO_SUCH_VRACK, message, after=300.0))
    missing = astray(cloud, vrack)
    if not missing:
        return answered(cloud, ASKED)
    drift, steps = [], []
    outcome = Outcome()
    for name, block in missing.items():
        path = f"spec.hosted.networks[{name}].publicBlock"
        found = blocks.get(block)
        if found is None:
            outcome = outcome.merge(_no_such_block(name, block))
        elif found.routed_to == vrack.name:
            continue  # the block itself is newer than the view
        elif found.routed_to.startswith("pn-"):
            drift.append(_drift(path, block, vrack.name, found.routed_to))
            outcome = outcome.merge(_elsewhere(block, found.routed_to, vrack.name))
        else:
            drift.append(_drift(path, block, vrack.name, found.routed_to))
            if pending(cloud, Asked(ASKED, block, path, _WITHIN), now):
                # One block at a time: one request is remembered.
                message = f"block {block} is being routed to vRack {vrack.name}"
                return Plan(
                    drift=tuple(drift),
                    outcome=waiting(Reason.ROUTING_BLOCK, message, after=LOOK_AGAIN, available=cloud.settled),
                )
            steps.append(_attach(cloud, path, vrack.name, block))
    return Plan(drift=tuple(drift), steps=tuple(steps), outcome=outcome)


def _drift(path: str, block: str, vrack: str, routed_to: str) -> Drift:
    return Drift(path, f"{block} routed to {vrack}", f"routed to {routed_to}" if routed_to else "parked")


def _attach(cloud: SovereignCloud, path: str, vrack: str, block: str) -> AttachBlock:
    return AttachBlock(
        action=Action.ATTACH,
        target=f"IP block {block} to vRack {vrack}",
        fields=(path,),
        cause=Cause.OBSERVED if cloud.settled else Cause.DECLARED,
        vrack=vrack,
        block=block,
    )


def _no_such_block(network: str, block: str) -> Outcome:
    message = f"the account has no IP block {block}, or the credential may not see it; check publicBlock of {network}"
    return stalled(Reason.NO_SUCH_BLOCK, message, after=300.0)


def _elsewhere(block: str, vrack: str, wanted: str) -> Outcome:
    message = (
        f"IP block {block} is routed to vRack {vrack}, which is not this cloud's ({wanted}); detach it there first, since"
        " whatever uses it there would lose its addresses"
    )
    return stalled(Reason.BLOCK_IN_OTHER_VRACK, message, after=60.0)
