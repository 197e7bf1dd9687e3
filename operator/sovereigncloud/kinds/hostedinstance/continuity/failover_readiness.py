"""What would become of a machine whose cloud is lost, looked at while it is not: copies, a cloud that may have it, and whether its old
place could be proven dead. While it is lost the same is looked at again, and nothing of that cloud is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration, SourceState
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.placement import Verdict
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.endpoint.endpoint import server_key
from sovereigncloud.kinds.fencing.confirmation import Proof, can_be_fenced, proof_of
from sovereigncloud.kinds.hostedinstance.continuity.copies import IMAGE, Copy, copies_seen, usable
from sovereigncloud.kinds.hostedinstance.continuity.migration_in_progress import destination, move_under_way
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import kept_copies
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation, bound_cloud, declared_cloud
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_for
from sovereigncloud.kinds.hostedinstance.placement.relocation import as_it_moves
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.movement.records import CUT_OVER, ENDED, FAILED, FROM
from sovereigncloud.ports.errors import MissingSecret, NotYet, OutsideError

_LONGEST = 220
"""Of a name of 253 characters, so that what is put behind it has room."""


@dataclass(frozen=True, slots=True)
class Failing:
    """The move that starts it elsewhere, which is there. `failed`: why it came to nothing; `says`: what it waits for."""

    name: str
    failed: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Attributes:
    home: the cloud that it is in.
    lost: since when that does not answer; empty: it does.
    copies: of the machine.
    copy: that would be used; None: none.
    target: where it would be started; None: nowhere.
    allowed: all clouds where it might.
    refused: why nowhere.
    proof: that its home is dead; while that answers, nothing of it is.
    provable: that this could be proven, be it so or not.
    too_old: the copy is older than is allowed.
    move: that is there for this outage.
    last: the last time that it was started elsewhere, as status says it.
    """

    home: Key
    proof: Proof
    provable: Proof
    lost: str = ""
    copies: tuple[Copy, ...] = ()
    copy: Copy | None = None
    target: Key | None = None
    allowed: tuple[str, ...] = ()
    refused: str = ""
    too_old: bool = False
    move: Failing | None = None
    last: Mapping[str, object] | None = None


def lost_home(resource: HostedInstance, context: Context) -> SovereignCloud | None:
    """The cloud of a machine with continuity, where it is lost and no move has the machine."""
    if resource.spec.continuity is None or resource.deleting or not resource.external.get("vm"):
        return None
    home = bound_cloud(resource)
    cloud = context.get(home) if home is not None else None
    if not isinstance(cloud, SovereignCloud) or cloud.status.lost_since is None:
        return None
    return None if move_under_way(resource, context) is not None else cloud


async def look_from_afar(resource: HostedInstance, cloud: SovereignCloud, context: Context) -> InstanceObservation:
    """Of a machine whose cloud is lost."""
    nothing = InstanceObservation(mark=context.mark(resource), cloud=cloud.key)
    return replace(nothing, elsewhere=await _elsewhere(resource, cloud, nothing, context))


async def with_elsewhere(
    resource: HostedInstance, observed: InstanceObservation, context: Context
) -> InstanceObservation:
    """Of a machine that was seen: what would become of it. Where that cannot be told now, it is as it was told before."""
    if resource.spec.continuity is None or resource.deleting or observed.found.thing is None or observed.cloud is None:
        return observed
    cloud = context.get(observed.cloud)
    if not isinstance(cloud, SovereignCloud) or observed.moving:
        return observed
    try:
        return replace(observed, elsewhere=await _elsewhere(resource, cloud, observed, context))
    except NotYet:
        return observed


async def _elsewhere(
    resource: HostedInstance, cloud: SovereignCloud, observed: InstanceObservation, context: Context
) -> Elsewhere:
    lost = cloud.status.lost_since or ""
    servers = servers_of(cloud, context)
    seen = Elsewhere(
        home=cloud.key,
        proof=proof_of(cloud, servers),
        provable=can_be_fenced(cloud, servers),
        lost=lost,
        copies=tuple(copies_seen(resource, observed)),
        move=_failing(resource, lost, context) if lost else None,
        last=_last(resource, cloud.key, context),
    )
    if seen.move is not None:
        return seen
    seen = await _with_target(seen, resource, context)
    rpo = resource.spec.continuity.rpo if resource.spec.continuity is not None else None
    if seen.copy is None or rpo is None:
        return seen
    return replace(seen, too_old=(context.now.timestamp() - seen.copy.seconds) > seconds(rpo))


