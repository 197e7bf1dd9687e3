"""Going back, and taking away what a move made on its way. Pure."""

from __future__ import annotations

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.storage.names import DISK
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation, Side, rfc3339, target_of
from sovereigncloud.kinds.instancemigration.retention import keep
from sovereigncloud.kinds.instancemigration.source_disks import end_left_disks
from sovereigncloud.kinds.instancemigration.steps import Act, DeleteApp, DeleteImage, ForgetMove, remember
from sovereigncloud.kinds.movement.records import BEGAN, ENDED, FAILED, RAN, Rehearsal, rehearsal
from sovereigncloud.ports.opennebula.migration import AppState
from sovereigncloud.ports.opennebula.views import Image, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

_READY = 1
_ERROR = 5
_LOOK_AGAIN = 5.0


def go_back(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    """The copy first, so that no two run; then the machine runs again; then what was made goes; then nothing tells of it."""
    why = move.external.get(FAILED) or "it was called off"
    reason = Reason.ROLLING_BACK if move.spec.mode == MigrationMode.EXECUTE else Reason.CLEANING_UP
    ending = _end_copy(move, seen)
    if ending is not None:
        return ending
    starting = _start_again(move, seen)
    if starting is not None:
        return starting
    keeping = keep(move, seen)
    if keeping is not None:
        return keeping
    cleaning = clean_up(seen)
    if cleaning is not None:
        return cleaning
    if seen.note is not None and seen.old is not None and seen.source is not None:
        target = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}: no move any more'
        forget = ForgetMove(
            action=Action.UPDATE, target=target, cloud=seen.source.cloud, vm=seen.old.id, proof=_proof(move)
        )
        return Plan(steps=(forget,), outcome=waiting(reason, f"{why}: the machine is where it was"))
    if move.deleting:
        return Plan()
    return Plan(steps=(remember("that the move is over", ENDED),))


def without_instance(move: InstanceMigration, seen: MigrationObservation) -> Plan:
    """Of a move that is to go, after its instance went: nothing is handed over to anybody any more. The machine that was left stays,
    unless spec.deletionPolicy says otherwise.
    """
    for going in (_end_copy(move, seen), clean_up(seen)):
        if going is not None:
            return going
    if seen.source is None or move.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    if seen.old is None:
        return end_left_disks(seen) or Plan()
    return end_left(seen.old, seen.source)


def end_left(old: Vm, source: Side) -> Plan:
    """The machine that was left goes, with its disks."""
    what = f'VM {old.id} "{old.name}" in {where(source.cloud)}, which was left'
    state = state_of(old)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        return Plan(
            outcome=waiting(Reason.TERMINATING, f"{what}, is being terminated", after=_LOOK_AGAIN, available=True)
        )
    if state.situation is Situation.BUSY:
        return Plan(outcome=waiting(state.reason, f"{what}, is {state.words}", after=_LOOK_AGAIN, available=True))
    step = Act(
        action=Action.DELETE,
        target=what,
        disruption=Disruption.DATA_LOSS,
        cloud=source.cloud,
        vm=old.id,
        verb="terminate-hard",
        reason=Reason.SUPERSEDED_COPY_DELETED,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.TERMINATING, f"{what}, is to be terminated", available=True))


def _proof(move: InstanceMigration) -> str:
    """What a rehearsal leaves on the machine; empty: no copy ran."""
    if RAN not in move.external:
        return ""
    ran, began = move.external[RAN], move.external[BEGAN]
    return rehearsal(Rehearsal(rfc3339(ran), int(ran) - int(began), where(target_of(move)), move.metadata.name))


def _end_copy(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """None: there is none. A change-over that was asked for, and shows nowhere yet, has no way back: it would leave no machine."""
    if seen.new is None or seen.target is None or seen.taken_over:
        return None
    what = f'VM {seen.new.id} "{seen.new.name}" in {where(seen.target.cloud)}, the copy'
    state = state_of(seen.new)
    if state.situation in {Situation.ENDING, Situation.GONE}:
        return Plan(outcome=waiting(Reason.ROLLING_BACK, f"{what}, is being terminated", after=_LOOK_AGAIN))
    if state.situation is Situation.BUSY:
        return Plan(outcome=waiting(state.reason, f"{what}, is {state.words}; it goes after that", after=_LOOK_AGAIN))
    step = Act(
        action=Action.DELETE,
        target=what,
        cloud=seen.target.cloud,
        vm=seen.new.id,
        verb="terminate-hard",
        reason=Reason.TERMINATING,
        takes_back=move.spec.mode == MigrationMode.EXECUTE,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.ROLLING_BACK, f"{what}, is to be terminated"))


def _start_again(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """The machine that was powered off for the move; None: nothing to start."""
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
    step = Act(
        action=Action.UPDATE,
        target=f"{what}: start again",
        cloud=seen.source.cloud,
        vm=seen.old.id,
        verb="resume",
        reason=Reason.STARTING,
    )
    return Plan(steps=(step,), outcome=waiting(Reason.ROLLING_BACK, f"{what} is to run again"))


def clean_up(seen: MigrationObservation) -> Plan | None:
    """Images and apps on the way; None: none is left. What a machine has is a disk by now."""
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
    told = f"what was made on the way is taken away: {', '.join(left)}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.CLEANING_UP, told, after=_LOOK_AGAIN, available=True))


def _can_go(image: Image) -> bool:
    """OpenNebula refuses to delete one that is being written, copied or used."""
    return image.state in {_READY, _ERROR} and not image.vms
