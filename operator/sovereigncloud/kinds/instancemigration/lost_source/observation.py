"""Observe a migration from a lost cloud, which is not queried: use status and copies.

Only when that cloud is reachable again and the copy is active, the cloud is read to find the superseded VM.
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
from sovereigncloud.kinds.contract.cloud_keys import where, written_cloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import needs_management
from sovereigncloud.kinds.fencing.confirmation import FencingStatus, fencing_status
from sovereigncloud.kinds.hostedinstance.continuity.copies import recorded_copies, recorded_vm, usable_copy
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import retained_copies
from sovereigncloud.kinds.hostedinstance.machine.copy import Copy
from sovereigncloud.kinds.hostedinstance.machine.observed import bound_cloud
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_place
from sovereigncloud.kinds.instancemigration.observation import (
    DiskTransfer,
    LostSource,
    MigrationObservation,
    Side,
    instance_in_target,
    match_source,
    observe_side,
    observe_target,
    temporary_images,
)
from sovereigncloud.kinds.movement.placement_override import check_exit_plan, exit_key
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CAME_FROM,
    CLEANED,
    COPY,
    FROM,
    PASSED_OVER,
    read_superseded,
    saved_name,
)
from sovereigncloud.ports.opennebula.views import Disk, Image


async def observe_lost_source(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Observe the target cloud, and collect what is known about the lost source."""
    seen = await observe_target(move, context)
    instance, target = seen.instance, seen.target
    if seen.problem is not None or instance is None or target is None:
        return seen
    cloud = _lost_cloud(move, seen)
    if cloud is None:
        unknown = f"the source cloud is unknown: status of HostedInstance {instance.metadata.name} does not record where its VM is"
        return replace(seen, problem=blocked(unknown))
    if cloud == target.cloud:
        return seen  # already in the target
    try:
        lost = _lost_source(cloud, move, instance, target, context)
    except ValueError as error:
        return replace(seen, problem=stalled(Reason.INVALID_SPEC, f"HostedInstance {instance.metadata.name}: {error}"))
    seen = _observe_transfer(replace(seen, lost=lost, uid=seen.mark.uid), move, target, lost)
    if lost.answers and seen.taken_over:
        side = await observe_side(cloud, move, context)
        return replace(seen, problem=side) if isinstance(side, Outcome) else match_source(seen, side)
    if BEGAN in move.external or seen.taken_over:
        return seen
    chosen = await choose_place(instance_in_target(move, instance), context, (target.cloud,), bound=None)
    leaving = exit_key(move)
    exits = check_exit_plan(move, cloud, context.get(leaving) if leaving is not None else None)
    return replace(seen, chosen=chosen, exits=exits)


def _lost_cloud(move: InstanceMigration, seen: MigrationObservation) -> Key | None:
    """The lost source cloud: as recorded, as noted on the copy, or where the instance is."""
    told = read_superseded(seen.new.notes.get(CAME_FROM, "")) if seen.new is not None else None
    recorded = written_cloud(move.external.get(FROM, "") or (told.cloud if told is not None else ""))
    if recorded is not None or seen.instance is None:
        return recorded
    return bound_cloud(seen.instance)


def _lost_source(
    cloud: Key, move: InstanceMigration, instance: HostedInstance, target: Side, context: Context
) -> LostSource:
    found = context.get(cloud)
    there = isinstance(found, SovereignCloud)
    since = found.status.lost_since or "" if isinstance(found, SovereignCloud) else ""
    proof = FencingStatus(
        False, f"there is no SovereignCloud {where(cloud)} of which anything could be proven; apply it again"
    )
    if isinstance(found, SovereignCloud):
        servers = [one for one in context.users(cloud, BareMetalServer.crd.kind) if isinstance(one, BareMetalServer)]
        proof = fencing_status(found, servers, move.spec.fencing)
    kept = retained_copies(target.view.images.values(), target.cloud, context.mark(instance), target.owners)
    known, passed = [*recorded_copies(instance), *kept], move.external.get(PASSED_OVER, "").split()
    begun = move.external.get(COPY, "")
    # A rehearsal keeps the copy it began with, even if a newer backup appears.
    among = [one for one in known if one.name == begun and begun not in passed] or known
    copy = usable_copy(among, instance, target.cloud, target.view, passed)
    return LostSource(
        cloud=cloud,
        there=there,
        answers=isinstance(found, SovereignCloud) and bool(found.status.endpoint) and not since,
        since=since,
        proof=proof,
        machine=recorded_vm(instance, copy if isinstance(copy, Copy) else None),
        copy=copy,
        all_inside=bool(known) and not any(one.outside for one in known),
        needs=needs_management(cloud, context),
    )


def _observe_transfer(
    seen: MigrationObservation, move: InstanceMigration, target: Side, lost: LostSource
) -> MigrationObservation:
    if CLEANED in move.external:
        return seen
    images = temporary_images(seen, target, saved_name(seen.uid, ""))
    disks = _disks(lost.machine.disks, images) if lost.machine is not None else []
    return replace(seen, copies=images, disks=tuple(disks))


def _disks(disks: tuple[Disk, ...], images: tuple[Image, ...]) -> list[DiskTransfer]:
    """Transfer state of each disk of the copy.

    The first disk without a label is the root disk; further ones also came with the VM.
    """
    found: list[DiskTransfer] = []
    for disk in disks:
        own = sum(1 for one in found if not one.label or one.label.startswith(f"{ROOT}."))
        label = disk.label or (f"{ROOT}.{own}" if own else "")
        # The UID in the name may be from a lost Kubernetes cluster, so match by disk id only.
        image = next((one for one in images if one.name.rpartition("-")[2] == str(disk.id)), None)
        found.append(DiskTransfer(disk, label, copy=image))
    return found
