"""Looking at a move: the machine that is left, its copy, and what is on the way, each found by its mark or its name.

Nothing of how far it is needs to be remembered: who finds two clouds, the apps and the instance in some state knows what comes
next. What is in `status.external` is told to people, and times, which nothing outside tells.
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
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import (
    needs_management,
    not_allowed,
    not_answering_yet,
    referred,
    where,
    written_cloud,
)
from sovereigncloud.kinds.fencing.confirmation import Proof
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import read_kept
from sovereigncloud.kinds.hostedinstance.network.network_map import renamed
from sovereigncloud.kinds.hostedinstance.observation import bound_cloud
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import whereabouts
from sovereigncloud.kinds.hostedinstance.placement.placement import Chosen, choose_for
from sovereigncloud.kinds.hostedinstance.placement.relocation import as_it_moves
from sovereigncloud.kinds.hostedinstance.storage.names import DISK
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.instancemigration.disk_locations import lying_abroad
from sovereigncloud.kinds.movement.placement_override import exit_key, not_its_exit
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CLEANED,
    ENDED,
    FROM,
    MOVED,
    MOVING,
    Note,
    is_begun,
    is_recorded,
    read_told,
    saved_name,
    tells_of,
)
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.migration import App
from sovereigncloud.ports.opennebula.views import CloudView, Disk, Image, Vm


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two clouds. `owners`: who may own what is made there for the namespace; `needs`: the consent that is missing."""

    cloud: Key
    view: CloudView
    owner: int
    owners: frozenset[int]
    needs: str = ""
    tenancy: Tenancy | None = None


@dataclass(frozen=True, slots=True)
class CopyOfDisk:
    """A disk on its way. `label`: its name in spec.disks; empty: a disk of the machine's own, as the root disk is."""

    disk: Disk
    label: str
    saved: Image | None = None
    app: App | None = None
    copy: Image | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A machine whose cloud is not asked.

    Attributes:
        cloud: that it is in.
        there: that cloud has an object.
        answers: it does, again or still.
        since: when it stopped answering (RFC 3339); empty: it answers.
        proof: whether its machines are dead.
        machine: as remembered, with the disks of the copy; None: it is not.
        copy: that it is to be made from, or why from none.
        all_inside: there are copies, and all of them are lost with the cloud.
        needs: the consent that is missing to power it off when its cloud is back.
    """

    cloud: Key
    there: bool
    answers: bool
    since: str
    proof: Proof
    machine: Vm | None
    copy: Copy | str
    all_inside: bool
    needs: str = ""


@dataclass(frozen=True, slots=True)
class MigrationObservation:
    """What was seen.

    Attributes:
        mark: of what is made on the way.
        problem: why nothing can be looked at or done.
        instance: that moves; None: there is none.
        instance_mark: what its machine carries.
        source: the cloud with the machine that is left; None: there is none any more.
        target: where it goes.
        old: the machine that is left.
        left: `old` has the mark of the move: it is the instance's no more.
        new: its copy.
        taken_over: `new` has the mark of the instance.
        disks: of the machine, each as far as it is.
        saved, copies, apps: all that is on the way, of those disks or of others.
        marketplaces: of the cloud that is left; looked for only before the move begins.
        abroad: those in which a policy does not let the disks lie, and why not; likewise.
        chosen: where it is to be in the other cloud, or why nowhere; likewise.
        exits: why it is not part of the exit that it names; likewise.
        note: of this move, on `old`.
        uid: of the move, in the names of what it makes.
        other: another move of the same instance that is under way.
        lost: of a machine whose cloud does not answer: what is known of both.
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
    disks: tuple[CopyOfDisk, ...] = ()
    saved: tuple[Image, ...] = ()
    copies: tuple[Image, ...] = ()
    apps: tuple[App, ...] = ()
    marketplaces: tuple[Marketplace, ...] = ()
    abroad: Mapping[str, str] = field(default_factory=dict)
    chosen: Chosen | None = None
    other: str = ""
    exits: Outcome = DONE
    note: Note | None = None
    uid: str = ""
    lost: Lost | None = None

    @property
    def disks_left(self) -> bool:
        """The machine has moved and the one that was left is gone, but not all of its disks."""
        return self.taken_over and self.old is None and self.source is not None and _left_a_disk(self, self.source)

    @property
    def machine(self) -> Vm | None:
        """The machine that is left; of a lost one what is remembered of it."""
        return self.lost.machine if self.lost is not None else self.old


def target_of(move: InstanceMigration) -> Key:
    return referred(move.spec.to.cloud_ref, move.metadata.namespace)


def instance_key(move: InstanceMigration) -> Key:
    return Key(HostedInstance.crd.kind, move.metadata.namespace, move.spec.instance_ref.name)


def is_over(move: InstanceMigration) -> bool:
    """One way or the other: nothing is looked at any more."""
    return ENDED in move.external


