"""Looking for the machine of a HostedInstance: in which cloud, which one, and what its plan will need to know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sovereigncloud.api.base import DeletionPolicy, Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.clouds import not_allowed, not_answering_yet, referred, where, written_cloud
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.errors import Auth, MissingSecret, NotFound, OutsideError
from sovereigncloud.kinds.identification import Identified, check, identify, owner_of
from sovereigncloud.kinds.names import COMING_KINDS, Coming, coming
from sovereigncloud.kinds.ports import CloudView, Vm
from sovereigncloud.kinds.vm_states import DENIED, TERMINATED, Situation, state_of


@dataclass(frozen=True, slots=True)
class InstanceObservation:
    """What was seen.

    Attributes:
        mark: what its machine carries.
        cloud: where the machine is, else where it is to be made; None: nowhere.
        wanted: where `spec.placement.cloudRef` says it should be.
        refused: why that cloud may not be used.
        problem: why nothing can be looked at or made.
        view: of `cloud`.
        found: the machine.
        terminated: the recorded machine was asked for by id and is DONE.
        denied: the cloud knows no such id or gives it to nobody of ours; what it answered.
        on_their_way: custom resources that are to bring what the view lacks.
    """

    mark: Mark
    cloud: Key | None = None
    wanted: Key | None = None
    refused: Outcome | None = None
    problem: Outcome | None = None
    view: CloudView | None = None
    found: Identified[Vm] = field(default_factory=Identified)
    terminated: bool = False
    denied: str = ""
    on_their_way: tuple[Coming, ...] = ()


def is_left_alone(resource: HostedInstance) -> bool:
    """Whether it goes without anything being done outside: then no cloud needs to answer."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN


def bound_cloud(resource: HostedInstance) -> Key | None:
    """Where its machine is known to be, or is to be made as was decided once."""
    recorded = resource.external.get("cloud")
    if not recorded and resource.status.placement is not None:
        recorded = resource.status.placement.cloud
    return written_cloud(recorded) if recorded else None


def declared_cloud(resource: HostedInstance) -> Key | None:
    """The cloud that `spec.placement.cloudRef` names."""
    placement = resource.spec.placement
    if placement is None or placement.cloud_ref is None:
        return None
    return referred(placement.cloud_ref, resource.metadata.namespace)


async def look(resource: HostedInstance, world: World) -> InstanceObservation:
    """Find the machine: where it was recorded, else by its mark, first in the cloud where it would be made, then in
    the other clouds of its namespace. That search is what keeps a second machine from being made where the record was
    lost and the placement changed meanwhile.
    """
    nothing = InstanceObservation(mark=world.mark(resource))
    if is_left_alone(resource):
        return nothing
    bound, target = bound_cloud(resource), _target(resource, world)
    recorded = resource.external.get("vm")
    seen = _for_spec(nothing, resource, world)
    destination: InstanceObservation | None = None
    for cloud in _places(resource, world, bound, target, recorded):
        required = cloud in (bound, target)  # target may be no cloud but the reason why there is none
        if resource.deleting and not recorded and world.get(cloud) is None:
            continue  # nothing was recorded there, and there is nothing to look in
        try:
            here = await _look_in(cloud, seen, resource, world, recorded if cloud == (bound or target) else None)
        except (OutsideError, MissingSecret):
            if required:
                raise
            continue  # a cloud that is neither where it was recorded nor where it would be made must not hold it up
        if here.found != Identified() or (here.problem is not None and cloud == bound):
            return here
        if cloud == target:
            destination = here
    if destination is not None:
        return destination
    return nothing if resource.deleting or isinstance(target, Key) else replace(nothing, problem=target)


def _places(
    resource: HostedInstance, world: World, bound: Key | None, target: Key | Outcome, recorded: str | None
) -> tuple[Key, ...]:
    if bound is not None and recorded:
        return (bound,)
    first = [cloud for cloud in (bound, target) if isinstance(cloud, Key)]
    return tuple(dict.fromkeys((*first, *world.clouds(resource.metadata.namespace))))


