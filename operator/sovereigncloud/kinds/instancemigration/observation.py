"""Observe a migration: source VM, copy and transfer objects, found by mark or name.

Progress is derived from what exists in both clouds and in Kubernetes, never from memory. `status.external` holds only
what people read, and times, which exist nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, blocked, stalled
from sovereigncloud.kinds.contract.cloud_keys import referred, where, written_cloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import needs_management, not_allowed, not_answering_yet
from sovereigncloud.kinds.fencing.confirmation import FencingStatus
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import read_retained
from sovereigncloud.kinds.hostedinstance.machine.copy import Copy
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK
from sovereigncloud.kinds.hostedinstance.machine.observed import PlacementResult, bound_cloud
from sovereigncloud.kinds.hostedinstance.network.network_map import with_renamed_networks
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import vm_location
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_place
from sovereigncloud.kinds.hostedinstance.placement.relocation import relocated_instance
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.instancemigration.disk_locations import forbidden_marketplaces
from sovereigncloud.kinds.movement.placement_override import check_exit_plan, exit_key
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CLEANED,
    ENDED,
    FROM,
    MOVED,
    MOVING,
    MigrationNote,
    is_begun,
    is_recorded,
    read_migration_note,
    records_migration,
    saved_name,
)
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.migration import App
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Image, Vm


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two clouds of a migration.

    `owner`, `owners`: users that may own what is created for the namespace. `needs`: the consent that is missing, if
    any.
    """

    cloud: Key
    view: CloudView
    owner: int
    owners: frozenset[int]
    needs: str = ""
    tenancy: Tenancy | None = None


@dataclass(frozen=True, slots=True)
class DiskTransfer:
    """Transfer state of one disk.

    `label`: its name in spec.disks; empty for disks of the VM itself, such as root.
    """

    disk: Disk
    label: str
    saved: Image | None = None
    app: App | None = None
    copy: Image | None = None


@dataclass(frozen=True, slots=True)
class LostSource:
    """What is known about a source VM whose cloud is not queried because it counts as lost.

    Attributes:
        cloud: the source cloud.
        there: whether its SovereignCloud exists.
        answers: whether it is reachable, again or still.
        since: start of the outage (RFC 3339); empty if it is reachable.
        proof: whether it is fenced.
        machine: the remembered VM with the disks of the copy; None if nothing is remembered.
        copy: the copy to recover from, or why there is none.
        all_inside: whether copies exist, but all of them inside the lost cloud.
        needs: the consent that is missing to power off the VM when its cloud is back.
    """

    cloud: Key
    there: bool
    answers: bool
    since: str
    proof: FencingStatus
    machine: Vm | None
    copy: Copy | str
    all_inside: bool
    needs: str = ""


@dataclass(frozen=True, slots=True)
class MigrationObservation:
    """Observed state of a migration.

    Attributes:
        mark: of the objects that this migration creates.
        problem: why nothing can be observed or done.
        instance: the HostedInstance; None if it does not exist.
        instance_mark: mark of its VM.
        source: the source cloud; None if no source VM or disk is left.
        target: the target cloud.
        old: the source VM.
        left: whether `old` carries the mark of the migration instead of the instance's.
        new: the copy in the target.
        taken_over: whether `new` carries the mark of the instance.
        disks: disks of the source VM with their transfer state.
        saved, copies, apps: all temporary objects of the transfer, of these disks or others.
        marketplaces: of the source cloud; read only before the migration begins.
        abroad: marketplaces that a policy forbids, with the reason; read only before the migration begins.
        chosen: the placement in the target, or why there is none; read only before the migration begins.
        exits: why the ExitPlan it names does not cover it; read only before the migration begins.
        note: migration note on `old`.
        uid: of the migration, as used in the names of what it creates.
        other: another active migration of the same instance.
        lost: what is known about a source VM in a lost cloud.
    """

    mark: Mark
    problem: Outcome | None = None
    instance: HostedInstance | None = None
    instance_mark: Mark | None = None
    source: Side | None = None
    target: Side | None = None
    old: Vm | None = None
    left: bool = False
    new: Vm | None = None
    taken_over: bool = False
    disks: tuple[DiskTransfer, ...] = ()
    saved: tuple[Image, ...] = ()
    copies: tuple[Image, ...] = ()
    apps: tuple[App, ...] = ()
    marketplaces: tuple[Marketplace, ...] = ()
    abroad: Mapping[str, str] = field(default_factory=dict)
    chosen: PlacementResult | None = None
    other: str = ""
    exits: Outcome = DONE
    note: MigrationNote | None = None
    uid: str = ""
    lost: LostSource | None = None

    @property
    def disks_left(self) -> bool:
        """Whether disks of a source VM that is already gone still exist."""
        return self.taken_over and self.old is None and self.source is not None and _left_a_disk(self, self.source)

    @property
    def machine(self) -> Vm | None:
        """The source VM; in a lost cloud, as it is remembered."""
        return self.lost.machine if self.lost is not None else self.old


