"""The plan of a move from a cloud that does not answer. Pure.

The machine is made from its last copy outside, while nothing is asked of the cloud that it is in. Nothing can be noted on the machine that
is left, so the copy tells where it came from, and the instance records it. The copy is started only while the old one is proven
dead. Where the cloud answers again before the change-over, all is taken back: what is there is newer.
"""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.continuity.copies import IMAGE, SOURCE_IMAGE, Copy
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED
from sovereigncloud.kinds.hostedinstance.storage.names import with_root
from sovereigncloud.kinds.instancemigration.checks import cards_of, of_the_instance, place, quota, room, store_for
from sovereigncloud.kinds.instancemigration.cutover import change_over
from sovereigncloud.kinds.instancemigration.lost_source.source_cleanup import after_the_change_over, fence
from sovereigncloud.kinds.instancemigration.observation import CopyOfDisk, Lost, MigrationObservation, done_in
from sovereigncloud.kinds.instancemigration.plan import follows, move_target, not_again, rehearsed, rehearses, start
from sovereigncloud.kinds.instancemigration.retention_steps import CloneDisk, PersistClone, TakeClone
from sovereigncloud.kinds.instancemigration.rollback import go_back
from sovereigncloud.kinds.instancemigration.steps import DeleteImage, ImportDisk, PassOver, Remember, failed, remember
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
    read_came_from,
    saved_name,
    seconds_of,
    shortened,
)
from sovereigncloud.ports.opennebula.image_states import THERE, words
from sovereigncloud.ports.opennebula.views import Image

_ERROR = 5
_LOOK_AGAIN = 5.0
_TRY_AGAIN = 60.0


