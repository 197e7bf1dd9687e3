"""Looking for the image of a MachineImage in each of its clouds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import (
    cloud_key,
    needs_management,
    not_allowed,
    not_answering_yet,
    not_looked_at,
    referred,
    where,
)
from sovereigncloud.kinds.identity.adoption_per_cloud import Whose, has_adopted, which
from sovereigncloud.kinds.identity.identification import Identified, owner_of
from sovereigncloud.kinds.machineimage.compliance import judged_images
from sovereigncloud.kinds.machineimage.versions import (
    DEFAULT_DATASTORE,
    Earlier,
    declared_datastore,
    earlier_versions,
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
    """The image in one cloud.

    Attributes:
        cloud: the cloud.
        wanted: whether spec names the cloud; it was named once if not.
        problem: why nothing can be looked at there.
        needs: what lets the cloud be written to, where it is only observed; the engine knows the management of one
            cloud that an object lives in, not of several.
        found: the image that was made there.
        namesake: another image of that name under the same owner: no second one can be made.
        app: the marketplace app to make it from, looked up only when it is to be made; or why not.
        datastore: where it is to be made; or why not.
        named_by: the instances whose spec names it, where it is to go or to be renamed.
        machines: the machines that use it, where it is to go.
        earlier: versions before that are still there.
        kept_in: the datastore that it is in.
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
    earlier: tuple[Earlier, ...] = ()
    kept_in: str = ""


@dataclass(frozen=True, slots=True)
class ImageObservation:
    mark: Mark
    admitted: bool = False
    clouds: tuple[CloudImage, ...] = ()
    compliant: Mapping[str, str] | None = None
    """The condition that policies ask for; None: none binds it."""


def is_left_alone(resource: MachineImage) -> bool:
    """Whether it goes without anything being done outside."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and not has_adopted(resource)


def record(cloud: Key) -> str:
    """The key of `status.external` for the id there; spec.cloudRefs is a map by name."""
    return f"{_RECORD}{cloud.name}"


async def look(resource: MachineImage, context: Context) -> ImageObservation:
    """In each cloud by itself: one that does not answer must not hold up the others."""
    seen = ImageObservation(mark=context.mark(resource), admitted=context.admitted)
    if is_left_alone(resource):
        return seen
    found: list[CloudImage] = []
    for cloud, is_wanted in _clouds(resource, context):
        start = CloudImage(cloud=cloud, wanted=is_wanted, needs=needs_management(cloud, context))
        try:
            found.append(await _look_in(start, seen, resource, context))
        except (OutsideError, MissingSecret) as error:
            found.append(replace(start, problem=not_looked_at(cloud, error)))
    return replace(seen, clouds=tuple(found), compliant=judged_images(resource, _kept(resource, found), context))


def _kept(resource: MachineImage, clouds: Iterable[CloudImage]) -> Iterator[tuple[Key, str]]:
    """In which datastore it is in each cloud that spec names; of one that does not answer, where it was."""
    before = {one.name: one.datastore or "" for one in resource.status.clouds or ()}
    for here in clouds:
        datastore = before.get(here.cloud.name, "") if here.problem is not None else here.kept_in
        if here.wanted and datastore:
            yield here.cloud, datastore


def _clouds(resource: MachineImage, context: Context) -> list[tuple[Key, bool]]:
    """Those that spec names, and those where it was made when spec named them."""
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


async def _look_in(start: CloudImage, seen: ImageObservation, resource: MachineImage, context: Context) -> CloudImage:
    cloud = start.cloud
    problem = not_allowed(cloud, resource.metadata.namespace, "spec.cloudRefs") or not_answering_yet(cloud, context)
    if problem is not None:
        return replace(start, problem=problem)
    view = await context.view(cloud)
    owner = await owner_of(view, cloud, context)
    here = _identified(start, seen.mark, view, owner, resource, context)
    image = here.found.thing
    going = resource.deleting or not start.wanted
    if image is not None and image.name == resource.outside_name:
        named = named_by(image.name, cloud, context) if going else ()
        return replace(here, machines=machines(image, view) if going else (), named_by=named)
    same_name = (i for i in view.images.values() if i.name == resource.outside_name and i.owner == owner)
    namesake = next(same_name, None)
    here = replace(here, namesake=namesake, kept_in=_datastore_of(image or namesake, view))
    if image is not None:  # somebody renamed it, or spec says another name
        used = machines(image, view) if going else ()
        return replace(here, machines=used, named_by=named_by(image.name, cloud, context))
    if here.namesake is not None or going:
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
    """The version at hand, and those before it."""
    before = earlier_versions(resource, start.cloud, view, owner, mark)
    recorded = resource.external.get(record(start.cloud))
    if recorded is not None and recorded.isdigit() and int(recorded) in before:
        recorded = None
    others = {number: image for number, image in view.images.items() if number not in before}
    whose = Whose(owner, frozenset({owner}))
    found = which(resource, start.cloud, recorded, others, whose, mark, "image")
    earlier = tuple(
        Earlier(
            image,
            (*named_by(image.name, start.cloud, context), *machines(image, view)),
            inherited=ownership(image.mark, mark) is Ownership.PREDECESSOR,
        )
        for _, image in sorted(before.items())
    )
    return replace(start, found=found, earlier=earlier, kept_in=_datastore_of(found.thing, view))


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
            f'datastore {matching[0].id} "{name}" in {place} reports no capacity yet; OpenNebula looks at it every few'
            f" minutes. If it stays so, see onedatastore show {matching[0].id}",
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
