"""Find the image of a MachineImage in each of its clouds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.kinds.contract.cloud_keys import cloud_key, referred, where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import needs_management, not_allowed, not_answering_yet, not_looked_at
from sovereigncloud.kinds.identity.adoption_per_cloud import Whose, has_adopted, which
from sovereigncloud.kinds.identity.identification import Identified, owner_of
from sovereigncloud.kinds.machineimage.compliance import image_compliance
from sovereigncloud.kinds.machineimage.versions import (
    DEFAULT_DATASTORE,
    PreviousVersion,
    declared_datastore,
    find_previous_versions,
    machines,
    named_by,
)
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Image, MarketplaceApp

_RECORD = "image."
_APP_READY = 1
_APP_LOCKED = 2
_APP_STATES = {0: "Init", 3: "Error", 4: "Disabled"}
_IMAGE_DATASTORE = 0
_SHOWN = 10
_APPS_ARE_LISTED_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class CloudImage:
    """The state of the image in one cloud.

    Attributes:
        cloud: the cloud.
        wanted: whether spec names the cloud; if not, spec named it before.
        problem: why the cloud cannot be read.
        needs: the consent that allows writes, where the cloud is only observed; the engine checks the management of one
            cloud that an object is in, not of several.
        found: the image that was made there.
        namesake: another image of that name under the same owner: a second one cannot be created.
        app: the marketplace app to create it from, looked up only before its creation; or why not.
        datastore: the datastore for its creation; or why not.
        named_by: the instances whose spec names it, if it is to be deleted or renamed.
        machines: the VMs that use it, if it is to be deleted.
        previous: previous versions that still exist.
        datastore_name: the name of its datastore.
    """

    cloud: Key
    wanted: bool
    problem: Outcome | None = None
    needs: str = ""
    found: Identified[Image] = field(default_factory=Identified)
    namesake: Image | None = None
    app: MarketplaceApp | Outcome | None = None
    datastore: Datastore | Outcome | None = None
    named_by: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    previous: tuple[PreviousVersion, ...] = ()
    datastore_name: str = ""


@dataclass(frozen=True, slots=True)
class ImageObservation:
    """The state of the image in all clouds."""

    mark: Mark
    admitted: bool = False
    clouds: tuple[CloudImage, ...] = ()
    compliant: Mapping[str, str] | None = None
    """The condition that policies ask for; None: none binds it."""


def is_left_alone(resource: MachineImage) -> bool:
    """Whether the object is deleted without any change in the clouds."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and not has_adopted(resource)


def record(cloud: Key) -> str:
    """Return the key of `status.external` for the image id in a cloud; spec.cloudRefs is a map by name."""
    return f"{_RECORD}{cloud.name}"


async def observe_images(resource: MachineImage, context: Context) -> ImageObservation:
    """Observe each cloud separately, so that an unreachable one does not block the others."""
    seen = ImageObservation(mark=context.mark(resource), admitted=context.admitted)
    if is_left_alone(resource):
        return seen
    found: list[CloudImage] = []
    for cloud, is_wanted in _clouds(resource, context):
        start = CloudImage(cloud=cloud, wanted=is_wanted, needs=needs_management(cloud, context))
        try:
            found.append(await _observe_cloud(start, seen, resource, context))
        except (OutsideError, MissingSecret) as error:
            found.append(replace(start, problem=not_looked_at(cloud, error)))
    return replace(
        seen, clouds=tuple(found), compliant=image_compliance(resource, _datastores(resource, found), context)
    )


def _datastores(resource: MachineImage, clouds: Iterable[CloudImage]) -> Iterator[tuple[Key, str]]:
    """Return the datastore per cloud of spec; for an unreachable cloud the last known one."""
    before = {one.name: one.datastore or "" for one in resource.status.clouds or ()}
    for here in clouds:
        datastore = before.get(here.cloud.name, "") if here.problem is not None else here.datastore_name
        if here.wanted and datastore:
            yield here.cloud, datastore


def _clouds(resource: MachineImage, context: Context) -> list[tuple[Key, bool]]:
    """Return the clouds of spec, and those where an image was made while spec named them."""
    namespace = resource.metadata.namespace
    named = [referred(ref, namespace) for ref in resource.spec.cloud_refs]
    names = {cloud.name for cloud in named}
    before = [
        cloud_key(key.removeprefix(_RECORD), namespace)
        for key in resource.external
        if key.startswith(_RECORD) and key.removeprefix(_RECORD) not in names
    ]
    clouds = [*((cloud, True) for cloud in named), *((cloud, False) for cloud in before)]
    # Where the cloud itself is not there, nothing was made, or nothing more can be done.
    return [
        (cloud, wanted)
        for cloud, wanted in clouds
        if (wanted and not resource.deleting) or context.get(cloud) is not None
    ]


