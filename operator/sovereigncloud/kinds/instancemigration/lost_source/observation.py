"""Looking at a move from a cloud that does not answer: nothing is asked there, and what is known of the machine was remembered.

Only when that cloud answers again, and the copy is the machine, it is looked at, for the machine that was left there.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import needs_management, where, written_cloud
from sovereigncloud.kinds.fencing.confirmation import Proof, proof_of
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy, remembered, remembered_machine, usable
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import kept_copies
from sovereigncloud.kinds.hostedinstance.observation import bound_cloud
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_for
from sovereigncloud.kinds.instancemigration.observation import (
    CopyOfDisk,
    Lost,
    MigrationObservation,
    Side,
    as_it_will_be,
    copies_on_the_way,
    in_source,
    look_in_target,
    side_of,
)
from sovereigncloud.kinds.movement.placement_override import exit_key, not_its_exit
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CAME_FROM,
    CLEANED,
    COPY,
    FROM,
    PASSED_OVER,
    read_came_from,
    saved_name,
)
from sovereigncloud.ports.opennebula.views import Disk, Image


async def look_from_afar(move: InstanceMigration, context: Context) -> MigrationObservation:
    """The other cloud, and what is known of the one that is lost."""
    seen = await look_in_target(move, context)
    instance, target = seen.instance, seen.target
    if seen.problem is not None or instance is None or target is None:
        return seen
    cloud = _left(move, seen)
    if cloud is None:
        unknown = f"nobody knows in which cloud the machine of HostedInstance {instance.metadata.name} is: its status does not tell"
        return replace(seen, problem=blocked(unknown))
    if cloud == target.cloud:
        return seen  # it is there already
    try:
        lost = _lost(cloud, move, instance, target, context)
    except ValueError as error:
        return replace(seen, problem=stalled(Reason.INVALID_SPEC, f"HostedInstance {instance.metadata.name}: {error}"))
    seen = _on_the_way(replace(seen, lost=lost, uid=seen.mark.uid), move, target, lost)
    if lost.answers and seen.taken_over:
        side = await side_of(cloud, move, context)
        return replace(seen, problem=side) if isinstance(side, Outcome) else in_source(seen, side)
    if BEGAN in move.external or seen.taken_over:
        return seen
    chosen = await choose_for(as_it_will_be(move, instance), context, (target.cloud,), bound=None)
    leaving = exit_key(move)
    exits = not_its_exit(move, cloud, context.get(leaving) if leaving is not None else None)
    return replace(seen, chosen=chosen, exits=exits)


def _left(move: InstanceMigration, seen: MigrationObservation) -> Key | None:
    """The cloud that is lost: as recorded, as the copy tells, or where the instance is."""
    told = read_came_from(seen.new.notes.get(CAME_FROM, "")) if seen.new is not None else None
    recorded = written_cloud(move.external.get(FROM, "") or (told.cloud if told is not None else ""))
    if recorded is not None or seen.instance is None:
        return recorded
    return bound_cloud(seen.instance)


def _lost(cloud: Key, move: InstanceMigration, instance: HostedInstance, target: Side, context: Context) -> Lost:
    found = context.get(cloud)
    there = isinstance(found, SovereignCloud)
    since = found.status.lost_since or "" if isinstance(found, SovereignCloud) else ""
    proof = Proof(False, f"there is no SovereignCloud {where(cloud)} of which anything could be proven; apply it again")
    if isinstance(found, SovereignCloud):
        servers = [one for one in context.users(cloud, BareMetalServer.crd.kind) if isinstance(one, BareMetalServer)]
        proof = proof_of(found, servers, move.spec.fencing)
    kept = kept_copies(target.view.images.values(), target.cloud, context.mark(instance), target.owners)
    known, passed = [*remembered(instance), *kept], move.external.get(PASSED_OVER, "").split()
    begun = move.external.get(COPY, "")
    # A rehearsal goes on with the copy that it began with, though the machine is backed up again meanwhile.
    among = [one for one in known if one.name == begun and begun not in passed] or known
    copy = usable(among, instance, target.cloud, target.view, passed)
    return Lost(
        cloud=cloud,
        there=there,
        answers=isinstance(found, SovereignCloud) and bool(found.status.endpoint) and not since,
        since=since,
        proof=proof,
        machine=remembered_machine(instance, copy if isinstance(copy, Copy) else None),
        copy=copy,
        all_inside=bool(known) and not any(one.outside for one in known),
        needs=needs_management(cloud, context),
    )


def _on_the_way(seen: MigrationObservation, move: InstanceMigration, target: Side, lost: Lost) -> MigrationObservation:
    if CLEANED in move.external:
        return seen
    images = copies_on_the_way(seen, target, saved_name(seen.uid, ""))
    disks = _disks(lost.machine.disks, images) if lost.machine is not None else []
    return replace(seen, copies=images, disks=tuple(disks))


def _disks(disks: tuple[Disk, ...], images: tuple[Image, ...]) -> list[CopyOfDisk]:
    """Each with the image that it became. The first without a name is the root disk, others came with the machine, too."""
    found: list[CopyOfDisk] = []
    for disk in disks:
        own = sum(1 for one in found if not one.label or one.label.startswith(f"{ROOT}."))
        label = disk.label or (f"{ROOT}.{own}" if own else "")
        # The UID in its name may be that of the move in a cluster that was lost; its mark is the move's all the same.
        image = next((one for one in images if one.name.rpartition("-")[2] == str(disk.id)), None)
        found.append(CopyOfDisk(disk, label, copy=image))
    return found