def plan_from_copy(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    """What is to be done next."""
    if seen.problem is not None:
        nothing_made = move.deleting and BEGAN not in move.external
        return Plan() if nothing_made else Plan(outcome=seen.problem)
    if seen.lost is None:
        return Plan(steps=(remember("that it is there", ENDED),))
    if seen.taken_over:
        return _over(move, seen, seen.lost, now)
    if told := done_in(move, seen):
        return not_again(move, seen, told)
    if move.deleting or FAILED in move.external or RAN in move.external:
        return go_back(move, seen)
    if BEGAN not in move.external:
        return _begin(move, seen, seen.lost)
    return _on(move, seen, seen.lost, now)


def _on(move: InstanceMigration, seen: MigrationObservation, lost: Lost, now: datetime) -> Plan:
    if not rehearses(move):
        if lost.answers:
            told = f"{where(lost.cloud)} answers again, and what is there is newer than any copy"
            return Plan(steps=(failed(told),))
        if not follows(seen):
            told = f"HostedInstance {move.spec.instance_ref.name} is told that its machine moves"
            return Plan(outcome=waiting(Reason.MOVING, told, after=_LOOK_AGAIN))
    if seen.new is None and (copying := _bring(move, seen, lost, now)) is not None:
        return copying
    waits = "" if rehearses(move) or lost.proof.dead else lost.proof.why
    return start(move, seen, now, waits, lambda: _runs(move, seen, now))


def _runs(move: InstanceMigration, seen: MigrationObservation, now: datetime) -> Plan:
    return rehearsed(seen) if rehearses(move) else change_over(move, seen, now)


def _over(move: InstanceMigration, seen: MigrationObservation, lost: Lost, now: datetime) -> Plan:
    """The copy is the machine. What is left of its old place is powered off before anything else."""
    if BEGAN not in move.external:
        return _found_again(seen, lost)
    if (fencing := fence(seen, lost)) is not None:
        return fencing
    if CUT_OVER in move.external:
        return after_the_change_over(move, seen, lost, now)
    return change_over(move, seen, now)


def _found_again(seen: MigrationObservation, lost: Lost) -> Plan:
    """A rebuilt cluster: the copy tells whether it was this move that made it."""
    note = read_came_from(seen.new.notes.get(CAME_FROM, "")) if seen.new is not None else None
    if note is None or note.move != seen.mark.object:
        return Plan(steps=(remember("that it is there", ENDED),))
    facts = ((FROM, note.cloud), (STOPPED, note.outage))
    known = Remember(action=Action.UPDATE, target="that the move has begun", inside=True, facts=facts, now_as=BEGAN)
    return Plan(
        steps=(known,), outcome=waiting(Reason.MOVING, f"the machine was made from a copy of {where(lost.cloud)}")
    )


# ---------------------------------------------------------------------------------------------------------- beginning


def in_the_way_of_a_copy(move: InstanceMigration, seen: MigrationObservation, lost: Lost) -> Outcome:
    """All that is, together; DONE: it may begin."""
    if seen.other:
        return blocked(f"InstanceMigration {seen.other} moves the same machine; this one begins when that one is over")
    if seen.instance is None or seen.target is None:
        return DONE
    return merge(
        (
            *of_the_instance(move, seen.instance),
            _of_the_cloud(move, lost),
            _of_the_copy(lost),
            seen.exits,
            cards_of(move, seen)[1],
            room(seen, None, seen.target),
            place(seen),
            quota(move, seen),
        )
    )


def _of_the_cloud(move: InstanceMigration, lost: Lost) -> Outcome:
    if rehearses(move):
        return DONE
    cloud = where(lost.cloud)
    if lost.answers:
        return stalled(
            Reason.SOURCE_REACHABLE,
            f"{cloud} answers, and what is there is newer than any copy; make an InstanceMigration with sourceState: Reachable",
        )
    if not lost.there or lost.proof.dead:
        return DONE if lost.there else blocked(lost.proof.why)
    return blocked(
        f"{cloud} does not answer, which does not say that its machines are dead: {lost.proof.why}",
        reason=Reason.NO_FENCING,
    )


def _of_the_copy(lost: Lost) -> Outcome:
    if isinstance(lost.copy, str):
        reason = Reason.COPY_INSIDE_CLOUD if lost.all_inside else Reason.NO_USABLE_COPY
        return stalled(reason, lost.copy, after=_TRY_AGAIN)
    if lost.machine is None:
        return stalled(
            Reason.NO_USABLE_COPY,
            "nobody remembers how large the machine is; set vcpu and memory of the HostedInstance",
        )
    return DONE


def _begin(move: InstanceMigration, seen: MigrationObservation, lost: Lost) -> Plan:
    trouble = in_the_way_of_a_copy(move, seen, lost)
    if trouble.phase is not Phase.DONE or not isinstance(lost.copy, Copy):
        return Plan(outcome=trouble)
    target = move_target(seen)
    facts = [(FROM, where(lost.cloud)), (COPY, lost.copy.name), (COPY_TIME, str(lost.copy.seconds))]
    if not rehearses(move):
        facts += [(STOPPED, str(seconds_of(lost.since))), (PROOF, shortened(lost.proof.why))]
    step = Remember(
        action=Action.MOVE,
        target=f"{move.spec.instance_ref.name} from {lost.copy} to {where(target.cloud)}",
        # Nothing outside, but from here on the instance follows: where somebody is to say yes first, he says it here.
        disruption=Disruption.NONE if rehearses(move) else Disruption.DATA_LOSS,
        needs=target.needs or ("" if rehearses(move) else lost.needs),
        facts=tuple(facts),
        now_as=BEGAN,
        event=Reason.MIGRATION_STARTED,
        message=f"{move.spec.instance_ref.name} is made from {lost.copy} in {where(target.cloud)}",
    )
    return Plan(steps=(step,), outcome=waiting(Reason.MOVING, f"{step.target} is to move"))


# ------------------------------------------------------------------------------------------------------------ disks


def _bring(move: InstanceMigration, seen: MigrationObservation, lost: Lost, now: datetime) -> Plan | None:
    """What brings the disks; None: all of them are there."""
    if not isinstance(lost.copy, Copy):
        return _none_left(move, lost.copy, now)
    if move.external.get(COPY) != lost.copy.name:
        return _take_another(seen, lost.copy)
    broken = next((one for one in seen.disks if one.copy is not None and one.copy.state == _ERROR), None)
    if broken is not None and broken.copy is not None:
        return _pass_over(lost.copy, broken.copy)
    kept = lost.copy.kind == IMAGE
    finishing = {one.disk.id: step for one in seen.disks if kept and (step := _finish(one, seen)) is not None}
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
    there = f"{len(seen.disks) - len(missing)} of {len(seen.disks)} disks are in {where(move_target(seen).cloud)}"
    first = missing[0]
    says = f"image {first.copy.id} is {words(first.copy)}" if first.copy is not None else "to be fetched"
    told = f"{there}, from {lost.copy}; disk {first.disk.id}: {says}"
    return Plan(steps=(*finishing.values(), *steps), outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))


