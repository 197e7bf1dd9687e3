"""Looking for the machine of a HostedInstance: in which cloud, which one, and what its plan will need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sovereigncloud.api.common.base import Consent, DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import no_such, not_allowed, not_answering_yet, referred, where, written_cloud
from sovereigncloud.kinds.hostedinstance.continuity.migration_in_progress import destination as destination_of
from sovereigncloud.kinds.hostedinstance.continuity.migration_in_progress import (
    leaves_a_lost_cloud,
    left_by_a_move,
    move_under_way,
    noted_move,
)
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KeptCopy
from sovereigncloud.kinds.hostedinstance.continuity.superseded_copy import LeftBehind, came_after, left_behind
from sovereigncloud.kinds.hostedinstance.machine.cloud_context import NOWHERE, Site, groups_in_use, site_of
from sovereigncloud.kinds.hostedinstance.machine.identity import accepted, which_one
from sovereigncloud.kinds.hostedinstance.machine.missing_references import lacks, named_security_groups
from sovereigncloud.kinds.hostedinstance.placement.eviction import leaving
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import SOMEWHERE, Whereabouts, whereabouts
from sovereigncloud.kinds.hostedinstance.placement.placement import Chosen, choose_for
from sovereigncloud.kinds.hostedinstance.placement.relocation import Relocation, relocation
from sovereigncloud.kinds.hostedinstance.placement.unconfirmed_absence import waits_for_unheard
from sovereigncloud.kinds.hostedinstance.storage.image_claims import disk_holders
from sovereigncloud.kinds.identity.adoption import may_adopt
from sovereigncloud.kinds.identity.identification import Identified, check, makers_of, owner_of
from sovereigncloud.kinds.identity.name_resolution import COMING_KINDS, Coming, coming
from sovereigncloud.kinds.movement.placement_override import without_overridden
from sovereigncloud.ports.errors import Auth, MissingSecret, NotFound, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView, Vm
from sovereigncloud.ports.opennebula.vm_states import DENIED, TERMINATED, Situation, state_of

if TYPE_CHECKING:
    from sovereigncloud.kinds.hostedinstance.continuity.failover_readiness import Elsewhere

_PATIENCE = timedelta(minutes=10)
_NEVER_MADE: Identified[Vm] = Identified()


@dataclass(frozen=True)  # without slots, so that one with more to it is made at once (`_with`)
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
        tenancy: what a Tenant says of its namespace in `cloud`.
        owner: the user that owns what is made for it in the cloud.
        owners: all who may own what is made for its namespace there.
        disk_holders: by the name of a data disk the other instance that still asks for the image that it names.
        now: when it was looked at, where that tells whether a backup is overdue.
        site: what is known of `cloud` beside what is in it.
        chosen: where it is to be made and why there, or why nowhere; None: there was nothing to choose.
        whereabouts: of the machine that was found.
        groups_in_use: OpenNebula's names of the VM groups that an object of the namespace names; looked for where one is
            empty.
        moving: the InstanceMigration that has its machine.
        relocation: the move that it makes by itself, if it is to.
        elsewhere: what would become of it, or becomes of it, when its cloud is lost; of a machine with continuity.
        left_behind: a machine of it in another cloud, which must not run.
        kept: copies of it that rehearsals kept, in any cloud; looked for only when it is deleted.
    """

    mark: Mark
    cloud: Key | None = None
    wanted: Key | None = None
    refused: Outcome | None = None
    problem: Outcome | None = None
    view: CloudView | None = None
    found: Identified[Vm] = _NEVER_MADE
    terminated: bool = False
    denied: str = ""
    on_their_way: tuple[Coming, ...] = ()
    tenancy: Tenancy | None = None
    owner: int | None = None
    owners: frozenset[int] = frozenset()
    disk_holders: Mapping[str, str] = field(default_factory=dict)
    site: Site = NOWHERE
    chosen: Chosen | None = None
    whereabouts: Whereabouts = SOMEWHERE
    groups_in_use: frozenset[str] = frozenset()
    moving: str = ""
    relocation: Relocation | None = None
    elsewhere: Elsewhere | None = None
    left_behind: LeftBehind | None = None
    kept: tuple[KeptCopy, ...] = ()
    now: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is looked for: nothing was seen yet.

    Attributes:
        mark: what its machine carries.
        now: as in what is observed.
        wanted: where `spec.placement.cloudRef` says it should be.
        refused: why that cloud may not be used.
    """

    mark: Mark
    now: datetime | None
    wanted: Key | None = None
    refused: Outcome | None = None

    def nothing(self, **more: Any) -> InstanceObservation:
        """Nowhere looked at, and nothing said of where it should be."""
        return InstanceObservation(mark=self.mark, now=self.now, **more)

    def seen(self, **more: Any) -> InstanceObservation:
        """What was seen of it."""
        return _with(_NOTHING_SEEN, mark=self.mark, now=self.now, wanted=self.wanted, refused=self.refused, **more)


def _with(seen: InstanceObservation, **more: object) -> InstanceObservation:
    """As `replace`, which takes five times as long: this is done for each of ten thousand machines."""
    made = object.__new__(InstanceObservation)
    vars(made).update(vars(seen), **more)
    return made


_NOTHING_SEEN = InstanceObservation(mark=Mark("", "", ""))


def is_left_alone(resource: HostedInstance) -> bool:
    """Whether it goes without anything being done outside: then no cloud needs to answer."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and not resource.adopted


