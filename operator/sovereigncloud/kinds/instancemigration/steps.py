"""Steps of a migration, one call each and safe to repeat.

Every object that a step creates has a mark or a fixed name, by which it is found before the next step is planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import read_guest_configuration
from sovereigncloud.kinds.hostedinstance.creation.template_context import TemplateContext, compute_attributes
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, image_attributes
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NewNic
from sovereigncloud.kinds.hostedinstance.machine.requests import carried_requests
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, under_way
from sovereigncloud.kinds.hostedinstance.network.network_map import network_map_note
from sovereigncloud.kinds.instancemigration.observation import at, instance_in_target, instance_key, network_names
from sovereigncloud.kinds.movement.placement_override import exit_note
from sovereigncloud.kinds.movement.records import (
    BEGAN,
    CAME_FROM,
    FAILED,
    FROM,
    MARKET,
    MOVED,
    MOVING,
    PASSED_AT,
    PASSED_OVER,
    REHEARSED,
    RETURNED,
    STARTED,
    STOPPED,
    migration_note,
    migrations_note,
    shortened,
)
from sovereigncloud.ports.errors import NotFound, NotYet, OutsideError, Rejected
from sovereigncloud.ports.opennebula.attributes import Attributes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import Vm


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStep(Step):
    """A step in the source or the target cloud."""

    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginMigration(MigrationStep):
    """Note on the source VM that it is migrated, and whether it runs.

    From then on its instance leaves the VM alone.
    """

    vm: int
    runs: bool
    marketplace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VmAction(MigrationStep):
    """Action of one.vm.action on a VM. `stopping`: it shuts down the source, so downtime starts."""

    vm: int
    verb: str
    reason: Reason
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDisk(MigrationStep):
    vm: int
    disk: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDisk(MigrationStep):
    """Publish a saved image as an app of a marketplace."""

    image: int
    name: str
    marketplace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDisk(MigrationStep):
    """Import a disk into the target cloud from an app, a URL or a backup.

    `app`: id of the app if the target knows it, else the file is fetched from `source`. `backup`: attributes that
    restore the disk from a backup, whose name is `copy`.
    """

    name: str
    datastore: int
    source: str = ""
    digest: str = ""
    app: int | None = None
    persistent: bool = False
    backup: tuple[tuple[str, str], ...] = ()
    copy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCopy(MigrationStep):
    """Create the copy on hold: it does not run before it is released.

    `disks`: image id and label of each, in order.
    """

    of: Vm
    disks: tuple[tuple[int, str], ...]
    cards: tuple[NewNic, ...]
    surroundings: TemplateContext
    rehearsal: bool
    came_from: str = ""
    """The VM that the copy supersedes, if that one is in a lost cloud and cannot be updated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSourceVm(MigrationStep):
    """Mark the source VM as the migration's: first of the three cutover writes.

    `returned`: the source cloud was lost and answers again, so this write is the last one.
    """

    vm: int
    returned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSourceDisk(MigrationStep):
    """Mark an image of the source VM as the migration's. `vm`: that VM."""

    vm: int
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverDisk(MigrationStep):
    """Mark an imported image as a disk of the instance."""

    image: int
    label: str
    policy: DeletionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverVm(MigrationStep):
    """Mark the copy as the VM of the instance: second cutover write; the instance does the third."""

    vm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteImage(MigrationStep):
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteApp(MigrationStep):
    app: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMigrationNote(MigrationStep):
    """Remove the migration note from a VM that stays. `proof`: rehearsal record to write, if any."""

    vm: int
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts(Step):
    """Record facts in the status without a call. `now_as`: the key that gets the current time."""

    facts: tuple[tuple[str, str], ...] = ()
    now_as: str = ""
    event: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipCopy(Step):
    """Record, without a call, that a copy is unreadable and the next one is used."""

    copy: str
    message: str