async def look(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Both clouds, and whose the machines there are."""
    seen = await look_in_target(move, context)
    if seen.instance is None and move.deleting and FROM in move.external:
        return await _look_alone(move, context)
    if seen.problem is not None or seen.instance is None:
        return seen
    left: MigrationObservation | None = None
    for cloud in _sources(move, seen.instance, context):
        side = await side_of(cloud, move, context)
        if isinstance(side, Outcome):
            return replace(seen, problem=side)
        if (told := _tells_in(side, move, seen)) is not None:
            return replace(seen, source=side, old=told)
        here = in_source(seen, side)
        found = here.problem is not None or here.old is not None or FROM in move.external or _left_a_disk(here, side)
        if left is None and found:
            left = here
            if not _may_have_gone_on(move, here):
                break
    return await _on_the_way(left or seen, move, context)


def _may_have_gone_on(move: InstanceMigration, seen: MigrationObservation) -> bool:
    """What it left is there, and its copy is not: another move may have taken that further."""
    return seen.problem is None and seen.left and seen.new is None and BEGAN not in move.external


def _tells_in(side: Side, move: InstanceMigration, seen: MigrationObservation) -> Vm | None:
    """The instance's machine, of a move that is made anew though it was done: wherever the machine has gone since."""
    machines = () if BEGAN in move.external else _machines(side, seen.instance_mark)
    return next((vm for vm in machines if tells_of(vm, move)), None)


def done_in(move: InstanceMigration, seen: MigrationObservation) -> str:
    """The machine that tells that this was done before, for people; empty: none does, or it is not over."""
    if seen.left or seen.disks_left or seen.problem is not None or is_begun(move):
        return ""
    if seen.lost is not None:  # where it is may not be asked: as its instance has recorded
        recorded = seen.new is None and seen.instance is not None and is_recorded(seen.instance, move)
        return f"HostedInstance {move.spec.instance_ref.name}" if recorded else ""
    vm, side = (seen.new, seen.target) if seen.taken_over else (seen.old, seen.source)
    if vm is None or side is None:
        return ""
    return f'VM {vm.id} "{vm.name}" in {where(side.cloud)}' if tells_of(vm, move) else ""


def _left_a_disk(seen: MigrationObservation, side: Side) -> bool:
    """The machine that was left is gone, and the cluster was rebuilt since: its disks tell where it was."""
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    images = (one for one in side.view.images.values() if MOVED in one.notes and one.owner in side.owners)
    return any(ownership(one.mark, seen.mark) in ours for one in images)


async def _look_alone(move: InstanceMigration, context: Context) -> MigrationObservation:
    """Of a move that is to go, after its instance went: what carries its own mark."""
    seen = MigrationObservation(mark=context.mark(move))
    target = await side_of(target_of(move), move, context)
    if isinstance(target, Outcome):
        return replace(seen, problem=target)
    seen = _in_target(replace(seen, target=target))
    left = written_cloud(move.external[FROM])
    source = await side_of(left, move, context) if left is not None else None
    if isinstance(source, Outcome) or source is None:
        return replace(seen, problem=source)
    return await _on_the_way(in_source(seen, source), move, context)


async def look_in_target(move: InstanceMigration, context: Context) -> MigrationObservation:
    """The instance, and the cloud where it goes. Nothing, of a move that is over."""
    nothing = MigrationObservation(mark=context.mark(move))
    if is_over(move):
        return nothing
    instance = context.get(instance_key(move))
    if not isinstance(instance, HostedInstance):
        gone = f"there is no HostedInstance {move.spec.instance_ref.name} in namespace {move.metadata.namespace}"
        return replace(nothing, problem=blocked(gone))
    nothing = replace(nothing, instance=instance, instance_mark=context.mark(instance), other=_other(move, context))
    target = await side_of(target_of(move), move, context)
    if isinstance(target, Outcome):
        return replace(nothing, problem=target)
    return _in_target(replace(nothing, target=target))


def _other(move: InstanceMigration, context: Context) -> str:
    """The first that began; before that, the first by name: so that of two one goes on."""
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


async def side_of(cloud: Key, move: InstanceMigration, context: Context) -> Side | Outcome:
    namespace = move.metadata.namespace
    problem = not_allowed(cloud, namespace, "spec.to.cloudRef", context) or not_answering_yet(cloud, context)
    if problem is not None:
        return problem
    view = await context.view(cloud)
    makers = await makers_of(view, cloud, namespace, context)
    needs = needs_management(cloud, context)
    return Side(cloud, view, makers.owner, makers.owners, needs, context.tenancy(namespace, cloud))


def _machines(side: Side, mark: Mark | None) -> tuple[Vm, ...]:
    """With this mark, also from before the cluster was rebuilt."""
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    if mark is None:
        return ()
    return tuple(vm for vm in side.view.vms.values() if vm.owner in side.owners and ownership(vm.mark, mark) in ours)


def _in_target(seen: MigrationObservation) -> MigrationObservation:
    if seen.target is None:
        return seen
    of_instance = _machines(seen.target, seen.instance_mark)
    # One that an earlier move of the same name left here is none that this one made.
    of_move = tuple(vm for vm in _machines(seen.target, seen.mark) if MOVED not in vm.notes)
    found = (*of_instance, *of_move)
    if len(found) > 1:
        return replace(seen, problem=_several(found, seen.target.cloud))
    return replace(seen, new=found[0] if found else None, taken_over=bool(of_instance))


def in_source(seen: MigrationObservation, side: Side) -> MigrationObservation:
    of_move, of_instance = _machines(side, seen.mark), _machines(side, seen.instance_mark)
    found = (*of_instance, *of_move)
    if len(found) > 1:
        return replace(seen, source=side, problem=_several(found, side.cloud))
    return replace(seen, source=side, old=found[0] if found else None, left=bool(of_move))


def _several(found: Iterable[Vm], cloud: Key) -> Outcome:
    ids = ", ".join(str(vm.id) for vm in found)
    return stalled(
        Reason.MULTIPLE_MATCHES,
        f"VMs {ids} in {where(cloud)} all carry the mark of the move or of its machine; keep one, and delete the others there or"
        " remove their SOVEREIGNCLOUD_* attributes",
    )


async def _on_the_way(seen: MigrationObservation, move: InstanceMigration, context: Context) -> MigrationObservation:
    """Disks and apps; before it begins also what it needs."""
    source, target, instance, old = seen.source, seen.target, seen.instance, seen.old
    if seen.problem is not None or source is None or target is None:
        return seen
    if CLEANED in move.external:
        return seen  # for as long as the grace period is, the two views tell all
    client = await context.open_nebula(source.cloud)
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    note = read_told(old.notes.get(MOVING, ""), seen.mark) if old is not None else None
    uid = note.uid if note is not None else seen.mark.uid
    name = saved_name(uid, "")
    savers = {*source.owners, *((old.owner,) if old is not None else ())}
    seen = replace(
        seen,
        note=note,
        uid=uid,
        apps=tuple(app for app in await client.moves.apps() if ownership(app.mark, seen.mark) in ours),
        saved=tuple(one for one in source.view.images.values() if one.name.startswith(name) and one.owner in savers),
        copies=copies_on_the_way(seen, target, name),
    )
    seen = replace(seen, disks=tuple(_disk(disk, seen, source.view) for disk in (old.disks if old is not None else ())))
    if BEGAN in move.external or old is None or instance is None:
        return seen
    leaving = exit_key(move)
    exits = not_its_exit(move, source.cloud, context.get(leaving) if leaving is not None else None)
    chosen = await choose_for(as_it_will_be(move, instance), context, (target.cloud,), bound=None, waits=False)
    markets = await client.parts.marketplaces()
    there = whereabouts(instance, old, source.cloud, source.view, context).places
    abroad = lying_abroad(markets, instance.key, (source.cloud, target.cloud), there, context)
    return replace(seen, marketplaces=markets, abroad=abroad, chosen=chosen, exits=exits)


def copies_on_the_way(seen: MigrationObservation, target: Side, name: str) -> tuple[Image, ...]:
    """Images of the move in the other cloud: by its mark, or by the name that they begin with. Not what a move of that name left
    there, nor what a rehearsal kept.
    """
    ours = {Ownership.OURS, Ownership.PREDECESSOR}
    return tuple(
        one
        for one in target.view.images.values()
        if one.owner in target.owners
        and MOVED not in one.notes
        and read_kept(one) is None
        and (ownership(one.mark, seen.mark) in ours or one.name.startswith(name))
    )


def _disk(disk: Disk, seen: MigrationObservation, view: CloudView) -> CopyOfDisk:
    name = saved_name(seen.uid, str(disk.id))
    image = view.images.get(disk.image_id)
    label = image.notes.get(DISK, "") if image is not None and image.persistent else ""
    return CopyOfDisk(
        disk,
        label,
        saved=next((one for one in seen.saved if one.name == name), None),
        app=next((one for one in seen.apps if one.name == name), None),
        copy=next((one for one in seen.copies if one.name == name), None),
    )


def as_it_will_be(move: InstanceMigration, instance: HostedInstance) -> HostedInstance:
    """What is asked for in the other cloud: its networks by their names there, and no image, since its disks are brought along.
    The group is its own plan's to join once it is there. An exit overrides where it wishes to be.
    """
    if move.spec.exit_plan_ref is not None:
        instance = instance.model_copy(update={"spec": instance.spec.model_copy(update={"placement": None})})
    return as_it_moves(renamed(instance, network_names(move)))


def network_names(move: InstanceMigration) -> dict[str, str]:
    """What a network is called in the other cloud, where that is another name."""
    return {one.from_: one.to for one in move.spec.network_map or () if one.from_ != one.to}


def rfc3339(seconds: str) -> str:
    """A time of `status.external` for people."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(now: datetime) -> str:
    """A time for `status.external` and for notes: seconds since 1970."""
    return str(int(now.timestamp()))
