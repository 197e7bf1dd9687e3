"""What a move does, one call each, every one safe to repeat: what it makes is found by its mark or its name before the next is
planned.
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
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import guest_of
from sovereigncloud.kinds.hostedinstance.creation.template_context import Surroundings, compute_attributes
from sovereigncloud.kinds.hostedinstance.machine.requests import carried_requests
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, under_way
from sovereigncloud.kinds.hostedinstance.network.network_map import written
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, marks
from sovereigncloud.kinds.instancemigration.observation import as_it_will_be, at, instance_key, network_names
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
    moves_note,
    shortened,
    told,
)
from sovereigncloud.ports.errors import NotFound, NotYet, OutsideError, Rejected
from sovereigncloud.ports.opennebula.client import Attributes, OpenNebula
from sovereigncloud.ports.opennebula.views import Vm


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStep(Step):
    """In one of the two clouds."""

    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(MoveStep):
    """Note on the machine that it moves, and whether it runs. From here on its instance follows."""

    vm: int
    runs: bool
    marketplace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(MoveStep):
    """poweroff, resume, release, terminate-hard. `stopping`: the machine that moves: from here on it is down."""

    vm: int
    verb: str
    reason: Reason
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDisk(MoveStep):
    vm: int
    disk: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDisk(MoveStep):
    """`image`: that was saved."""

    image: int
    name: str
    marketplace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDisk(MoveStep):
    """`app`: its number, where the other cloud knows it; else its file is fetched from `source`. `backup`: what makes it of a
    backup instead, which is called `copy`.
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
class CreateCopy(MoveStep):
    """Held: it runs nowhere before it is released. `disks`: image and label of each, in order."""

    of: Vm
    disks: tuple[tuple[int, str], ...]
    cards: tuple[NewCard, ...]
    surroundings: Surroundings
    rehearsal: bool
    came_from: str = ""
    """Which machine it takes the place of, where that could not be told to that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveMachine(MoveStep):
    """The first of three writes: the machine that was left is the move's. `returned`: its cloud was lost, and it is the last."""

    vm: int
    returned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveDisk(MoveStep):
    """An image that the machine that was left has is the move's, too. `vm`: that machine."""

    vm: int
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverDisk(MoveStep):
    """An image that was brought along becomes a disk of the instance."""

    image: int
    label: str
    policy: DeletionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverMachine(MoveStep):
    """The second: the copy is the instance's machine. The third is the instance's own."""

    vm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteImage(MoveStep):
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteApp(MoveStep):
    app: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetMove(MoveStep):
    """The note on a machine that stays where it is. `proof`: that a copy of it ran elsewhere; empty: none did."""

    vm: int
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remember(Step):
    """Nothing outside: something is known from here on. `now_as`: the key of the time it is now."""

    facts: tuple[tuple[str, str], ...] = ()
    now_as: str = ""
    event: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOver(Step):
    """Nothing outside: a copy could not be read, and another one is taken."""

    copy: str
    message: str


async def perform(step: Step, move: InstanceMigration, context: Context) -> Outcome:
    """Do one of them."""
    match step:
        case Remember():
            facts = dict(step.facts) | ({step.now_as: at(context.now)} if step.now_as else {})
            return done(step.event or "", step.message if step.event else "").with_facts(**facts)
        case PassOver():
            return done(Reason.COPY_UNREADABLE, step.message).with_facts(**passing_over(step.copy, move, context))
        case Begin() | Act() | SaveDisk() | LeaveMachine() | LeaveDisk() | ForgetMove():
            client = await context.open_nebula_for(step.cloud, move.metadata.namespace, step.vm)
            return await _on_machine(step, move, context, client)
        case PublishDisk() | DeleteApp() | DeleteImage():
            # Apps are the administrator's: no default rule lets a tenant make one. An image may be older than the Tenant.
            return await _on_the_way(step, context, await context.open_nebula(step.cloud), move)
        case MoveStep():
            client = await context.open_nebula_for(step.cloud, move.metadata.namespace)
            return await _in_target(step, move, context, client)
        case _:
            raise TypeError(f"not a step of an InstanceMigration: {step!r}")


