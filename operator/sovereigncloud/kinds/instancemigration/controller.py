"""InstanceMigration: a machine goes to another cloud as a copy, of which one runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode, MigrationPhase
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import where, written_cloud
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy
from sovereigncloud.kinds.hostedinstance.continuity.migration_in_progress import leaves_a_lost_cloud
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.instancemigration import plan as migration_plan
from sovereigncloud.kinds.instancemigration import steps
from sovereigncloud.kinds.instancemigration.lost_source.observation import look_from_afar
from sovereigncloud.kinds.instancemigration.lost_source.plan import plan_from_copy
from sovereigncloud.kinds.instancemigration.observation import (
    CopyOfDisk,
    MigrationObservation,
    Side,
    done_in,
    instance_key,
    is_over,
    look,
    rfc3339,
    target_of,
)
from sovereigncloud.kinds.instancemigration.retention_steps import KeptStep, perform_kept
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CLEANED,
    COPY,
    COPY_TIME,
    CUT_OVER,
    ENDED,
    FAILED,
    FROM,
    RAN,
    STARTED,
    STOPPED,
)
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import state_of

_MIB = 1 << 20
_KEPT = ("source", "target", "disks", "bytes")


class InstanceMigrationController:
    """Drives `one.vm.disksaveas`, `one.marketapp.*`, `one.image.allocate` and `one.vm.*` of two clouds."""

    resource = InstanceMigration

    def uses(self, resource: InstanceMigration) -> Uses:
        """The machine and both clouds, until it is over."""
        if is_over(resource):
            return Uses()
        left = written_cloud(resource.external.get(FROM, ""))
        own = resource.metadata.namespace
        # A cloud of another namespace only once it was found to be allowed.
        clouds = (target_of(resource), *((left,) if left is not None else ()))
        allowed = tuple(cloud for cloud in clouds if cloud.namespace == own or BEGAN in resource.external)
        return Uses(objects=(instance_key(resource), *allowed))

    async def observe(self, resource: InstanceMigration, context: Context) -> MigrationObservation:
        return await (look_from_afar if leaves_a_lost_cloud(resource) else look)(resource, context)

    def plan(self, resource: InstanceMigration, observed: MigrationObservation, now: datetime) -> Plan:
        if leaves_a_lost_cloud(resource) and not is_over(resource):
            return plan_from_copy(resource, observed, now)
        return migration_plan.plan(resource, observed, now)

    async def perform(self, step: Step, resource: InstanceMigration, context: Context) -> Outcome:
        if isinstance(step, KeptStep):
            return await perform_kept(step, resource, context)
        return await steps.perform(step, resource, context)

    def status(self, resource: InstanceMigration, observed: MigrationObservation) -> Mapping[str, object]:
        """How far it is, and what it took. When it is over, as it was."""
        external = resource.external
        told = resource.status.model_dump(by_alias=True, exclude_none=True)
        fields: dict[str, object] = {key: told.get(key) for key in _KEPT}
        if not is_over(resource) and observed.problem is None and not done_in(resource, observed):
            fields["source"] = (
                _machine(observed.source, observed.old) or _afar(observed) or _without_state(told.get("source"))
            )
            fields["target"] = _machine(observed.target, observed.new) or _without_state(told.get("target"))
            if BEGAN in external and observed.disks:
                fields["disks"] = [_disk(one, _entry(told, one)) for one in observed.disks]
                fields["bytes"] = sum(one.disk.size for one in observed.disks) * _MIB
        return {
            **fields,
            "phase": str(phase_of(resource, observed)),
            "copy": _used(resource, observed, told.get("copy")),
            "outage": _time(external.get(STOPPED)) if leaves_a_lost_cloud(resource) else None,
            "rpoSeconds": _lost_work(resource),
            "downtimeSeconds": _downtime(resource),
            "beganAt": _time(external.get(BEGAN)),
            "endedAt": _time(external.get(ENDED)),
            OWN_CONDITIONS: _proof(resource),
        }


def phase_of(move: InstanceMigration, seen: MigrationObservation) -> MigrationPhase:
    """In one word."""
    external = move.external
    if ENDED in external:
        return MigrationPhase.FAILED if FAILED in external else MigrationPhase.SUCCEEDED
    if FAILED in external:
        return MigrationPhase.ROLLING_BACK
    if CUT_OVER in external:
        waits = seen.old is not None or seen.lost is not None
        return MigrationPhase.GRACE if CLEANED in external and waits else MigrationPhase.CLEANING_UP
    if seen.left or seen.taken_over:
        return MigrationPhase.CUTTING_OVER
    if RAN in external:
        return MigrationPhase.CLEANING_UP
    if BEGAN not in external:
        return MigrationPhase.CHECKING
    return MigrationPhase.STARTING if seen.new is not None else MigrationPhase.COPYING


def _machine(side: Side | None, vm: Vm | None) -> dict[str, str] | None:
    if side is None or vm is None:
        return None
    return {"cloud": where(side.cloud), "id": str(vm.id), "state": state_of(vm).words}


def _afar(seen: MigrationObservation) -> dict[str, str] | None:
    """A machine that nobody sees."""
    if seen.lost is None:
        return None
    machine = seen.lost.machine
    return {"cloud": where(seen.lost.cloud), **({"id": str(machine.id)} if machine is not None else {})}


def _used(move: InstanceMigration, seen: MigrationObservation, told: object) -> object:
    """The copy that the machine was made from."""
    copy = seen.lost.copy if seen.lost is not None else ""
    if not isinstance(copy, Copy) or copy.name != move.external.get(COPY):
        return told
    return {"name": copy.name, "kind": copy.kind, "time": copy.time, "server": copy.server or None}


def _lost_work(move: InstanceMigration) -> int | None:
    external = move.external
    if STOPPED not in external or COPY_TIME not in external:
        return None
    return max(int(external[STOPPED]) - int(external[COPY_TIME]), 0)


def _without_state(told: object) -> object:
    """What was there and is not any more."""
    return {key: value for key, value in told.items() if key != "state"} if isinstance(told, dict) else None


def _entry(told: Mapping[str, object], one: CopyOfDisk) -> Mapping[str, str]:
    disks = told.get("disks")
    entries = disks if isinstance(disks, list) else []
    return next((entry for entry in entries if entry.get("name") == str(one.disk.id)), {})


def _disk(one: CopyOfDisk, before: Mapping[str, str]) -> dict[str, str]:
    """The numbers stay when what they were of is taken away."""
    found = {
        "image": str(one.saved.id) if one.saved is not None else "",
        "app": str(one.app.id) if one.app is not None else "",
        "copy": str(one.copy.id) if one.copy is not None else "",
        "digest": one.app.digest if one.app is not None else "",
    }
    known = {key: value for key, value in found.items() if value}
    return {**before, **known, "name": str(one.disk.id), "size": capacity.size(one.disk.size)}


def _downtime(move: InstanceMigration) -> int | None:
    """Of a rehearsal: what it would have been."""
    external = move.external
    rehearses = move.spec.mode == MigrationMode.REHEARSE
    first, last = (BEGAN, RAN) if rehearses else (STOPPED, STARTED)
    if first not in external or last not in external:
        return None
    return int(external[last]) - int(external[first])


def _time(seconds: str | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _proof(move: InstanceMigration) -> tuple[dict[str, str], ...]:
    """Of a rehearsal, once it is known."""
    if move.spec.mode != MigrationMode.REHEARSE:
        return ()
    external, to = move.external, where(target_of(move))
    proves = "FailoverReady" if leaves_a_lost_cloud(move) else "ExitProven"
    if RAN in external:
        message = f"a copy of the machine ran in {to} on {_time(external[RAN])}, {_downtime(move)} s after it was begun"
        message += "; what was copied is kept there" if move.spec.keep_copy else ""
        return ({"type": proves, "status": "True", "reason": Reason.REHEARSED, "message": message},)
    if FAILED in external:
        return ({"type": proves, "status": "False", "reason": Reason.MOVE_FAILED, "message": external[FAILED]},)
    return ()