def servers_of(cloud: SovereignCloud, context: Context) -> tuple[BareMetalServer, ...]:
    """Those that it composed."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted is not None else None
    found = (context.get(server_key(cloud, one)) for one in (ovh.servers if ovh is not None else ()))
    return tuple(one for one in found if isinstance(one, BareMetalServer))


async def _with_target(seen: Elsewhere, resource: HostedInstance, context: Context) -> Elsewhere:
    """The best of the clouds that can read a copy; where none can, why none of all that there are would do."""
    declared = declared_cloud(resource)
    every = (declared,) if declared is not None else context.clouds(resource.metadata.namespace)
    others = tuple(one for one in every if one != seen.home)
    if not others:
        only = (
            f"spec.placement.cloudRef names {where(seen.home)} alone: name countries, or nothing, instead"
            if declared is not None
            else f"namespace {resource.metadata.namespace} may use no other cloud than {where(seen.home)}"
        )
        return replace(seen, refused=only)
    found: dict[Key, Copy] = {}
    whys: list[str] = []
    for one in others:
        kept, copy = await _copy_for(one, seen, resource, context)
        seen = replace(seen, copies=(*seen.copies, *kept))
        if isinstance(copy, Copy):
            found[one] = copy
        else:
            whys.append(f"{where(one)}: {copy}")
    asked = as_it_moves(resource)
    chosen = await choose_for(asked, context, tuple(found) or others, bound=None, waits=False, reservations=False)
    if chosen.cloud is None:
        return replace(seen, refused=chosen.outcome.message if chosen.outcome is not None else "")
    if not found:
        # Where it might be there is a place; without a copy outside nothing more is to be said of it.
        return replace(seen, refused="; ".join(whys) if any(copy.outside for copy in seen.copies) else "")
    considered = chosen.decision.considered
    allowed = sorted({one.cloud for one in considered if one.verdict is not Verdict.REFUSED})
    return replace(seen, target=chosen.cloud, copy=found[chosen.cloud], allowed=tuple(allowed))


async def _copy_for(
    cloud: Key, seen: Elsewhere, resource: HostedInstance, context: Context
) -> tuple[list[Copy], Copy | str]:
    """What rehearsals kept there, and what the machine would be made from there, or why it could not."""
    there = context.get(cloud)
    if not isinstance(there, SovereignCloud) or not there.status.endpoint or there.status.lost_since is not None:
        return [], "it does not answer"
    try:
        view = await context.view(cloud)
        makers = await makers_of(view, cloud, resource.metadata.namespace, context)
    except (OutsideError, MissingSecret):
        return [], "it does not answer"
    kept = kept_copies(view.images.values(), cloud, context.mark(resource), makers.owners)
    backups = [copy for copy in seen.copies if copy.kind != IMAGE]
    return kept, usable([*backups, *kept], resource, cloud, view)


# ------------------------------------------------------------------------------------------------------------- the move


def name_of_failover(resource: HostedInstance, lost: str) -> str:
    """One for each outage: asked for twice it is the same."""
    stamp = "".join(filter(str.isdigit, lost))
    return f"{resource.metadata.name[:_LONGEST].rstrip('-.')}-failover-{stamp}"


def _failing(resource: HostedInstance, lost: str, context: Context) -> Failing | None:
    name = name_of_failover(resource, lost)
    made = context.get(Key(InstanceMigration.crd.kind, resource.metadata.namespace, name))
    if not isinstance(made, InstanceMigration):
        return None
    failed = made.external.get(FAILED, "") if ENDED in made.external else ""
    told = (made.status.condition(kind) for kind in ("Stalled", "Reconciling"))
    return Failing(name, failed, next((one.message for one in told if one is not None), ""))


def _last(resource: HostedInstance, home: Key, context: Context) -> Mapping[str, object] | None:
    """As the move tells it that brought it where it is, for as long as that is there; then as it was told."""
    known = resource.status.continuity.last_failover if resource.status.continuity is not None else None
    for one in context.users(resource.key, InstanceMigration.crd.kind):
        if not isinstance(one, InstanceMigration) or one.spec.source_state != SourceState.LOST:
            continue
        if (
            CUT_OVER in one.external
            and destination(one) == home
            and one.spec.instance_ref.name == resource.metadata.name
        ):
            return _told(one, home)
    return known.model_dump(by_alias=True, exclude_none=True) if known is not None else None


def _told(move: InstanceMigration, home: Key) -> Mapping[str, object]:
    at = int(move.external[CUT_OVER])
    outage = move.status.outage
    out_of_service = at - int(datetime.fromisoformat(outage).timestamp()) if outage else None
    found = {
        "outage": outage,
        "at": timestamp(datetime.fromtimestamp(at, UTC)),
        "from": move.external.get(FROM),
        "to": where(home),
        "rpoSeconds": move.status.rpo_seconds,
        "rtoSeconds": out_of_service,
    }
    return {key: value for key, value in found.items() if value is not None}
