"""Plan a migration from a lost cloud: recreate the VM from its latest outside copy. Pure.

Nothing is queried in the lost cloud and its VM cannot be updated, so the copy carries a note about its origin, which
the instance records. The copy starts only while the source is fenced. If the source cloud answers before the cutover,
the migration is rolled back, since the data there is newer.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.continuity.copies import SOURCE_IMAGE
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT
from sovereigncloud.kinds.hostedinstance.machine.copy import IMAGE, Copy
from sovereigncloud.kinds.hostedinstance.machine.disk_names import is_root_disk
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED
from sovereigncloud.kinds.instancemigration.checks import (
    check_free_space,
    check_instance,
    check_placement,
    check_quota,
    image_datastore,
    target_nics,
)
from sovereigncloud.kinds.instancemigration.cutover import cut_over
from sovereigncloud.kinds.instancemigration.lost_source.source_cleanup import fence, plan_after_cutover
from sovereigncloud.kinds.instancemigration.observation import (
    DiskTransfer,
    LostSource,
    MigrationObservation,
    recorded_as_done,
)
from sovereigncloud.kinds.instancemigration.plan import (
    finish_as_done,
    finish_rehearsal,
    instance_released_vm,
    rehearses,
    start_copy,
    target_side,
)
from sovereigncloud.kinds.instancemigration.retention_steps import CloneDisk, PersistClone, ReplaceCloneMarks
from sovereigncloud.kinds.instancemigration.rollback import roll_back
from sovereigncloud.kinds.instancemigration.steps import (
    DeleteImage,
    ImportDisk,
    RecordFacts,
    SkipCopy,
    fail_migration,
    record_time,
)
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CAME_FROM,
    COPY,
    COPY_TIME,
    CUT_OVER,
    ENDED,
    FAILED,
    FROM,
    PASSED_AT,
    PASSED_OVER,
    PROOF,
    RAN,
    STOPPED,
    read_superseded,
    saved_name,
    seconds_of,
    shortened,
)
from sovereigncloud.ports.opennebula.image_states import THERE, words
from sovereigncloud.ports.opennebula.views import Image

_ERROR = 5
_LOOK_AGAIN = 5.0
_TRY_AGAIN = 60.0


def plan_recovery(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """Plan the next steps of a migration whose source cloud is lost."""
    if seen.problem is not None:
        nothing_made = move.deleting and BEGAN not in move.external
        return Plan() if nothing_made else Plan(outcome=seen.problem)
    if seen.lost is None:
        return Plan(steps=(record_time("that it is there", ENDED),))
    if seen.taken_over:
        return _plan_after_takeover(move, seen, seen.lost, now)
    if told := recorded_as_done(move, seen):
        return finish_as_done(move, seen, told)
    if move.deleting or FAILED in move.external or RAN in move.external:
        return roll_back(move, seen)
    if BEGAN not in move.external:
        return _begin(move, seen, seen.lost)
    return _plan_forward(move, seen, seen.lost, now)


def _plan_forward(move: InstanceMigration, seen: MigrationObservation, lost: LostSource, now: datetime) -> Plan:
    if not rehearses(move):
        if lost.answers:
            told = f"{where(lost.cloud)} is reachable again, and its data is newer than any copy"
            return Plan(steps=(fail_migration(told),))
        if not instance_released_vm(seen):
            told = f"waiting for HostedInstance {move.spec.instance_ref.name} to hand its VM over to this migration"
            return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
    if seen.new is None and (copying := _transfer_disks(move, seen, lost, now)) is not None:
        return copying
    waits = "" if rehearses(move) or lost.proof.fenced else lost.proof.why
    return start_copy(move, seen, now, waits, lambda: _runs(move, seen, now))


def _runs(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    return finish_rehearsal(seen) if rehearses(move) else cut_over(move, seen, now)


def _plan_after_takeover(move: InstanceMigration, seen: MigrationObservation, lost: LostSource, now: datetime) -> Plan:
    """Plan after the cutover: power off the superseded VM first, then clean up."""
    if BEGAN not in move.external:
        return _restore_records(seen, lost)
    if (fencing := fence(seen, lost)) is not None:
        return fencing
    if CUT_OVER in move.external:
        return plan_after_cutover(move, seen, lost, now)
    return cut_over(move, seen, now)


def _restore_records(seen: MigrationObservation, lost: LostSource) -> Plan:
    """Restore the records after a cluster rebuild, if the copy's origin note names this migration."""
    note = read_superseded(seen.new.notes.get(CAME_FROM, "")) if seen.new is not None else None
    if note is None or note.move != seen.mark.object:
        return Plan(steps=(record_time("that it is there", ENDED),))
    facts = ((FROM, note.cloud), (STOPPED, note.outage))
    known = RecordFacts(action=Action.UPDATE, target="that the move has begun", inside=True, facts=facts, now_as=BEGAN)
    return Plan(
        steps=(known,), outcome=waiting(Reason.MOVING, f"the VM was recreated from a copy of {where(lost.cloud)}")
    )