async def _on_machine(
    step: Begin | Act | SaveDisk | LeaveMachine | LeaveDisk | ForgetMove,
    move: InstanceMigration,
    context: Context,
    client: OpenNebula,
) -> Outcome:
    mark, now = context.mark(move), at(context.now)
    match step:
        case Begin():
            await client.update_vm(step.vm, {MOVING: told(mark, now, ran=step.runs)})
            facts = {FROM: where(step.cloud), BEGAN: now, MARKET: str(step.marketplace)}
            return done(Reason.MIGRATION_STARTED, f"{step.target} begins").with_facts(**facts)
        case Act():
            await client.act(step.vm, step.verb)
            outcome = under_way(step.reason, step.target)
            return outcome.with_facts(**{STOPPED: now}) if step.stopping and STOPPED not in move.external else outcome
        case SaveDisk():
            await client.moves.save_disk(step.vm, step.disk, step.name)
            return under_way(Reason.DISK_SAVED, step.target)
        case LeaveMachine():
            instance = context.mark(moving_instance(move, context))
            await client.update_vm(step.vm, {MOVED: instance.object, **mark.for_opennebula()})
            if step.returned:
                return done(Reason.SOURCE_FENCED, step.target).with_facts(**{RETURNED: now})
            return done().with_facts(**_seen_running(move, now))
        case LeaveDisk():
            instance = context.mark(moving_instance(move, context))
            await client.update_image(step.image, {MOVED: instance.object, **mark.for_opennebula()})
            return done()
        case ForgetMove():
            await client.update_vm(step.vm, {MOVING: CLEARED, **({REHEARSED: step.proof} if step.proof else {})})
            return done()


async def _on_the_way(
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


async def _in_target(step: MoveStep, move: InstanceMigration, context: Context, client: OpenNebula) -> Outcome:
    match step:
        case ImportDisk():
            kind = {"PERSISTENT": "YES", "TYPE": "DATABLOCK"} if step.persistent else {"TYPE": "OS"}
            template = {"NAME": step.name, **_content(step), **kind, **context.mark(move).for_opennebula()}
            try:
                await client.create_image(template, step.datastore)
            except (Rejected, NotFound) as error:
                if not step.copy:
                    raise
                return passed_over(step.copy, error, move, context)
            return under_way(Reason.DISK_IMPORTED, step.target)
        case CreateCopy():
            made = await client.moves.create_held(await _template(step, move, context))
            return under_way(Reason.COPY_CREATED, f"VM {made} made in {where(step.cloud)}")
        case HandOverDisk():
            mark = context.mark(moving_instance(move, context))
            await client.update_image(step.image, marks(step.label or ROOT, step.policy, mark))
            return done()
        case HandOverMachine():
            await client.update_vm(step.vm, context.mark(moving_instance(move, context)).for_opennebula())
            return done(Reason.CUT_OVER, step.target).with_facts(**_seen_running(move, at(context.now)))
        case _:
            raise TypeError(f"not a step of an InstanceMigration: {step!r}")


def _seen_running(move: InstanceMigration, now: str) -> dict[str, str]:
    """Since when the copy is known to run: it is handed over as soon as it is seen to."""
    return {} if STARTED in move.external else {STARTED: now}


def _content(step: ImportDisk) -> dict[str, str]:
    if step.backup:
        return dict(step.backup)
    return {"FROM_APP": str(step.app)} if step.app is not None else {"PATH": step.source, "MD5": step.digest}


def passed_over(copy: str, error: OutsideError, move: InstanceMigration, context: Context) -> Outcome:
    """OpenNebula looks at a copy before it says yes: this one it cannot read."""
    return done(Reason.COPY_UNREADABLE, f"copy {copy} cannot be read: {error.message}").with_facts(
        **passing_over(copy, move, context)
    )


def passing_over(copy: str, move: InstanceMigration, context: Context) -> dict[str, str]:
    """That a copy could not be read, and when that was found."""
    known = dict.fromkeys((*move.external.get(PASSED_OVER, "").split(), copy))
    return {PASSED_OVER: " ".join(known), PASSED_AT: at(context.now)}


def moving_instance(move: InstanceMigration, context: Context) -> HostedInstance:
    """Whose machine it is."""
    found = context.get(instance_key(move))
    if not isinstance(found, HostedInstance):
        raise NotYet(f"{instance_key(move)} is not there", after=10.0)
    return found


async def _template(step: CreateCopy, move: InstanceMigration, context: Context) -> Attributes:
    """The machine as it is, not as spec would make it: what differs is its own plan's to mend, as it was before."""
    instance = as_it_will_be(move, moving_instance(move, context))
    guest = await guest_of(instance, context.kubernetes)
    disks: list[Attributes] = [
        {"IMAGE_ID": str(image), **({DISK: label} if label else {})} for image, label in step.disks
    ]
    return {
        **compute_attributes(instance, step.surroundings),
        **carried_requests(instance),
        **written(network_names(move)),
        **({CAME_FROM: step.came_from} if step.came_from else {}),
        **({} if step.rehearsal else exit_note(move, moving_instance(move, context))),
        **({} if step.rehearsal else moves_note(move, moving_instance(move, context), step.of)),
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


def failed(why: str) -> Remember:
    """It comes to nothing: from here on it goes back."""
    return Remember(
        action=Action.UPDATE,
        target="going back",
        inside=True,
        facts=((FAILED, shortened(why)),),
        event=Reason.MOVE_FAILED,
        message=why,
    )


def remember(target: str, key: str, event: Reason | None = None, message: str = "") -> Remember:
    """A moment: `RAN`, `CUT_OVER` or `ENDED`."""
    return Remember(action=Action.UPDATE, target=target, inside=True, now_as=key, event=event, message=message)