async def perform(step: Step, move: InstanceMigration, context: Context) -> Outcome:
    """Execute one step of a migration."""
    match step:
        case RecordFacts():
            facts = dict(step.facts) | ({step.now_as: at(context.now)} if step.now_as else {})
            return done(step.event or "", step.message if step.event else "").with_facts(**facts)
        case SkipCopy():
            return done(Reason.COPY_UNREADABLE, step.message).with_facts(**skipped_copy_facts(step.copy, move, context))
        case BeginMigration() | VmAction() | SaveDisk() | MarkSourceVm() | MarkSourceDisk() | RemoveMigrationNote():
            client = await context.open_nebula_for(step.cloud, move.metadata.namespace, step.vm)
            return await _perform_on_vm(step, move, context, client)
        case PublishDisk() | DeleteApp() | DeleteImage():
            # The administrator owns apps: no default ACL lets a tenant create one. Images may be older than the Tenant.
            return await _perform_transfer(step, context, await context.open_nebula(step.cloud), move)
        case MigrationStep():
            client = await context.open_nebula_for(step.cloud, move.metadata.namespace)
            return await _perform_in_target(step, move, context, client)
        case _:
            raise TypeError(f"not a step of an InstanceMigration: {step!r}")


async def _perform_on_vm(
    step: BeginMigration | VmAction | SaveDisk | MarkSourceVm | MarkSourceDisk | RemoveMigrationNote,
    move: InstanceMigration,
    context: Context,
    client: OpenNebula,
) -> Outcome:
    mark, now = context.mark(move), at(context.now)
    match step:
        case BeginMigration():
            await client.update_vm(step.vm, {MOVING: migration_note(mark, now, ran=step.runs)})
            facts = {FROM: where(step.cloud), BEGAN: now, MARKET: str(step.marketplace)}
            return done(Reason.MIGRATION_STARTED, f"{step.target} begins").with_facts(**facts)
        case VmAction():
            await client.act(step.vm, step.verb)
            outcome = under_way(step.reason, step.target)
            return outcome.with_facts(**{STOPPED: now}) if step.stopping and STOPPED not in move.external else outcome
        case SaveDisk():
            await client.moves.save_disk(step.vm, step.disk, step.name)
            return under_way(Reason.DISK_SAVED, step.target)
        case MarkSourceVm():
            instance = context.mark(required_instance(move, context))
            await client.update_vm(step.vm, {MOVED: instance.object, **mark.for_opennebula()})
            if step.returned:
                return done(Reason.SOURCE_FENCED, step.target).with_facts(**{RETURNED: now})
            return done().with_facts(**_started_fact(move, now))
        case MarkSourceDisk():
            instance = context.mark(required_instance(move, context))
            await client.update_image(step.image, {MOVED: instance.object, **mark.for_opennebula()})
            return done()
        case RemoveMigrationNote():
            await client.update_vm(step.vm, {MOVING: CLEARED, **({REHEARSED: step.proof} if step.proof else {})})
            return done()


async def _perform_transfer(
    step: PublishDisk | DeleteApp | DeleteImage, context: Context, client: OpenNebula, move: InstanceMigration
) -> Outcome:
    match step:
        case PublishDisk():
            wanted = {"NAME": step.name, "ORIGIN_ID": str(step.image), "TYPE": "IMAGE", "VERSION": "1"}
            await client.moves.publish({**wanted, **context.mark(move).for_opennebula()}, step.marketplace)
            return under_way(Reason.DISK_PUBLISHED, step.target)
        case DeleteApp():
            await client.moves.delete_app(step.app)
        case DeleteImage():
            await client.delete_image(step.image)
    return done()


async def _perform_in_target(
    step: MigrationStep, move: InstanceMigration, context: Context, client: OpenNebula
) -> Outcome:
    match step:
        case ImportDisk():
            kind = {"PERSISTENT": "YES", "TYPE": "DATABLOCK"} if step.persistent else {"TYPE": "OS"}
            template = {"NAME": step.name, **_content(step), **kind, **context.mark(move).for_opennebula()}
            try:
                await client.create_image(template, step.datastore)
            except (Rejected, NotFound) as error:
                if not step.copy:
                    raise
                return copy_skipped(step.copy, error, move, context)
            return under_way(Reason.DISK_IMPORTED, step.target)
        case CreateCopy():
            made = await client.moves.create_held(await _template(step, move, context))
            return under_way(Reason.COPY_CREATED, f"VM {made} made in {where(step.cloud)}")
        case HandOverDisk():
            mark = context.mark(required_instance(move, context))
            await client.update_image(step.image, image_attributes(step.label or ROOT, step.policy, mark))
            return done()
        case HandOverVm():
            await client.update_vm(step.vm, context.mark(required_instance(move, context)).for_opennebula())
            return done(Reason.CUT_OVER, step.target).with_facts(**_started_fact(move, at(context.now)))
        case _:
            raise TypeError(f"not a step of an InstanceMigration: {step!r}")