def _target(resource: HostedInstance, world: World) -> Key | Outcome:
    """Where it is to be made: the cloud that it names, else as was decided once, else the only one of its namespace."""
    namespace = resource.metadata.namespace
    declared = declared_cloud(resource)
    if declared is not None:
        return not_allowed(declared, namespace, "spec.placement.cloudRef") or declared
    bound = bound_cloud(resource)
    if bound is not None:
        return bound
    match world.clouds(namespace):
        case ():
            return blocked(
                f"there is no SovereignCloud in namespace {namespace}; make one, or name another namespace's"
            )
        case (only,):
            return only
        case several:
            names = ", ".join(sorted(cloud.name for cloud in several))
            return stalled(
                Reason.PLACEMENT_AMBIGUOUS,
                f"namespace {namespace} has several SovereignClouds ({names}); name one in spec.placement.cloudRef.name",
            )


def _for_spec(nothing: InstanceObservation, resource: HostedInstance, world: World) -> InstanceObservation:
    declared = declared_cloud(resource)
    if declared is None:
        return nothing
    refused = not_allowed(declared, resource.metadata.namespace, "spec.placement.cloudRef")
    if refused is None and world.get(declared) is None:
        refused = blocked(f"there is no SovereignCloud {where(declared)}")
    return replace(nothing, wanted=declared, refused=refused)


async def _look_in(
    cloud: Key, seen: InstanceObservation, resource: HostedInstance, world: World, recorded: str | None
) -> InstanceObservation:
    problem = not_answering_yet(cloud, world)
    if problem is not None:
        return replace(seen, cloud=cloud, problem=problem)
    view = await world.view(cloud)
    owner = await owner_of(view, cloud, world)
    here = replace(seen, cloud=cloud, view=view, found=identify(recorded, view.vms, owner, seen.mark, "VM"))
    if here.found.missing is not None:
        here = await _ask_for(here.found.missing, here, resource, world, owner)
    if _lacks(resource, here):
        here = replace(here, on_their_way=coming(world.users(cloud, *COMING_KINDS)))
    return here


async def _ask_for(
    missing: int, here: InstanceObservation, resource: HostedInstance, world: World, owner: int
) -> InstanceObservation:
    """What became of the recorded machine that the view lacks. Absence in a view is a hint, and DONE machines are in
    no view, so it is asked for by id; the answer is kept in the status, since a DONE machine never comes back and
    nothing is asked twice at rest.
    """
    told = resource.status.state if resource.status.id == str(missing) else None
    if told == TERMINATED:
        return replace(here, terminated=True)
    if told == DENIED and not resource.deleting:
        stalled_before = resource.status.condition("Stalled")
        return replace(here, denied=stalled_before.message if stalled_before else DENIED)
    if here.cloud is None or not (world.admitted or resource.deleting):
        return here
    try:
        vm = await (await world.open_nebula(here.cloud)).vm(missing)
    except (NotFound, Auth) as error:
        return replace(here, denied=not_ours(f"VM {missing} in {where(here.cloud)}", error.message))
    checked = check(vm, owner, here.mark, "VM")
    if checked.problem is not None or state_of(vm).situation is not Situation.GONE:
        return replace(here, found=checked)
    return replace(here, terminated=True)


def not_ours(what: str, answer: str) -> str:
    """An id that was recorded and that the cloud denies: the wrong user, or another OpenNebula than before."""
    return (
        f"{what} was recorded, but the cloud answers: {answer} Has the user changed, or is it another OpenNebula or one"
        " restored from a backup? Nothing is made or deleted; spec.deletionPolicy: Retain lets this object be deleted"
    )


def _lacks(resource: HostedInstance, here: InstanceObservation) -> bool:
    """Whether spec names something that the view does not have. Only then are the custom resources looked through:
    there may be thousands.
    """
    if here.view is None or resource.deleting:
        return False
    networks = {network.name for network in here.view.networks.values()}
    if any(network.name not in networks for network in resource.spec.networks or ()):
        return True
    image = resource.spec.source.image
    return here.found.thing is None and image not in {None, *(known.name for known in here.view.images.values())}
