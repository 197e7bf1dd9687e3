"""Migration requests: an evicted VM gets one InstanceMigration, if that is allowed.

Otherwise the needed consent is shown. Meanwhile nothing is stopped and no second VM is created.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, held, waiting
from sovereigncloud.core.plan import Action, Disruption, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import MoveVm
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.observed import Relocation
from sovereigncloud.kinds.hostedinstance.placement.eviction import NEEDS_MOVE, Eviction, find_eviction
from sovereigncloud.kinds.movement.requests import RequestMigration, migration_manifest

_AGAIN = 60.0


def plan_relocation(m: Machine) -> Part:
    """Drift of placement, and the InstanceMigration that resolves it."""
    seen = m.observed
    why = find_eviction(m.resource, m.cloud, seen.wanted, seen.vm_location)
    if why is None:
        return EMPTY_PART
    if seen.refused is not None and why.to not in {None, m.cloud}:
        return Part(drift=why.drift, outcome=seen.refused)
    if not why.by_itself:
        needs = f"{NEEDS_MOVE} (or create an InstanceMigration; or {why.remedy})"
        return Part(drift=why.drift, steps=(_consent_step(m, why, needs),))
    if seen.relocation is None:
        return Part(drift=why.drift)
    return _migration_step(m, why, seen.relocation)


def _migration_step(m: Machine, why: Eviction, found: Relocation) -> Part:
    if found.chosen is None:
        return Part(drift=why.drift, outcome=_migration_outcome(found))
    if found.chosen.cloud is None:
        return Part(drift=why.drift, outcome=_no_target(m, why, found))
    target = f"InstanceMigration {found.name}, which moves {m.target} to {where(found.chosen.cloud)}{_because(why)}"
    manifest = migration_manifest(
        found.name,
        m.resource.key,
        found.chosen.cloud,
        owner=m.resource,
        deletion_policy=DeletionPolicy.DELETE if m.resource.deletion_policy is DeletionPolicy.DELETE else None,
    )
    step = RequestMigration(
        action=Action.MOVE,
        target=target,
        fields=tuple(drift.path for drift in why.drift),
        disruption=Disruption.RESTART,
        cause=m.cause,
        manifest=manifest,
    )
    return Part(drift=why.drift, steps=(step,))


def _migration_outcome(found: Relocation) -> Outcome:
    """Outcome of an existing migration."""
    what = f"InstanceMigration {found.name}"
    if found.failed:
        return held(Reason.MOVE_FAILED, f"{what} failed: {found.failed}; delete it to retry")
    says = f": {found.says}" if found.says else ""
    return waiting(Reason.MOVING, f"{what} moves it{says}", available=True)


def _no_target(m: Machine, why: Eviction, found: Relocation) -> Outcome:
    """Outcome if no cloud can take the VM, which keeps running."""
    outcome = found.chosen.outcome if found.chosen is not None else None
    if outcome is None or outcome.phase is not Phase.STALLED:
        return replace(outcome or DONE, available=True)  # temporary
    message = (
        f"{m.target} has to leave {where(m.cloud)}{_because(why)}, and no other cloud can take it: {outcome.message}"
    )
    return replace(held(Reason.NO_COMPLIANT_TARGET, message), after=_AGAIN)


def _because(why: Eviction) -> str:
    return f": {why.because}" if why.because else ""


def _consent_step(m: Machine, why: Eviction, needs: str) -> Step:
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