def is_let_go(resource: HostedInstance) -> bool:
    """Whether its deletion takes nothing away but what the operator wrote on a machine that was there before."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and resource.adopted


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


async def look(resource: HostedInstance, context: Context) -> InstanceObservation:
    """Find the machine: where it was recorded, else by its mark, first in the cloud where it would be made, then in
    the other clouds that its namespace may use. That search is what keeps a second machine from being made where the record was
    lost and the placement changed meanwhile.
    """
    sought = _Sought(context.mark(resource), _time_that_counts(resource, context))
    if is_left_alone(resource):
        return sought.nothing()
    move = move_under_way(resource, context)
    try:
        if move is not None:
            return await _follow(move, sought, resource, context)
        seen = await _look(_for_spec(sought, resource, context), resource, context)
    except (OutsideError, MissingSecret):
        if _waited_enough(resource, context):
            return sought.nothing()
        raise
    return sought.nothing() if seen.problem is not None and _waited_enough(resource, context) else seen


def _waited_enough(resource: HostedInstance, context: Context) -> bool:
    """A cloud that does not come back must not hold what is only to be let go: then the mark stays on the machine."""
    since = resource.metadata.deletion_timestamp
    return is_let_go(resource) and since is not None and context.now - since > _PATIENCE


async def _look(sought: _Sought, resource: HostedInstance, context: Context) -> InstanceObservation:
    bound = bound_cloud(resource)
    choice = _choice(resource, context, bound, sought.wanted)
    target = _first_of(choice, bound)
    recorded = resource.external.get("vm")
    destination: InstanceObservation | None = None
    unseen: Exception | None = None
    for cloud in _places(resource, context, bound, target, recorded):
        if resource.deleting and (not recorded or is_let_go(resource)) and context.get(cloud) is None:
            continue  # nothing was recorded there, or is to be taken away, and there is nothing to look in
        try:
            here = await _look_in(cloud, sought, resource, context, home=cloud == (bound or target))
        except (OutsideError, MissingSecret) as error:
            unseen = _may_be_elsewhere(error, cloud, bound, target) or unseen
            continue
        if here.found != _NEVER_MADE or (here.problem is not None and cloud == bound):
            return await _with_place(await _newest(here, cloud, sought, resource, context), resource, context)
        if cloud == target:
            destination = here
    if bound is None and (waits := waits_for_unheard(resource, context, target)) is not None:
        return sought.nothing(problem=waits)
    if unseen is not None:
        raise unseen
    if resource.deleting:
        return destination or sought.nothing()
    if isinstance(choice, Outcome):
        return sought.nothing(problem=choice)
    return await _to_be_made(choice, destination, sought, resource, context)


def _may_be_elsewhere(error: Exception, cloud: Key, bound: Key | None, target: Key | None) -> Exception | None:
    """A cloud that is neither where it was recorded nor where it would be made must not hold it up. Where it would be made it may not
    be, since an exit brought it elsewhere: so it is looked for there first, and then waited for what does not answer.
    """
    if cloud == bound:
        raise error
    return error if cloud == target else None


async def _newest(
    here: InstanceObservation, cloud: Key, sought: _Sought, resource: HostedInstance, context: Context
) -> InstanceObservation:
    """What was found first; or, where nothing is recorded, the copy that took its place while its cloud was lost."""
    if resource.external.get("vm"):
        return here
    newer = await came_after(here.found.thing, cloud, resource, context)
    return here if newer is None else await _look_in(newer, sought, resource, context, home=False)


async def _follow(
    move: InstanceMigration, sought: _Sought, resource: HostedInstance, context: Context
) -> InstanceObservation:
    """Where it goes first: once its mark is there, it is there. Nothing is concluded from where it is not any more."""
    bound, moving = bound_cloud(resource), move.metadata.name
    there = await _look_in(destination_of(move), sought, resource, context, home=bound == destination_of(move))
    if there.found.thing is not None or bound is None or bound == destination_of(move):
        return replace(there, moving=moving)
    if leaves_a_lost_cloud(move):
        return sought.nothing(moving=moving)  # nothing is concluded, and nobody is asked
    here = await _look_in(bound, sought, resource, context, home=True)
    return replace(here, moving=moving)


async def _to_be_made(
    choice: tuple[Key, ...],
    destination: InstanceObservation | None,
    sought: _Sought,
    resource: HostedInstance,
    context: Context,
) -> InstanceObservation:
    """There is no machine of it anywhere: the place where it is to be made. `destination`: what was seen in the first choice."""
    if destination is not None and (destination.problem is not None or resource.spec.adopt is not None):
        return destination
    if (left := await left_by_a_move(resource, context)) is not None:
        return sought.seen(problem=left)
    chosen = await choose_for(resource, context, choice, bound=bound_cloud(resource))
    if chosen.cloud is None:
        return sought.seen(problem=chosen.outcome, chosen=chosen)
    if destination is None or destination.cloud != chosen.cloud:
        destination = await _look_in(chosen.cloud, sought, resource, context, home=True)
    return replace(destination, chosen=chosen)


async def _with_place(here: InstanceObservation, resource: HostedInstance, context: Context) -> InstanceObservation:
    """Where the machine is with all that belongs to it; of one that is to be made anew, where in its cloud."""
    if resource.deleting:
        return replace(here, left_behind=await left_behind(resource, context))
    if here.cloud is None or here.view is None:
        return here
    cloud, vm = here.cloud, here.found.thing
    if vm is not None:
        if moving := noted_move(resource, vm, context):
            return replace(here, moving=moving)
        there = whereabouts(resource, vm, cloud, here.view, context)
        here = _with(here, whereabouts=there, left_behind=await left_behind(resource, context))
        return await _with_relocation(here, resource, cloud, vm, context)
    policy = resource.spec.update_policy
    if not here.terminated or policy is None or policy.replace is not Consent.ALLOW:
        return here
    chosen = await choose_for(resource, context, (cloud,), bound=cloud)
    return replace(here, chosen=chosen)


async def _with_relocation(
    here: InstanceObservation, resource: HostedInstance, cloud: Key, vm: Vm, context: Context
) -> InstanceObservation:
    """Of a machine that is to go elsewhere by itself: where to."""
    resource = without_overridden(resource, vm)
    why = leaving(resource, cloud, here.wanted, here.whereabouts)
    if why is None or not why.by_itself or (here.refused is not None and why.to not in {None, cloud}):
        return here
    return replace(here, relocation=await relocation(resource, cloud, why.to, vm, context))


def _places(
    resource: HostedInstance, context: Context, bound: Key | None, target: Key | None, recorded: str | None
) -> tuple[Key, ...]:
    if bound is not None and recorded:
        return (bound,)
    first = [cloud for cloud in (bound, target) if cloud is not None]
    return tuple(dict.fromkeys((*first, *context.clouds(resource.metadata.namespace))))


def _choice(
    resource: HostedInstance, context: Context, bound: Key | None, declared: Key | None
) -> tuple[Key, ...] | Outcome:
    """The clouds of which one is chosen: the one that it names, where its machine is, or all that its namespace may use."""
    namespace = resource.metadata.namespace
    if declared is not None:
        return not_allowed(declared, namespace, "spec.placement.cloudRef", context) or (declared,)
    if bound is not None and resource.external.get("vm"):
        return (bound,)
    several = context.clouds(namespace)
    if resource.spec.adopt is not None and bound is None and len(several) > 1:
        return stalled(
            Reason.INVALID_SPEC,
            f"spec.adopt names a machine by its id, and namespace {namespace} may use several SovereignClouds"
            f" ({', '.join(map(where, several))}): name the one that it is in in spec.placement.cloudRef",
        )
    if bound is not None and (not several or resource.spec.adopt is not None):
        return (bound,)
    return several or blocked(
        f"there is no SovereignCloud in namespace {namespace}, nor a Tenant that lists the namespace and a cloud: make one or"
        " the other"
    )


def _first_of(choice: tuple[Key, ...] | Outcome, bound: Key | None) -> Key | None:
    """The cloud that must answer before anything is made: the only one, or the one that was chosen before."""
    if isinstance(choice, Outcome):
        return None
    return choice[0] if len(choice) == 1 else bound if bound in choice else None


def _time_that_counts(resource: HostedInstance, context: Context) -> datetime | None:
    """Of the others nothing is overdue."""
    backup = resource.spec.backup
    return context.now if backup is not None and backup.schedule is not None else None


def _for_spec(sought: _Sought, resource: HostedInstance, context: Context) -> _Sought:
    declared = declared_cloud(resource)
    if declared is None:
        return sought
    refused = not_allowed(declared, resource.metadata.namespace, "spec.placement.cloudRef", context)
    if refused is None and context.get(declared) is None:
        refused = blocked(no_such(declared))
    return _Sought(sought.mark, sought.now, declared, refused)


async def _look_in(
    cloud: Key, sought: _Sought, resource: HostedInstance, context: Context, *, home: bool
) -> InstanceObservation:
    problem = not_answering_yet(cloud, context)
    if problem is not None:
        return sought.seen(cloud=cloud, problem=problem)
    view = await context.view(cloud)
    view = view if view.owner is not None else replace(view, owner=await owner_of(view, cloud, context))
    tenancy = context.tenancy(resource.metadata.namespace, cloud)
    makers = await makers_of(view, cloud, resource.metadata.namespace, context)
    among = may_adopt(cloud, resource.metadata.namespace, tenancy.user if tenancy is not None else None)
    here = sought.seen(
        cloud=cloud,
        view=view,
        tenancy=tenancy,
        owner=makers.owner,
        owners=makers.owners,
        found=which_one(view, makers, among, resource, sought.mark, home=home),
        site=site_of(context.get(cloud)),
        disk_holders=disk_holders(resource, view, context),
    )
    if any(group.owner in makers.owners for group in view.empty_groups):
        here = replace(here, groups_in_use=groups_in_use(resource, context.users(cloud, HostedInstance.crd.kind)))
    if here.found.missing is not None:
        here = await _ask_for(here.found.missing, here, resource, context, makers.owners)
    if not resource.deleting and lacks(resource, view, made=here.found.thing is not None):
        here = replace(
            here, on_their_way=coming((*context.users(cloud, *COMING_KINDS), *named_security_groups(resource, context)))
        )
    return here


async def _ask_for(
    missing: int, here: InstanceObservation, resource: HostedInstance, context: Context, owners: frozenset[int]
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
    if here.cloud is None or not (context.admitted or resource.deleting):
        return here
    try:
        vm = await (await context.open_nebula(here.cloud)).vm(missing)
    except (NotFound, Auth) as error:
        return replace(here, denied=not_ours(f"VM {missing} in {where(here.cloud)}", error.message))
    checked = check(vm, accepted(vm, resource, owners), here.mark, "VM")
    if checked.problem is not None or state_of(vm).situation is not Situation.GONE:
        return replace(here, found=checked)
    return replace(here, terminated=True)


def not_ours(what: str, answer: str) -> str:
    """An id that was recorded and that the cloud denies: the wrong user, or another OpenNebula than before."""
    return (
        f"{what} was recorded, but the cloud answers: {answer} Has the user changed, or is it another OpenNebula or one"
        " restored from a backup? Nothing is made or deleted; spec.deletionPolicy: Retain lets this object be deleted"
    )
