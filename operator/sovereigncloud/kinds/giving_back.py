"""What a deleted cloud gives back before its servers go: its hosts in OpenNebula, then its blocks in the vRack.

Only once the cloud noted that this is over (`LET_GO`) may its servers leave: in a foreground deletion they have their
deletionTimestamp from the first second on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.base import DeletionPolicy
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.hosts import DISABLED, LEAVING_NOTE
from sovereigncloud.kinds.hosts_leaving import DeleteHost, DisableHost
from sovereigncloud.kinds.pending import Asked, asked, pending
from sovereigncloud.kinds.ports import Host, VrackView
from sovereigncloud.kinds.routing import canonical, declared

LET_GO = "letGo"
"""In `status.external` of a cloud that is being deleted: hosts and blocks are given back, nothing holds its servers."""
BLOCK_ASKED = "blockReleaseAsked"

_PATH = "spec.deletionPolicy"
_WITHIN = 600.0
_BY_A_DELETION = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseBlock(Step):
    """Out of the vRack: parked, and still the account's."""

    vrack: str
    block: str


def ours(hosts: Iterable[Host], mark: Mark) -> tuple[Host, ...]:
    """The hosts that carry the mark of this cloud; what others registered stays."""
    mine = {Ownership.OURS, Ownership.PREDECESSOR}
    return tuple(sorted((h for h in hosts if ownership(h.mark, mark) in mine), key=lambda h: h.id))


def blocks_inside(cloud: SovereignCloud, vrack: VrackView | None) -> tuple[str, ...]:
    """The cloud's blocks that are routed to its vRack."""
    inside = {canonical(b) for b in vrack.blocks} if vrack else set()
    return tuple(sorted(b for b in declared(cloud).values() if b in inside))


def plan_giving_back(
    cloud: SovereignCloud, hosts: tuple[Host, ...], vrack: str, blocks: tuple[str, ...], now: datetime
) -> Plan:
    """The next steps; a plan without any, and done: all of it is given back."""
    if hosts:
        return Plan(steps=tuple(s for host in hosts for s in _unregister(host)))
    if blocks:
        return _release(cloud, vrack, blocks[0], now)
    return Plan()


def _unregister(host: Host) -> tuple[Step, ...]:
    named = f"host {host.id} ({host.name})"
    delete = DeleteHost(action=Action.DELETE, target=named, fields=(_PATH,), host_id=host.id)
    if host.state in DISABLED:
        return (delete,)
    # Disabled first: nothing is placed there between the look that found it empty and its end.
    note = host.notes.get(LEAVING_NOTE) or _BY_A_DELETION
    disable = DisableHost(
        action=Action.UPDATE,
        target=f"{named}, disabled since its cloud is deleted",
        fields=(_PATH,),
        host_id=host.id,
        note=note,
    )
    return disable, delete


def _release(cloud: SovereignCloud, vrack: str, block: str, now: datetime) -> Plan:
    """One block at a time: one request is remembered."""
    if pending(cloud, Asked(BLOCK_ASKED, block, "", _WITHIN), now):
        return Plan(outcome=_releasing(block, vrack))
    step = ReleaseBlock(
        action=Action.DETACH,
        target=f"IP block {block} from vRack {vrack}",
        fields=(_PATH,),
        vrack=vrack,
        block=block,
    )
    return Plan(steps=(step,))


def _releasing(block: str, vrack: str) -> Outcome:
    return waiting(Reason.RELEASING_BLOCK, f"IP block {block} is leaving vRack {vrack}")


def asked_to_release(step: ReleaseBlock, now: datetime) -> Outcome:
    """What is said and remembered once it was asked."""
    outcome = _releasing(step.block, step.vrack)
    return replace(
        outcome,
        facts={BLOCK_ASKED: asked(step.block, now)},
        events=((Reason.BLOCK_RELEASED, f"{step.target}: asked to leave"),),
    )


def let_go() -> Plan:
    """Noted before any server goes."""
    message = "hosts and blocks are given back, the servers go next"
    return Plan(outcome=waiting(Reason.DELETING_CHILDREN, message, after=0.05).with_facts(**{LET_GO: "yes"}))


def holds_its_servers(cloud: SovereignCloud) -> bool:
    """Whether a cloud that is being deleted needs its servers still."""
    deletes = cloud.deletion_policy is DeletionPolicy.DELETE and cloud.spec.hosted is not None
    return deletes and LET_GO not in cloud.external