# ---------------------------------------------------------------------------------------------------------- beginning


def check_recovery(move: InstanceMigration, seen: MigrationObservation, lost: LostSource) -> Outcome:
    """Merge all blockers of a recovery from a copy; DONE if it may begin."""
    if seen.other:
        return blocked(f"InstanceMigration {seen.other} migrates the same VM; this one begins when that one is over")
    if seen.instance is None or seen.target is None:
        return DONE
    return merge(
        (
            *check_instance(move, seen.instance),
            _check_cloud(move, lost),
            _check_copy(lost),
            seen.exits,
            target_nics(move, seen)[1],
            check_free_space(seen, None, seen.target),
            check_placement(seen),
            check_quota(move, seen),
        )
    )


def _check_cloud(move: InstanceMigration, lost: LostSource) -> Outcome:
    if rehearses(move):
        return DONE
    cloud = where(lost.cloud)
    if lost.answers:
        return stalled(
            Reason.SOURCE_REACHABLE,
            f"{cloud} is reachable, and its data is newer than any copy; create an InstanceMigration with sourceState: Reachable",
        )
    if not lost.there or lost.proof.fenced:
        return DONE if lost.there else blocked(lost.proof.why)
    return blocked(
        f"{cloud} is unreachable, but its VMs may still run: {lost.proof.why}",
        reason=Reason.NO_FENCING,
    )


def _check_copy(lost: LostSource) -> Outcome:
    if isinstance(lost.copy, str):
        reason = Reason.COPY_INSIDE_CLOUD if lost.all_inside else Reason.NO_USABLE_COPY
        return stalled(reason, lost.copy, after=_TRY_AGAIN)
    if lost.machine is None:
        return stalled(
            Reason.NO_USABLE_COPY,
            "the size of the VM is not recorded; set vcpu and memory of the HostedInstance",
        )
    return DONE


def _begin(move: InstanceMigration, seen: MigrationObservation, lost: LostSource) -> Plan:
    trouble = check_recovery(move, seen, lost)
    if trouble.phase is not Phase.DONE or not isinstance(lost.copy, Copy):
        return Plan(outcome=trouble)
    target = target_side(seen)
    facts = [(FROM, where(lost.cloud)), (COPY, lost.copy.name), (COPY_TIME, str(lost.copy.seconds))]
    if not rehearses(move):
        facts += [(STOPPED, str(seconds_of(lost.since))), (PROOF, shortened(lost.proof.why))]
    step = RecordFacts(
        action=Action.MOVE,
        target=f"{move.spec.instance_ref.name} from {lost.copy} to {where(target.cloud)}",
        # No outside call, but from here on the instance lets go of its VM: consent is required here.
        disruption=Disruption.NONE if rehearses(move) else Disruption.DATA_LOSS,
        needs=target.needs or ("" if rehearses(move) else lost.needs),
        facts=tuple(facts),
        now_as=BEGAN,
        event=Reason.MIGRATION_STARTED,
        message=f"{move.spec.instance_ref.name} is recreated from {lost.copy} in {where(target.cloud)}",
    )
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, f"recovering {step.target}"))


# ------------------------------------------------------------------------------------------------------------ disks


def _transfer_disks(
    move: InstanceMigration, seen: MigrationObservation, lost: LostSource, now: datetime
) -> Plan | None:
    """Plan to restore or clone the disks of the copy; None if all of them are ready."""
    if not isinstance(lost.copy, Copy):
        return _retry_copies(move, lost.copy, now)
    if move.external.get(COPY) != lost.copy.name:
        return _switch_copy(seen, lost.copy)
    broken = next((one for one in seen.disks if one.copy is not None and one.copy.state == _ERROR), None)
    if broken is not None and broken.copy is not None:
        return _skip_copy(lost.copy, broken.copy)
    kept = lost.copy.kind == IMAGE
    finishing = {one.disk.id: step for one in seen.disks if kept and (step := _finish_clone(one, seen)) is not None}
    missing = [one for one in seen.disks if one.copy is None or one.copy.state not in THERE or one.disk.id in finishing]
    if not missing:
        return None
    sources = {disk.id: disk.source for disk in lost.copy.disks}
    brings = _clone if kept else _import
    steps = tuple(
        step
        for one in missing
        if one.copy is None and (step := brings(one, sources[one.disk.id], lost.copy, seen)) is not None
    )
    there = f"{len(seen.disks) - len(missing)} of {len(seen.disks)} disks are in {where(target_side(seen).cloud)}"
    first = missing[0]
    says = f"image {first.copy.id} is {words(first.copy)}" if first.copy is not None else "to be fetched"
    told = f"{there}, from {lost.copy}; disk {first.disk.id}: {says}"
    return Plan(steps=(*finishing.values(), *steps), outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))


