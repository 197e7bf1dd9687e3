"""MachineImage: an image in OpenNebula, made in each of its clouds; one that is there already is used as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import ImageSource, MachineImage
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, Phase, blocked, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import referred, where
from sovereigncloud.kinds.identity.adoption import releasing
from sovereigncloud.kinds.identity.adoption_per_cloud import fact, has_waited_enough, is_let_go, was_adopted
from sovereigncloud.kinds.identity.identification import foreign, looked_for_again
from sovereigncloud.kinds.machineimage.observation import CloudImage, ImageObservation, is_left_alone, look, record
from sovereigncloud.kinds.machineimage.steps import (
    AdoptImage,
    CreateImage,
    DeleteImage,
    MarkImage,
    RecordImage,
    ReleaseImage,
    perform_image,
)
from sovereigncloud.kinds.machineimage.upkeep import in_use, named, plan_earlier, plan_failure, plan_fields
from sovereigncloud.kinds.machineimage.versions import Earlier
from sovereigncloud.kinds.planning.composition import consent_last, join
from sovereigncloud.ports.opennebula.image_states import DELETING, WORDS_IN_ORDER, exists_in_order, words
from sovereigncloud.ports.opennebula.views import Datastore, Image, MarketplaceApp

_SHOWN = 10


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

    async def observe(self, resource: MachineImage, context: Context) -> ImageObservation:
        return await look(resource, context)

    def plan(self, resource: MachineImage, observed: ImageObservation, now: datetime) -> Plan:
        plan = join(_plan_in(here, resource, observed, now) for here in observed.clouds)
        return replace(plan, steps=consent_last(plan.steps))

    async def perform(self, step: Step, resource: MachineImage, context: Context) -> Outcome:
        return await perform_image(step, resource, context)

    def status(self, resource: MachineImage, observed: ImageObservation) -> Mapping[str, object]:
        """The image in each cloud that spec names."""
        clouds = [here for here in observed.clouds if here.wanted]
        if not clouds:
            return {"cloudsReady": None, "clouds": None}
        known = {cloud.name: cloud for cloud in resource.status.clouds or ()}
        ready = 0
        entries: list[dict[str, object]] = []
        for here in clouds:
            entry: dict[str, object] = {"name": here.cloud.name}
            image = here.found.thing or here.namesake
            before = known.get(here.cloud.name)
            if image is not None:
                entry |= {"id": str(image.id), "state": words(image)}
                entry |= {"datastore": here.kept_in} if here.kept_in else {}
                ready += _verdict(here, observed.mark, image).phase is Phase.DONE
            elif here.problem is not None and before is not None:
                entry |= before.model_dump(by_alias=True, exclude_none=True)  # nobody could look
                ready += before.state in WORDS_IN_ORDER
            if here.earlier and here.problem is None:
                entry["previous"] = [_told(one) for one in here.earlier]
            entries.append(entry)
        own = [dict(observed.compliant)] if observed.compliant is not None else []
        return {"cloudsReady": f"{ready}/{len(clouds)}", "clouds": entries, OWN_CONDITIONS: own}


def _plan_in(here: CloudImage, resource: MachineImage, observed: ImageObservation, now: datetime) -> Plan:
    going = resource.deleting or not here.wanted
    if going and is_let_go(resource, here.cloud, here.found.thing):
        return _release(here, resource, now)
    problem = here.problem or here.found.problem
    if problem is not None:
        nothing_made = record(here.cloud) not in resource.external and problem.phase is Phase.STALLED
        return Plan() if going and nothing_made and here.found.problem is None else Plan(outcome=problem)
    image = here.found.thing
    if here.found.missing is not None and not observed.admitted:
        return looked_for_again(f"image {here.found.missing} in {where(here.cloud)}")
    if going:
        # A cloud that is only observed keeps what is in it, as it would if this object were in that cloud alone.
        keeps = resource.deletion_policy is DeletionPolicy.RETAIN or here.needs
        return (
            Plan() if keeps else join((_deletion(here, image), plan_earlier(here, resource, ready=False, going=True)))
        )
    if image is not None:
        return _keeping(here, image, resource, observed.mark, now)
    if here.namesake is not None:
        return Plan(outcome=_verdict(here, observed.mark, here.namesake))
    return _making(here, resource)


def _told(one: Earlier) -> str:
    users = one.users[:_SHOWN]
    more = f" and {len(one.users) - _SHOWN} more" if len(one.users) > _SHOWN else ""
    used = f", used by {', '.join(users)}{more}" if users else ", unused"
    return f"{one.image.name} ({one.image.id}){used}"


def _field(here: CloudImage) -> str:
    return f"spec.cloudRefs[{here.cloud.name}]"


def _making(here: CloudImage, resource: MachineImage) -> Plan:
    troubles = merge(found for found in (here.datastore, here.app) if isinstance(found, Outcome))
    if troubles.phase is not Phase.DONE or not isinstance(here.datastore, Datastore):
        return Plan(outcome=troubles)
    if resource.spec.source == ImageSource():
        message = f"spec.source is needed to make the image in {where(here.cloud)} anew: set a marketplaceApp or a url"
        return Plan(outcome=stalled(Reason.INVALID_SPEC, message))
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


def _keeping(here: CloudImage, image: Image, resource: MachineImage, mark: Mark, now: datetime) -> Plan:
    verdict = Plan(outcome=_verdict(here, mark, image))
    target = named(image, here)
    if here.found.adoptable:
        adopt = AdoptImage(
            action=Action.MARK, target=target, needs=here.needs, cloud=here.cloud, image=image.id, owner=image.owner
        )
        fields = plan_fields(here, image, resource)
        return join((replace(verdict, steps=(adopt,)), fields))
    if here.found.predecessor:
        taken = MarkImage(action=Action.MARK, target=target, needs=here.needs, cloud=here.cloud, image=image.id)
        fields = plan_fields(here, image, resource)
        return replace(verdict, drift=fields.drift, steps=(taken,))
    owner = image.owner if was_adopted(resource, here.cloud, image) else None
    unrecorded = owner is not None and fact(here.cloud) not in resource.external
    if (resource.external.get(record(here.cloud)) != str(image.id) or unrecorded) and image.state != DELETING:
        noted = RecordImage(
            action=Action.UPDATE, target=target, inside=True, cloud=here.cloud, image=image.id, owner=owner
        )
        return replace(verdict, steps=(noted,))
    failure = plan_failure(here, image, resource, now)
    if failure is not None and failure.outcome.phase is not Phase.DONE:
        return failure
    ready = verdict.outcome.phase is Phase.DONE
    fields = plan_fields(here, image, resource)
    before = plan_earlier(here, resource, ready=ready, going=False)
    return join((verdict, *([failure] if failure else []), fields, before))


def _release(here: CloudImage, resource: MachineImage, now: datetime) -> Plan:
    """The marks of one that was there before are taken off; nothing where it is gone, or is not this object's (any more)."""
    if here.problem is not None:
        return Plan() if has_waited_enough(resource, now) else Plan(outcome=here.problem)
    image = here.found.thing
    if image is None or here.found.adoptable or here.needs:
        return Plan()
    target = f"marks of {named(image, here)}"
    step = ReleaseImage(action=Action.UPDATE, target=target, cloud=here.cloud, image=image.id)
    return releasing(step)


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


def _deletion(here: CloudImage, image: Image | None) -> Plan:
    """It waits until nobody uses it, then it goes."""
    if image is None:
        return Plan()
    what = named(image, here)
    if image.state == DELETING:
        return Plan(outcome=waiting(Reason.DELETING, f"{what} is being deleted"))
    users = (*here.named_by, *here.machines)
    if users:
        return Plan(outcome=blocked(in_use(what, users), reason=Reason.IN_USE))
    step = DeleteImage(action=Action.DELETE, target=what, fields=(_field(here),), cloud=here.cloud, image=image.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{what} is to be deleted"))
