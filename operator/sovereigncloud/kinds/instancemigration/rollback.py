"""Plan the rollback of a migration and the cleanup of temporary objects. Pure."""

from __future__ import annotations

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side, rfc3339, target_of
from sovereigncloud.kinds.instancemigration.retention import retain_copy
from sovereigncloud.kinds.instancemigration.source_disks import delete_source_disks
from sovereigncloud.kinds.instancemigration.steps import (
    DeleteApp,
    DeleteImage,
    RemoveMigrationNote,
    VmAction,
    record_time,
)
from sovereigncloud.kinds.movement.records import BEGAN, ENDED, FAILED, RAN, Rehearsal, rehearsal
from sovereigncloud.ports.opennebula.migration import AppState
from sovereigncloud.ports.opennebula.views import Image, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

_READY = 1
_ERROR = 5
_LOOK_AGAIN = 5.0


def roll_back(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    """Plan the rollback: delete the copy, restart the source VM, clean up, remove the note."""
    why = move.external.get(FAILED) or "the migration was cancelled"
    reason = Reason.ROLLING_BACK if move.spec.mode == MigrationMode.EXECUTE else Reason.CLEANING_UP
    ending = _end_copy(move, seen)
    if ending is not None:
        return ending
    starting = _start_again(move, seen)
    if starting is not None:
        return starting
    keeping = retain_copy(move, seen)
    if keeping is not None:
        return keeping
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if seen.note is not None and seen.old is not None and seen.source is not None:
        target = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}: no move any more'
        forget = RemoveMigrationNote(
            action=Action.UPDATE, target=target, cloud=seen.source.cloud, vm=seen.old.id, proof=_proof(move)
        )
        return Plan(steps=(forget,), outcome=waiting(reason, f"{why}: the VM is where it was"))
    if move.deleting:
        return Plan()
    return Plan(steps=(record_time("that the move is over", ENDED),))


def plan_orphaned_deletion(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    """Plan the deletion of a migration whose HostedInstance no longer exists.

    Nothing is handed over any more. The source VM stays unless spec.deletionPolicy is Delete.
    """
    for going in (_end_copy(move, seen), clean_up(seen)):
        if going is not None:
            return going
    if seen.source is None or move.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    if seen.old is None:
        return delete_source_disks(seen) or Plan()
    return delete_source_vm(seen.old, seen.source)


def delete_source_vm(old: Vm, source: Side) -> Plan:
    """Plan the termination of the source VM and its disks."""
    what = f'VM {old.id} "{old.name}" in {where(source.cloud)}, which was left'
    state = state_of(old)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        return Plan(
            outcome=waiting(Reason.TERMINATING, f"{what}, is being terminated", after=_LOOK_AGAIN, available=True)
        )
    if state.situation is Situation.BUSY:
        return Plan(outcome=waiting(state.reason, f"{what}, is {state.words}", after=_LOOK_AGAIN, available=True))
    step = VmAction(
        action=Action.DELETE,
        target=what,
        disruption=Disruption.DATA_LOSS,
        cloud=source.cloud,
        vm=old.id,
        verb="terminate-hard",
        reason=Reason.SUPERSEDED_COPY_DELETED,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.TERMINATING, f"terminating {what}", available=True))


def _proof(move: InstanceMigration) -> str:
    """Rehearsal record for the source VM; empty if no copy ran."""
    if RAN not in move.external:
        return ""
    ran, began = move.external[RAN], move.external[BEGAN]
    return rehearsal(Rehearsal(rfc3339(ran), int(ran) - int(began), where(target_of(move)), move.metadata.name))


def _end_copy(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Plan the termination of the copy; None if there is none or it is the instance's VM already.

    A cutover that was sent but is not visible yet cannot be rolled back: that would leave no VM.
    """
    if seen.new is None or seen.target is None or seen.taken_over:
        return None
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(seen.target.cloud)}, the copy'
    state = state_of(seen.new)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        return Plan(outcome=waiting(Reason.ROLLING_BACK, f"{what}, is being terminated", after=_LOOK_AGAIN))
    if state.situation is Situation.BUSY:
        return Plan(
            outcome=waiting(state.reason, f"{what}, is {state.words}; it is terminated after that", after=_LOOK_AGAIN)
        )
    step = VmAction(
        action=Action.DELETE,
        target=what,
        cloud=seen.target.cloud,
        vm=seen.new.id,
        verb="terminate-hard",
        reason=Reason.TERMINATING,
        takes_back=move.spec.mode == MigrationMode.EXECUTE,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.ROLLING_BACK, f"terminating {what}"))


def _start_again(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Plan to start the source VM that the migration powered off; None if nothing is to start."""
    if move.spec.mode != MigrationMode.EXECUTE or seen.old is None or seen.source is None:
        return None
    if seen.note is None or not seen.note.ran:
        return None
    what = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}'
    state = state_of(seen.old)
    if state.situation in {Situation.BUSY, Situation.QUEUED}:
        return Plan(outcome=waiting(Reason.ROLLING_BACK, f"{what} is {state.words}", after=_LOOK_AGAIN))
    if state.situation is not Situation.POWERED_OFF:
        return None
    step = VmAction(
        action=Action.UPDATE,
        target=f"{what}: start again",
        cloud=seen.source.cloud,
        vm=seen.old.id,
        verb="resume",
        reason=Reason.STARTING,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.ROLLING_BACK, f"starting {what} again"))


def clean_up(seen: MigrationObservation) -> Plan | None:
    """Plan the deletion of temporary images and apps; None if none is left.

    Imported images that became disks of the VM are not temporary.
    """
    steps: list[Step] = []
    left: list[str] = []
    for app in seen.apps:
        if seen.source is None:
            break
        left.append(f"app {app.id}")
        if app.state != AppState.LOCKED:
            target = f'app {app.id} "{app.name}" of marketplace "{app.marketplace}"'
            steps.append(DeleteApp(action=Action.DELETE, target=target, cloud=seen.source.cloud, app=app.id))
    for side, images in ((seen.source, seen.saved), (seen.target, seen.copies)):
        for image in images:
            if side is None or (side is seen.target and DISK in image.notes):
                continue
            left.append(f"image {image.id} in {where(side.cloud)}")
            if _can_go(image):
                target = f'image {image.id} "{image.name}" in {where(side.cloud)}'
                steps.append(DeleteImage(action=Action.DELETE, target=target, cloud=side.cloud, image=image.id))
    if not left:
        return None
    told = f"deleting temporary images and apps of the migration: {', '.join(left)}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.CLEANING_UP, told, after=_LOOK_AGAIN, available=True))


def _can_go(image: Image) -> bool:
    """Whether OpenNebula accepts the deletion; not of an image that is locked, cloned or used."""
    return image.state in {_READY, _ERROR} and not image.vms