async def _observe_cloud(
    start: CloudImage, seen: ImageObservation, resource: MachineImage, context: Context
) -> CloudImage:
    cloud = start.cloud
    problem = not_allowed(cloud, resource.metadata.namespace, "spec.cloudRefs") or not_answering_yet(cloud, context)
    if problem is not None:
        return replace(start, problem=problem)
    view = await context.view(cloud)
    owner = await owner_of(view, cloud, context)
    here = _identified(start, seen.mark, view, owner, resource, context)
    image = here.found.thing
    removing = resource.deleting or not start.wanted
    if image is not None and image.name == resource.outside_name:
        named = named_by(image.name, cloud, context) if removing else ()
        return replace(here, machines=machines(image, view) if removing else (), named_by=named)
    same_name = (i for i in view.images.values() if i.name == resource.outside_name and i.owner == owner)
    namesake = next(same_name, None)
    here = replace(here, namesake=namesake, datastore_name=_datastore_of(image or namesake, view))
    if image is not None:  # somebody renamed it, or spec says another name
        used = machines(image, view) if removing else ()
        return replace(here, machines=used, named_by=named_by(image.name, cloud, context))
    if here.namesake is not None or removing:
        return here
    if here.found.missing is not None and not seen.admitted:
        return here  # nothing is to be made yet, and a sweep that asked for more would never tell that it is missing
    app = resource.spec.source.marketplace_app
    return replace(
        here,
        datastore=_datastore(declared_datastore(resource, cloud) or DEFAULT_DATASTORE, view, where(cloud)),
        app=None if app is None else _app(app, await (await context.open_nebula(cloud)).apps(), where(cloud)),
    )


def _identified(
    start: CloudImage, mark: Mark, view: CloudView, owner: int, resource: MachineImage, context: Context
) -> CloudImage:
    """Identify the current version of the image, and its previous versions."""
    before = find_previous_versions(resource, start.cloud, view, owner, mark)
    recorded = resource.external.get(record(start.cloud))
    if recorded is not None and recorded.isdigit() and int(recorded) in before:
        recorded = None
    others = {number: image for number, image in view.images.items() if number not in before}
    whose = Whose(owner, frozenset({owner}))
    found = which(resource, start.cloud, recorded, others, whose, mark, "image")
    previous = tuple(
        PreviousVersion(
            image,
            (*named_by(image.name, start.cloud, context), *machines(image, view)),
            inherited=ownership(image.mark, mark) is Ownership.PREDECESSOR,
        )
        for _, image in sorted(before.items())
    )
    return replace(start, found=found, previous=previous, datastore_name=_datastore_of(found.thing, view))


def _datastore_of(image: Image | None, view: CloudView) -> str:
    found = view.datastores.get(image.datastore_id) if image is not None else None
    return found.name if found is not None else ""


def _datastore(name: str, view: CloudView, place: str) -> Datastore | Outcome:
    images = [store for store in view.datastores.values() if store.type == _IMAGE_DATASTORE]
    matching = [store for store in images if store.name == name]  # names of datastores are unique
    if matching and matching[0].total == 0:
        # After a first host it takes oned a while to look at its datastores; until then it takes no image (observed).
        return waiting(
            Reason.DATASTORE_NOT_MONITORED,
            f'datastore {matching[0].id} "{name}" in {place} reports no capacity yet; OpenNebula monitors it every few'
            f" minutes. If this persists, check onedatastore show {matching[0].id}",
        )
    if matching:
        return matching[0]
    known = ", ".join(sorted(store.name for store in images)) or "none"
    return stalled(
        Reason.DATASTORE_NOT_FOUND,
        f'{place} has no image datastore called "{name}"; set spec.datastore to one of: {known}',
    )


def _app(name: str, apps: tuple[MarketplaceApp, ...], place: str) -> MarketplaceApp | Outcome:
    if not apps:
        return waiting(
            Reason.MARKETPLACE_EMPTY,
            f"{place} knows no marketplace app yet; OpenNebula lists its marketplaces every few minutes",
            after=_APPS_ARE_LISTED_EVERY,
        )
    matching = sorted((app for app in apps if app.name == name), key=lambda app: app.id)
    match matching:
        case []:
            word = name.split(maxsplit=1)[0].lower()
            close = sorted({app.name for app in apps if word in app.name.lower()} or {app.name for app in apps})
            return stalled(
                Reason.APP_NOT_FOUND,
                f'{place} has no marketplace app called "{name}"; there are: {", ".join(close[:_SHOWN])}'
                + (" and others" if len(close) > _SHOWN else ""),
            )
        case [app] if app.state == _APP_READY:
            return app
        case [app] if app.state == _APP_LOCKED:
            return waiting(Reason.APP_NOT_READY, f'marketplace app {app.id} "{name}" in {place} is being uploaded')
        case [app]:
            state = _APP_STATES.get(app.state, str(app.state))
            return stalled(Reason.APP_NOT_READY, f'marketplace app {app.id} "{name}" in {place} is in state {state}')
        case _:
            ids = ", ".join(f"{app.id} in {app.marketplace}" for app in matching)
            return stalled(
                Reason.MULTIPLE_MATCHES,
                f'{place} has several marketplace apps called "{name}": {ids}; use spec.source.url',
            )