def _started_fact(move: InstanceMigration, now: str) -> dict[str, str]:
    """Start time of the copy, which is cut over as soon as it is seen running."""
    return {} if STARTED in move.external else {STARTED: now}


def _content(step: ImportDisk) -> dict[str, str]:
    if step.backup:
        return dict(step.backup)
    return {"FROM_APP": str(step.app)} if step.app is not None else {"PATH": step.source, "MD5": step.digest}


def copy_skipped(copy: str, error: OutsideError, move: InstanceMigration, context: Context) -> Outcome:
    """Outcome of a call that OpenNebula refused because it cannot read the copy."""
    return done(Reason.COPY_UNREADABLE, f"copy {copy} cannot be read: {error.message}").with_facts(
        **skipped_copy_facts(copy, move, context)
    )


def skipped_copy_facts(copy: str, move: InstanceMigration, context: Context) -> dict[str, str]:
    """Facts that record an unreadable copy and the time of the attempt."""
    known = dict.fromkeys((*move.external.get(PASSED_OVER, "").split(), copy))
    return {PASSED_OVER: " ".join(known), PASSED_AT: at(context.now)}


def required_instance(move: InstanceMigration, context: Context) -> HostedInstance:
    """The HostedInstance of the migration; raises NotYet if it is not in the cache."""
    found = context.get(instance_key(move))
    if not isinstance(found, HostedInstance):
        raise NotYet(f"{instance_key(move)} is not there", after=10.0)
    return found


async def _template(step: CreateCopy, move: InstanceMigration, context: Context) -> Attributes:
    """VM template of the copy: the VM as it is, not as spec describes it.

    Differences to spec are left to the instance's own plan, as before the migration.
    """
    instance = instance_in_target(move, required_instance(move, context))
    guest = await read_guest_configuration(instance, context.kubernetes)
    disks: list[Attributes] = [
        {"IMAGE_ID": str(image), **({DISK: label} if label else {})} for image, label in step.disks
    ]
    return {
        **compute_attributes(instance, step.surroundings),
        **carried_requests(instance),
        **network_map_note(network_names(move)),
        **({CAME_FROM: step.came_from} if step.came_from else {}),
        **({} if step.rehearsal else exit_note(move, required_instance(move, context))),
        **({} if step.rehearsal else migrations_note(move, required_instance(move, context), step.of)),
        "NAME": f"{step.of.name} (rehearsal)" if step.rehearsal else step.of.name,
        "CPU": step.of.cpu,
        "VCPU": str(step.of.vcpu),
        "MEMORY": str(step.of.memory),
        "DISK": disks,
        "NIC": [] if step.rehearsal else [card.as_nic() for card in step.cards],
        "CONTEXT": guest.context,
        "GRAPHICS": {"TYPE": "VNC"},
        **context.mark(move).for_opennebula(),
    }


def fail_migration(why: str) -> RecordFacts:
    """Record a failure, after which the migration is rolled back."""
    return RecordFacts(
        action=Action.UPDATE,
        target="roll back",
        inside=True,
        facts=((FAILED, shortened(why)),),
        event=Reason.MOVE_FAILED,
        message=why,
    )


def record_time(target: str, key: str, event: Reason | None = None, message: str = "") -> RecordFacts:
    """Record the current time under a key such as `RAN`, `CUT_OVER` or `ENDED`."""
    return RecordFacts(action=Action.UPDATE, target=target, inside=True, now_as=key, event=event, message=message)