def target_of(move: InstanceMigration) -> Key:
    return referred(move.spec.to.cloud_ref, move.metadata.namespace)


def instance_key(move: InstanceMigration) -> Key:
    return Key(HostedInstance.crd.kind, move.metadata.namespace, move.spec.instance_ref.name)


def is_over(move: InstanceMigration) -> bool:
    """Whether the migration is over, succeeded or failed."""
    return ENDED in move.external


async def observe_migration(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Observe both clouds of a migration whose source is reachable."""
    seen = await observe_target(move, context)
    if seen.instance is None and move.deleting and FROM in move.external:
        return await _observe_orphan(move, context)
    if seen.problem is not None or seen.instance is None:
        return seen
    left: MigrationObservation | None = None
    for cloud in _sources(move, seen.instance, context):
        side = await observe_side(cloud, move, context)
        if isinstance(side, Outcome):
            return replace(seen, problem=side)
        if (told := _vm_recording_done(side, move, seen)) is not None:
            return replace(seen, source=side, old=told)
        here = match_source(seen, side)
        found = here.problem is not None or here.old is not None or FROM in move.external or _left_a_disk(here, side)
        if left is None and found:
            left = here
            if not _may_have_moved_on(move, here):
                break
    return await _observe_transfer(left or seen, move, context)


def _may_have_moved_on(move: InstanceMigration, seen: MigrationObservation) -> bool:
    """Whether a later migration may have moved the copy on to a third cloud."""
    return seen.problem is None and seen.left and seen.new is None and BEGAN not in move.external


def _vm_recording_done(side: Side, move: InstanceMigration, seen: MigrationObservation) -> Vm | None:
    """VM of the instance which records that this migration, or rehearsal, was already done."""
    machines = () if BEGAN in move.external else _machines(side, seen.instance_mark)
    return next((vm for vm in machines if records_migration(vm, move)), None)


def recorded_as_done(move: InstanceMigration, seen: MigrationObservation) -> str:
    """Name of the VM which records that the migration was already done; empty if none does."""
    if seen.left or seen.disks_left or seen.problem is not None or is_begun(move):
        return ""
    if seen.lost is not None:  # a lost cloud is not queried: use the record of the instance
        recorded = seen.new is None and seen.instance is not None and is_recorded(seen.instance, move)
        return f"HostedInstance {move.spec.instance_ref.name}" if recorded else ""
    vm, side = (seen.new, seen.target) if seen.taken_over else (seen.old, seen.source)
    if vm is None or side is None:
        return ""
    return f'VM {vm.id} "{vm.name}" in {where(side.cloud)}' if records_migration(vm, move) else ""


def _left_a_disk(seen: MigrationObservation, side: Side) -> bool:
    """Whether disks of a deleted source VM are in this cloud, which identifies it as the source."""
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    images = (one for one in side.view.images.values() if MOVED in one.notes and one.owner in side.owners)
    return any(ownership(one.mark, seen.mark) in ours for one in images)


async def _observe_orphan(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Observe only objects with the migration's own mark, when it is deleted after its instance."""
    seen = MigrationObservation(mark=context.mark(move))
    target = await observe_side(target_of(move), move, context)
    if isinstance(target, Outcome):
        return replace(seen, problem=target)
    seen = _in_target(replace(seen, target=target))
    left = written_cloud(move.external[FROM])
    source = await observe_side(left, move, context) if left is not None else None
    if isinstance(source, Outcome) or source is None:
        return replace(seen, problem=source)
    return await _observe_transfer(match_source(seen, source), move, context)


async def observe_target(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Observe the instance and the target cloud; nothing if the migration is over."""
    nothing = MigrationObservation(mark=context.mark(move))
    if is_over(move):
        return nothing
    instance = context.get(instance_key(move))
    if not isinstance(instance, HostedInstance):
        gone = f"there is no HostedInstance {move.spec.instance_ref.name} in namespace {move.metadata.namespace}"
        return replace(nothing, problem=blocked(gone))
    nothing = replace(nothing, instance=instance, instance_mark=context.mark(instance), other=_other(move, context))
    target = await observe_side(target_of(move), move, context)
    if isinstance(target, Outcome):
        return replace(nothing, problem=target)
    return _in_target(replace(nothing, target=target))


def _other(move: InstanceMigration, context: Context) -> str:
    """Another migration of the instance with precedence: one that began, else the first by name."""
    others = (one for one in context.users(instance_key(move), InstanceMigration.crd.kind) if one.key != move.key)
    for one in others:
        if not isinstance(one, InstanceMigration) or instance_key(one) != instance_key(move) or is_over(one):
            continue
        mine, theirs = BEGAN in move.external, BEGAN in one.external
        if (theirs and not mine) or (mine == theirs and one.metadata.name < move.metadata.name):
            return one.metadata.name
    return ""


def _sources(move: InstanceMigration, instance: HostedInstance, context: Context) -> tuple[Key, ...]:
    recorded = written_cloud(move.external.get(FROM, ""))
    if recorded is not None:
        return (recorded,)
    bound = bound_cloud(instance)
    first = (bound,) if bound is not None else ()
    every = dict.fromkeys((*first, *context.clouds(move.metadata.namespace)))
    return tuple(cloud for cloud in every if cloud != target_of(move))


async def observe_side(cloud: Key, move: InstanceMigration, context: Context) -> Side | Outcome:
    namespace = move.metadata.namespace
    problem = not_allowed(cloud, namespace, "spec.to.cloudRef", context) or not_answering_yet(cloud, context)
    if problem is not None:
        return problem
    view = await context.view(cloud)
    makers = await makers_of(view, cloud, namespace, context)
    needs = needs_management(cloud, context)
    return Side(cloud, view, makers.owner, makers.owners, needs, context.tenancy(namespace, cloud))


def _machines(side: Side, mark: Mark | None) -> tuple[Vm, ...]:
    """VMs with this mark, also with that of a Kubernetes cluster before a rebuild."""
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    if mark is None:
        return ()
    return tuple(vm for vm in side.view.vms.values() if vm.owner in side.owners and ownership(vm.mark, mark) in ours)


def _in_target(seen: MigrationObservation) -> MigrationObservation:
    if seen.target is None:
        return seen
    of_instance = _machines(seen.target, seen.instance_mark)
    # Exclude source VMs of an earlier migration of the same name.
    of_move = tuple(vm for vm in _machines(seen.target, seen.mark) if MOVED not in vm.notes)
    found = (*of_instance, *of_move)
    if len(found) > 1:
        return replace(seen, problem=_ambiguous(found, seen.target.cloud))
    return replace(seen, new=found[0] if found else None, taken_over=bool(of_instance))


def match_source(seen: MigrationObservation, side: Side) -> MigrationObservation:
    of_move, of_instance = _machines(side, seen.mark), _machines(side, seen.instance_mark)
    found = (*of_instance, *of_move)
    if len(found) > 1:
        return replace(seen, source=side, problem=_ambiguous(found, side.cloud))
    return replace(seen, source=side, old=found[0] if found else None, left=bool(of_move))


def _ambiguous(found: Iterable[Vm], cloud: Key) -> Outcome:
    ids = ", ".join(str(vm.id) for vm in found)
    return stalled(
        Reason.MULTIPLE_MATCHES,
        f"VMs {ids} in {where(cloud)} all carry the mark of this migration or of its instance; keep one, and delete the others there or"
        " remove their SOVEREIGNCLOUD_* attributes",
    )


async def _observe_transfer(
    seen: MigrationObservation, move: InstanceMigration, context: Context
) -> MigrationObservation:
    """Observe the disk transfer and, before the migration begins, its prerequisites."""
    source, target, instance, old = seen.source, seen.target, seen.instance, seen.old
    if seen.problem is not None or source is None or target is None:
        return seen
    if CLEANED in move.external:
        return seen  # during the grace period both views are enough
    client = await context.open_nebula(source.cloud)
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    note = read_migration_note(old.notes.get(MOVING, ""), seen.mark) if old is not None else None
    uid = note.uid if note is not None else seen.mark.uid
    name = saved_name(uid, "")
    savers = {*source.owners, *((old.owner,) if old is not None else ())}
    seen = replace(
        seen,
        note=note,
        uid=uid,
        apps=tuple(app for app in await client.moves.apps() if ownership(app.mark, seen.mark) in ours),
        saved=tuple(one for one in source.view.images.values() if one.name.startswith(name) and one.owner in savers),
        copies=temporary_images(seen, target, name),
    )
    seen = replace(seen, disks=tuple(_disk(disk, seen, source.view) for disk in (old.disks if old is not None else ())))
    if BEGAN in move.external or old is None or instance is None:
        return seen
    leaving = exit_key(move)
    exits = check_exit_plan(move, source.cloud, context.get(leaving) if leaving is not None else None)
    chosen = await choose_place(instance_in_target(move, instance), context, (target.cloud,), bound=None, waits=False)
    markets = await client.parts.marketplaces()
    there = vm_location(instance, old, source.cloud, source.view, context).places
    abroad = forbidden_marketplaces(markets, instance.key, (source.cloud, target.cloud), there, context)
    return replace(seen, marketplaces=markets, abroad=abroad, chosen=chosen, exits=exits)


def temporary_images(seen: MigrationObservation, target: Side, name: str) -> tuple[Image, ...]:
    """Temporary images of the migration in the target, by mark or name prefix.

    Disks that an earlier migration of the same name left there, and retained copies, are not included.
    """
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    return tuple(
        one
        for one in target.view.images.values()
        if one.owner in target.owners
        and MOVED not in one.notes
        and read_retained(one) is None
        and (ownership(one.mark, seen.mark) in ours or one.name.startswith(name))
    )


def _disk(disk: Disk, seen: MigrationObservation, view: CloudView) -> DiskTransfer:
    name = saved_name(seen.uid, str(disk.id))
    image = view.images.get(disk.image_id)
    label = image.notes.get(DISK, "") if image is not None and image.persistent else ""
    return DiskTransfer(
        disk,
        label,
        saved=next((one for one in seen.saved if one.name == name), None),
        app=next((one for one in seen.apps if one.name == name), None),
        copy=next((one for one in seen.copies if one.name == name), None),
    )


def instance_in_target(move: InstanceMigration, instance: HostedInstance) -> HostedInstance:
    """The HostedInstance as it is placed in the target: mapped networks, no source image.

    Its disks are copied, and it joins its VM group later. As part of an exit, spec.placement is ignored.
    """
    if move.spec.exit_plan_ref is not None:
        instance = instance.model_copy(update={"spec": instance.spec.model_copy(update={"placement": None})})
    return relocated_instance(with_renamed_networks(instance, network_names(move)))


def network_names(move: InstanceMigration) -> dict[str, str]:
    """Network names in the target, for those that spec.networkMap renames."""
    return {one.from_: one.to for one in move.spec.network_map or () if one.from_ != one.to}


def rfc3339(seconds: str) -> str:
    """Format seconds since 1970 as RFC 3339."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(now: datetime) -> str:
    """Format a time for `status.external` and notes: seconds since 1970."""
    return str(int(now.timestamp()))