def _clone(one: CopyOfDisk, source: object, copy: Copy, seen: MigrationObservation) -> CloneDisk | None:
    """The image that was kept stays, for another attempt."""
    if not isinstance(source, dict):
        return None
    cloud = move_target(seen).cloud
    return CloneDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} of {copy} in {where(cloud)}",
        cloud=cloud,
        image=int(source[SOURCE_IMAGE]),
        name=saved_name(seen.uid, str(one.disk.id)),
        copy=copy.name,
    )


def _finish(one: CopyOfDisk, seen: MigrationObservation) -> Step | None:
    """A clone is what it was cloned from in all but its name: it is to be the move's, and what it was."""
    if one.copy is None or one.copy.state not in THERE:
        return None
    cloud = move_target(seen).cloud
    what = f'image {one.copy.id} "{one.copy.name}" in {where(cloud)}'
    if one.copy.mark != seen.mark or one.copy.notes.get(KEPT, CLEARED) != CLEARED:
        return TakeClone(action=Action.MARK, target=f"{what}: the move's", cloud=cloud, image=one.copy.id)
    if one.label and not with_root(one.label) and not one.copy.persistent:
        return PersistClone(action=Action.UPDATE, target=f"{what}: persistent", cloud=cloud, image=one.copy.id)
    return None


def _import(one: CopyOfDisk, source: object, copy: Copy, seen: MigrationObservation) -> ImportDisk | None:
    target = move_target(seen)
    store = store_for(target)
    if store is None or not isinstance(source, dict):
        return None
    return ImportDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} of {copy} in {where(target.cloud)}",
        cloud=target.cloud,
        name=saved_name(seen.uid, str(one.disk.id)),
        datastore=store.id,
        persistent=bool(one.label) and not with_root(one.label),
        backup=tuple(sorted(source.items())),
        copy=copy.name,
    )


def _pass_over(copy: Copy, image: Image) -> Plan:
    told = f": {image.error}" if image.error else ""
    why = f"{copy} could not be read{told}"
    step = PassOver(action=Action.UPDATE, target=f"{copy}: not to be read", inside=True, copy=copy.name, message=why)
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, why))


def _take_another(seen: MigrationObservation, copy: Copy) -> Plan:
    """What was made of the one before goes first: it would be taken for this one's."""
    target = move_target(seen)
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
        told = f"what was made of another copy is taken away, then {copy} is taken"
        return Plan(steps=steps, outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))
    facts = ((COPY, copy.name), (COPY_TIME, str(copy.seconds)))
    step = Remember(action=Action.UPDATE, target=f"that {copy} is taken", inside=True, facts=facts)
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, f"{copy} is taken"))


def _none_left(move: InstanceMigration, why: str, now: datetime) -> Plan:
    """None of them could be read: perhaps their server is not to be reached for a while."""
    left = float(move.external.get(PASSED_AT, "0")) + _TRY_AGAIN - now.timestamp()
    if PASSED_OVER not in move.external or left > 0:
        after = max(left, 1.0) if PASSED_OVER in move.external else _TRY_AGAIN
        return Plan(
            outcome=waiting(Reason.COPY_UNREADABLE, f"no copy can be read, and it is tried again: {why}", after=after)
        )
    step = Remember(
        action=Action.UPDATE,
        target="that the copies are tried again",
        inside=True,
        facts=((PASSED_OVER, ""), (PASSED_AT, "")),
    )
    return Plan(steps=(step,), outcome=waiting(Reason.COPYING_DISKS, "the copies are tried again"))