def _clone(one: DiskTransfer, source: object, copy: Copy, seen: MigrationObservation) -> CloneDisk | None:
    """Clone a retained image, which stays for another attempt."""
    if not isinstance(source, dict):
        return None
    cloud = target_side(seen).cloud
    return CloneDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} of {copy} in {where(cloud)}",
        cloud=cloud,
        image=int(source[SOURCE_IMAGE]),
        name=saved_name(seen.uid, str(one.disk.id)),
        copy=copy.name,
    )


def _finish_clone(one: DiskTransfer, seen: MigrationObservation) -> Step | None:
    """Next step that turns a clone into a disk of the migration: replace marks, make persistent."""
    if one.copy is None or one.copy.state not in THERE:
        return None
    cloud = target_side(seen).cloud
    what = f'image {one.copy.id} "{one.copy.name}" in {where(cloud)}'
    if one.copy.mark != seen.mark or one.copy.notes.get(KEPT, CLEARED) != CLEARED:
        return ReplaceCloneMarks(action=Action.MARK, target=f"{what}: the move's", cloud=cloud, image=one.copy.id)
    if one.label and not is_root_disk(one.label) and not one.copy.persistent:
        return PersistClone(action=Action.UPDATE, target=f"{what}: persistent", cloud=cloud, image=one.copy.id)
    return None


def _import(one: DiskTransfer, source: object, copy: Copy, seen: MigrationObservation) -> ImportDisk | None:
    target = target_side(seen)
    store = image_datastore(target)
    if store is None or not isinstance(source, dict):
        return None
    return ImportDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} of {copy} in {where(target.cloud)}",
        cloud=target.cloud,
        name=saved_name(seen.uid, str(one.disk.id)),
        datastore=store.id,
        persistent=bool(one.label) and not is_root_disk(one.label),
        backup=tuple(sorted(source.items())),
        copy=copy.name,
    )


def _skip_copy(copy: Copy, image: Image) -> Plan:
    told = f": {image.error}" if image.error else ""
    why = f"{copy} could not be read{told}"
    step = SkipCopy(action=Action.UPDATE, target=f"{copy}: not to be read", inside=True, copy=copy.name, message=why)
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, why))


def _switch_copy(seen: MigrationObservation, copy: Copy) -> Plan:
    """Switch to another copy, after the images restored from the previous one are deleted."""
    target = target_side(seen)
    if seen.copies:
        steps = tuple(
            DeleteImage(
                action=Action.UPDATE,
                target=f'image {image.id} "{image.name}" in {where(target.cloud)}',
                cloud=target.cloud,
                image=image.id,
            )
            for image in seen.copies
            if image.state in {*THERE, _ERROR} and not image.vms
        )
        told = f"deleting the images restored from another copy before using {copy}"
        return Plan(steps=steps, outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))
    facts = ((COPY, copy.name), (COPY_TIME, str(copy.seconds)))
    step = RecordFacts(action=Action.UPDATE, target=f"that {copy} is used", inside=True, facts=facts)
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, f"using {copy}"))


def _retry_copies(move: InstanceMigration, why: str, now: datetime) -> Plan:
    """Retry all copies later if none is readable: their server may be unreachable for a while."""
    left = float(move.external.get(PASSED_AT, "0")) + _TRY_AGAIN - now.timestamp()
    if PASSED_OVER not in move.external or left > 0:
        after = max(left, 1.0) if PASSED_OVER in move.external else _TRY_AGAIN
        return Plan(outcome=waiting(Reason.COPY_UNREADABLE, f"no copy is readable; retrying: {why}", after=after))
    step = RecordFacts(
        action=Action.UPDATE,
        target="that the copies are tried again",
        inside=True,
        facts=((PASSED_OVER, ""), (PASSED_AT, "")),
    )
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, "the copies are tried again"))
