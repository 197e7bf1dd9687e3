"""An image that was made: kept as declared, made again where its download failed, and the versions before it let go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, retry, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption_per_cloud import was_adopted
from sovereigncloud.kinds.machineimage.observation import CloudImage
from sovereigncloud.kinds.machineimage.steps import DeleteImage, DescribeImage, RenameImage, SetPersistent, attempts
from sovereigncloud.kinds.machineimage.versions import VERSION_NOTE, declared_datastore, version_of
from sovereigncloud.ports.opennebula.image_states import exists_in_order, words
from sovereigncloud.ports.opennebula.views import Image

_ERROR = 5
_TRIES = 5
_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 3600.0
_SHOWN = 10


def named(image: Image, here: CloudImage) -> str:
    return f'image {image.id} "{image.name}" in {where(here.cloud)}'


def in_use(what: str, users: tuple[str, ...]) -> str:
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    return f"{what} is in use by {', '.join(users[:_SHOWN])}{more}"


def plan_fields(here: CloudImage, image: Image, resource: MachineImage) -> Plan:
    """Source, name, description, persistence, datastore."""
    cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
    parts = [
        _source(here, image, resource),
        _name(here, image, resource, cause),
        _persistence(here, image, resource, cause),
    ]
    wanted = resource.spec.description
    if wanted is not None and wanted != image.description:
        step = DescribeImage(
            action=Action.UPDATE, target=named(image, here), fields=("spec.description",), cause=cause, needs=here.needs,
            cloud=here.cloud, image=image.id,
        )  # fmt: skip
        parts.append(Plan((Drift("spec.description", wanted, image.description or "absent"),), (step,)))
    store = declared_datastore(resource, here.cloud)
    if store is not None and here.kept_in and here.kept_in != store:
        refs = (ref for ref in resource.spec.cloud_refs if ref.name == here.cloud.name and ref.datastore)
        path = "spec.datastore" if next(refs, None) is None else f"spec.cloudRefs[{here.cloud.name}].datastore"
        parts.append(_elsewhere(here, image, store, path))
    return Plan(
        tuple(d for part in parts for d in part.drift),
        tuple(s for part in parts for s in part.steps),
        _merged(part.outcome for part in parts),
    )


def _merged(outcomes: Iterator[Outcome]) -> Outcome:
    result = DONE
    for outcome in outcomes:
        result = result.merge(outcome)
    return result


def _source(here: CloudImage, image: Image, resource: MachineImage) -> Plan:
    """Under the name that it has already, another source makes no other image."""
    if image.notes.get(VERSION_NOTE, version_of(resource)) == version_of(resource):
        return Plan()
    message = (
        f"{named(image, here)} was made from another source than spec.source says now: set another spec.name, too, and the new"
        " one is made beside it; or set the source back"
    )
    drift = Drift("spec.source", "as declared", "made from another source", mendable=False)
    return Plan((drift,), outcome=stalled(Reason.WRONG_SOURCE, message))


def _name(here: CloudImage, image: Image, resource: MachineImage, cause: Cause) -> Plan:
    wanted = resource.outside_name
    if image.name == wanted or (resource.spec.name is None and was_adopted(resource, here.cloud, image)):
        return Plan()
    drift = (Drift("spec.name", wanted, image.name),)
    if here.namesake is not None:
        message = f"{named(image, here)} cannot be called {wanted}: image {here.namesake.id} is; set another spec.name"
        return Plan(drift, outcome=stalled(Reason.NAME_TAKEN, message))
    if here.named_by and not resource.settled:
        message = f"{in_use(named(image, here), here.named_by)} under this name: let them name {wanted}, or set spec.name back"
        return Plan(drift, outcome=replace(blocked(message, reason=Reason.IN_USE), available=True))
    step = RenameImage(
        action=Action.UPDATE, target=f"{named(image, here)}, called {wanted}", fields=(drift[0].path,), cause=cause,
        needs=here.needs, cloud=here.cloud, image=image.id,
    )  # fmt: skip
    return Plan(drift, (step,))


def _persistence(here: CloudImage, image: Image, resource: MachineImage, cause: Cause) -> Plan:
    wanted = resource.spec.persistent
    if wanted is None or wanted == image.persistent:
        return Plan()
    drift = (Drift("spec.persistent", str(wanted).lower(), str(image.persistent).lower()),)
    if image.vms or image.running_vms or image.state != 1:
        used = (
            f"{max(len(image.vms), image.running_vms)} machines use it"
            if image.vms or image.running_vms
            else words(image)
        )
        message = f"spec.persistent of {named(image, here)} is changed once no machine uses it ({used})"
        return Plan(drift, outcome=waiting(Reason.IMAGE_BUSY, message, available=True))
    step = SetPersistent(
        action=Action.UPDATE, target=named(image, here), fields=("spec.persistent",), cause=cause, needs=here.needs,
        cloud=here.cloud, image=image.id, persistent=wanted,
    )  # fmt: skip
    return Plan(drift, (step,))


def _elsewhere(here: CloudImage, image: Image, store: str, path: str) -> Plan:
    """OpenNebula moves no image: it would have to be made anew, and machines may use this one."""
    message = (
        f"{named(image, here)} is in datastore {here.kept_in}, not in {store}, and does not move: set another spec.name, too,"
        f" and it is made there beside this one; or set the datastore back to {here.kept_in}"
    )
    return Plan(
        (Drift(path, store, here.kept_in, mendable=False),),
        outcome=stalled(Reason.WRONG_DATASTORE, message),
    )


def plan_failure(here: CloudImage, image: Image, resource: MachineImage, now: datetime) -> Plan | None:
    """A download that failed is tried again a few times, further and further apart; None: it did not fail.

    Only what never worked is taken away: an image that was in order once may hold what machines use.
    """
    failed = int(resource.external.get(attempts(here.cloud), "0") or 0)
    if image.state != _ERROR:
        done = exists_in_order(image, where(here.cloud)).phase is Phase.DONE
        return Plan(outcome=DONE.with_facts(**{attempts(here.cloud): ""})) if failed and done else None
    if was_adopted(resource, here.cloud, image):
        return None  # nothing that was there before is deleted to be made anew
    if resource.settled or image.vms or image.running_vms or failed >= _TRIES or here.needs:
        return None  # told by its state
    corrected = image.notes.get(VERSION_NOTE, version_of(resource)) != version_of(resource)
    pause = 0.0 if corrected else min(_FIRST_PAUSE * 2**failed, _LONGEST_PAUSE)
    left = image.time + pause - now.timestamp()
    told = f": {image.error}" if image.error else ""
    message = (
        f"{named(image, here)} could not be made{told}; it is deleted and made again, try {failed + 2} of {_TRIES + 1}"
    )
    if left > 0:
        return Plan(outcome=retry(message, after=max(left, 1.0), reason=Reason.IMAGE_ERROR))
    step = DeleteImage(
        action=Action.DELETE, target=named(image, here), fields=(f"spec.cloudRefs[{here.cloud.name}]",), cloud=here.cloud,
        image=image.id, attempt=failed + 1,
    )  # fmt: skip
    return Plan(steps=(step,), outcome=retry(message, reason=Reason.IMAGE_ERROR))


def plan_earlier(here: CloudImage, resource: MachineImage, *, ready: bool, going: bool) -> Plan:
    """Versions before go once the one at hand is in order, and nothing uses them; with the object they wait like it."""
    if resource.deletion_policy is DeletionPolicy.RETAIN or here.needs or not (ready or going):
        return Plan()
    steps: list[Step] = []
    outcome = DONE
    for one in here.earlier:
        if one.users:
            if going:
                outcome = outcome.merge(blocked(in_use(named(one.image, here), one.users), reason=Reason.IN_USE))
            continue
        if one.inherited and not going:
            continue
        steps.append(
            DeleteImage(
                action=Action.DELETE,
                target=f"{named(one.image, here)}, a version before",
                fields=(f"spec.cloudRefs[{here.cloud.name}]",),
                cloud=here.cloud,
                image=one.image.id,
                earlier=True,
            )
        )
    return Plan(steps=tuple(steps), outcome=outcome)
