"""A machine that runs where its placement, or a policy, does not want it.

It is shown, and where it may be moved one InstanceMigration is made, which moves it. A second machine is never made here, and
nothing is stopped meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, held, waiting
from sovereigncloud.core.plan import Action, Disruption, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.placement.eviction import NEEDS_MOVE, Leaving, leaving
from sovereigncloud.kinds.hostedinstance.placement.relocation import Relocation
from sovereigncloud.kinds.hostedinstance.steps import MoveVm
from sovereigncloud.kinds.movement.requests import MakeMove, migration

_AGAIN = 60.0


def placement(m: Machine) -> Part:
    """What excludes the place that it is in, and the move that ends it. Where an exit brought it only policies do."""
    seen = m.observed
    why = leaving(m.resource, m.cloud, seen.wanted, seen.whereabouts)
    if why is None:
        return NOTHING
    if seen.refused is not None and why.to not in {None, m.cloud}:
        return Part(drift=why.drift, outcome=seen.refused)
    if not why.by_itself:
        needs = f"{NEEDS_MOVE} (or make an InstanceMigration, which moves it; or {why.remedy})"
        return Part(drift=why.drift, steps=(_shown(m, why, needs),))
    if seen.relocation is None:
        return Part(drift=why.drift)
    return _moves(m, why, seen.relocation)


def _moves(m: Machine, why: Leaving, found: Relocation) -> Part:
    if found.chosen is None:
        return Part(drift=why.drift, outcome=_told(found))
    if found.chosen.cloud is None:
        return Part(drift=why.drift, outcome=_nowhere(m, why, found))
    target = f"InstanceMigration {found.name}, which moves {m.target} to {where(found.chosen.cloud)}{_because(why)}"
    manifest = migration(
        found.name,
        m.resource.key,
        found.chosen.cloud,
        owner=m.resource,
        deletion_policy=DeletionPolicy.DELETE if m.resource.deletion_policy is DeletionPolicy.DELETE else None,
    )
    step = MakeMove(
        action=Action.MOVE,
        target=target,
        fields=tuple(drift.path for drift in why.drift),
        disruption=Disruption.RESTART,
        cause=m.cause,
        manifest=manifest,
    )
    return Part(drift=why.drift, steps=(step,))


def _told(found: Relocation) -> Outcome:
    """Of a move that is there."""
    what = f"InstanceMigration {found.name}"
    if found.failed:
        return held(Reason.MOVE_FAILED, f"{what} failed: {found.failed}; delete it to have it tried again")
    says = f": {found.says}" if found.says else ""
    return waiting(Reason.MOVING, f"{what} is to move it{says}", available=True)


def _nowhere(m: Machine, why: Leaving, found: Relocation) -> Outcome:
    """It stays where it is and runs on."""
    outcome = found.chosen.outcome if found.chosen is not None else None
    if outcome is None or outcome.phase is not Phase.STALLED:
        return replace(outcome or DONE, available=True)  # it passes
    message = f"{m.target} should leave {where(m.cloud)}{_because(why)}, and there is nowhere to go: {outcome.message}"
    return replace(held(Reason.NO_COMPLIANT_TARGET, message), after=_AGAIN)


def _because(why: Leaving) -> str:
    return f": {why.because}" if why.because else ""


def _shown(m: Machine, why: Leaving, needs: str) -> Step:
    return MoveVm(
        action=Action.MOVE,
        target=f"{m.target}: needs to move from {where(m.cloud)}{f' to {where(why.to)}' if why.drift and why.to else ''}{_because(why)}",
        fields=tuple(drift.path for drift in why.drift),
        disruption=Disruption.RESTART,
        cause=m.cause,
        needs=needs,
        cloud=m.cloud,
        vm=m.vm.id,
    )
