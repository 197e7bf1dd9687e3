"""MachineImage: an image in OpenNebula, made in each of its clouds; one that is there already is used as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api.base import DeletionPolicy, Key
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, Phase, blocked, done, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.clouds import referred, where
from sovereigncloud.kinds.controller import Uses, World
from sovereigncloud.kinds.identification import foreign
from sovereigncloud.kinds.image_observation import CloudImage, ImageObservation, is_left_alone, look, record
from sovereigncloud.kinds.image_states import DELETING, WORDS_IN_ORDER, exists_in_order, words
from sovereigncloud.kinds.ports import Attributes, Datastore, Image, MarketplaceApp

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateImage(Step):
    """From marketplace app `app`, or from spec.source.url where it is None."""

    cloud: Key
    datastore: int
    app: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkImage(Step):
    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordImage(Step):
    """Record the image that was found by its mark: the answer to its creation was lost. Nothing outside."""

    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteImage(Step):
    cloud: Key
    image: int


class MachineImageController:
    """Drives `one.image.*` of several clouds."""

    resource = MachineImage

    def uses(self, resource: MachineImage) -> Uses:
        if is_left_alone(resource):
            return Uses()
        namespace = resource.metadata.namespace
        clouds = tuple(
            c for c in (referred(r, namespace) for r in resource.spec.cloud_refs) if c.namespace == namespace
        )
        return Uses(cloud=clouds[0]) if len(resource.spec.cloud_refs) == len(clouds) == 1 else Uses(objects=clouds)

    async def observe(self, resource: MachineImage, world: World) -> ImageObservation:
        return await look(resource, world)

    def plan(self, resource: MachineImage, observed: ImageObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        plans = [_plan_in(here, resource, observed) for here in observed.clouds]
        steps = [step for part in plans for step in part.steps]
        return Plan(
            drift=tuple(drift for part in plans for drift in part.drift),
            # What waits for consent comes last: nothing is done beyond the first such step.
            steps=(*(s for s in steps if not s.needs), *(s for s in steps if s.needs)),
            outcome=merge(part.outcome for part in plans),
            absent=any(part.absent for part in plans),
        )

    async def perform(self, step: Step, resource: MachineImage, world: World) -> Outcome:
        """Do one step. Its outcome records which image it was, where."""
        match step:
            case RecordImage(cloud=cloud, image=image):
                return done().with_facts(**{record(cloud): str(image)})
            case CreateImage(cloud=cloud):
                client = await world.open_nebula(cloud)
                made = await client.create_image(_template(step, resource, world.mark(resource)), step.datastore)
                message = f'image {made} "{resource.outside_name}" created in {where(cloud)}'
                return done(Reason.CREATED, message, **{record(cloud): str(made)})
            case MarkImage(cloud=cloud, image=image):
                client = await world.open_nebula(cloud)
                await client.update_image(image, world.mark(resource).for_opennebula())
                message = f"image {image} in {where(cloud)} taken over from before the cluster was rebuilt"
                return done(Reason.TAKEN_OVER, message, **{record(cloud): str(image)})
            case DeleteImage(cloud=cloud, image=image):
                client = await world.open_nebula(cloud)
                await client.delete_image(image)
                # Forgotten at once: while it goes it is found by its mark, and then its absence is no loss.
                message = f"image {image} in {where(cloud)} is being deleted"
                return waiting(Reason.DELETING, message).with_facts(**{record(cloud): ""})
            case _:
                raise TypeError(f"not a step of a MachineImage: {step!r}")

    def status(self, resource: MachineImage, observed: ImageObservation) -> Mapping[str, object]:
        """The image in each cloud that spec names."""
        clouds = [here for here in observed.clouds if here.wanted]
        if not clouds:
            return {"cloudsReady": None, "clouds": None}
        known = {cloud.name: cloud for cloud in resource.status.clouds or ()}
        ready = 0
        entries: list[dict[str, str]] = []
        for here in clouds:
            entry = {"name": here.cloud.name}
            image = here.found.thing or here.namesake
            before = known.get(here.cloud.name)
            if image is not None:
                entry |= {"id": str(image.id), "state": words(image)}
                ready += _verdict(here, observed.mark, image).phase is Phase.DONE
            elif here.problem is not None and before is not None:
                entry |= before.model_dump(by_alias=True, exclude_none=True)  # nobody could look
                ready += before.state in WORDS_IN_ORDER
            entries.append(entry)
        return {"cloudsReady": f"{ready}/{len(clouds)}", "clouds": entries}


def _plan_in(here: CloudImage, resource: MachineImage, observed: ImageObservation) -> Plan:
    going = resource.deleting or not here.wanted
    problem = here.problem or here.found.problem
    if problem is not None:
        nothing_made = record(here.cloud) not in resource.external and problem.phase is Phase.STALLED
        return Plan() if going and nothing_made and here.found.problem is None else Plan(outcome=problem)
    image = here.found.thing
    if here.found.missing is not None and not observed.admitted:
        what = f"image {here.found.missing} in {where(here.cloud)}"
        outcome = waiting(
            Reason.CONFIRMING_ABSENCE, f"{what} is missing in the last view; it is looked for again", available=True
        )
        return Plan(absent=True, outcome=outcome)
    if going:
        # A cloud that is only observed keeps what is in it, as it would if this object were in that cloud alone.
        keeps = resource.deletion_policy is DeletionPolicy.RETAIN or here.needs
        return Plan() if image is None or keeps else _deletion(here, image)
    if image is not None:
        return _keeping(here, image, resource, observed.mark)
    if here.namesake is not None:
        return Plan(outcome=_verdict(here, observed.mark, here.namesake))
    return _making(here, resource)


def _field(here: CloudImage) -> str:
    return f"spec.cloudRefs[{here.cloud.name}]"


def _making(here: CloudImage, resource: MachineImage) -> Plan:
    troubles = merge(found for found in (here.datastore, here.app) if isinstance(found, Outcome))
    if troubles.phase is not Phase.DONE or not isinstance(here.datastore, Datastore):
        return Plan(outcome=troubles)
    lost = here.found.missing
    name = f'image "{resource.outside_name}"'
    step = CreateImage(
        action=Action.CREATE,
        target=f"{name} in {where(here.cloud)}",
        fields=(_field(here),),
        cause=Cause.DECLARED if lost is None else Cause.OBSERVED,
        needs=here.needs,
        cloud=here.cloud,
        datastore=here.datastore.id,
        app=here.app.id if isinstance(here.app, MarketplaceApp) else None,
    )
    drift = () if lost is None else (Drift(_field(here), name, f"image {lost} is gone"),)
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _keeping(here: CloudImage, image: Image, resource: MachineImage, mark: Mark) -> Plan:
    outcome = _verdict(here, mark, image)
    drift: tuple[Drift, ...] = ()
    if image.name != resource.outside_name:
        drift = (Drift(_field(here), f'called "{resource.outside_name}"', f'called "{image.name}"'),)
        message = (
            f'image {image.id} in {where(here.cloud)} should be called "{resource.outside_name}", so that instances find'
            f" it; rename it there (oneimage rename {image.id}), or set spec.name"
        )
        outcome = outcome.merge(stalled(Reason.RENAMED, message))
    steps: tuple[Step, ...] = ()
    target = f'image {image.id} "{image.name}" in {where(here.cloud)}'
    if here.found.predecessor:
        steps = (MarkImage(action=Action.MARK, target=target, needs=here.needs, cloud=here.cloud, image=image.id),)
    elif resource.external.get(record(here.cloud)) != str(image.id) and image.state != DELETING:
        steps = (RecordImage(action=Action.UPDATE, target=target, inside=True, cloud=here.cloud, image=image.id),)
    return Plan(drift=drift, steps=steps, outcome=outcome)


def _verdict(here: CloudImage, mark: Mark, image: Image) -> Outcome:
    """Whether it can be used: ours, and an unmarked one of that name as it is. An unmarked one is only read: it is
    neither changed nor marked, and stays when this object goes.
    """
    match ownership(image.mark, mark):
        case Ownership.FOREIGN:
            return foreign(image, "image")
        case Ownership.SIBLING:
            whose = image.mark.object.replace("/", " ", 1) if image.mark else "nobody"
            message = (
                f'image {image.id} "{image.name}" in {where(here.cloud)} belongs to {whose}; set another spec.name'
            )
            return stalled(Reason.NAME_TAKEN, message)
        case _:
            return exists_in_order(image, where(here.cloud))


def _deletion(here: CloudImage, image: Image) -> Plan:
    """It waits until nobody uses it, then it goes."""
    what = f'image {image.id} "{image.name}" in {where(here.cloud)}'
    if image.state == DELETING:
        return Plan(outcome=waiting(Reason.DELETING, f"{what} is being deleted"))
    users = (*here.named_by, *here.machines)
    if users:
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        return Plan(outcome=blocked(f"{what} is in use by {', '.join(users[:_SHOWN])}{more}", reason=Reason.IN_USE))
    step = DeleteImage(action=Action.DELETE, target=what, fields=(_field(here),), cloud=here.cloud, image=image.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{what} is to be deleted"))


def _template(step: CreateImage, resource: MachineImage, mark: Mark) -> Attributes:
    """The mark is in the create call itself. FROM_APP lets oned fill in path, format and size."""
    source = {"FROM_APP": str(step.app)} if step.app is not None else {"PATH": resource.spec.source.url or ""}
    return {"NAME": resource.outside_name, "TYPE": "OS", **source, **mark.for_opennebula()}
