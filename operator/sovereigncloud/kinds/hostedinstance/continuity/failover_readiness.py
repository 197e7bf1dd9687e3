"""Failover readiness: copies, target cloud and fencing, checked while the cloud is reachable.

During an outage the same is checked again without any call to the lost cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration, SourceState
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.placement import Verdict
from sovereigncloud.core.quantity import seconds
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.endpoint import server_key
from sovereigncloud.kinds.fencing.confirmation import can_be_fenced, fencing_status
from sovereigncloud.kinds.hostedinstance.continuity.copies import current_copies, usable_copy
from sovereigncloud.kinds.hostedinstance.continuity.migration_in_progress import active_migration, destination
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import retained_copies
from sovereigncloud.kinds.hostedinstance.machine.copy import IMAGE, Copy
from sovereigncloud.kinds.hostedinstance.machine.observed import (
    FailoverMigration,
    FailoverReadiness,
    InstanceObservation,
    bound_cloud,
    declared_cloud,
)
from sovereigncloud.kinds.hostedinstance.placement.placement import choose_place
from sovereigncloud.kinds.hostedinstance.placement.relocation import relocated_instance
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.kinds.movement.records import CUT_OVER, ENDED, FAILED, FROM
from sovereigncloud.ports.errors import MissingSecret, NotYet, OutsideError

_LONGEST = 220
"""Longest prefix of a name of 253 characters that leaves room for the suffix."""


def lost_cloud_of(resource: HostedInstance, context: Context) -> SovereignCloud | None:
    """The lost cloud of a VM with spec.continuity that no migration handles; None otherwise."""
    if resource.spec.continuity is None or resource.deleting or not resource.external.get("vm"):
        return None
    home = bound_cloud(resource)
    cloud = context.get(home) if home is not None else None
    if not isinstance(cloud, SovereignCloud) or cloud.status.lost_since is None:
        return None
    return None if active_migration(resource, context) is not None else cloud


async def observe_lost_cloud(resource: HostedInstance, cloud: SovereignCloud, context: Context) -> InstanceObservation:
    """Observe an instance whose cloud is lost, without calling that cloud."""
    nothing = InstanceObservation(mark=context.mark(resource), cloud=cloud.key)
    return replace(nothing, failover=await _readiness(resource, cloud, nothing, context))


async def with_failover_readiness(
    resource: HostedInstance, observed: InstanceObservation, context: Context
) -> InstanceObservation:
    """Add failover readiness to an observation; without it if it cannot be evaluated now."""
    if resource.spec.continuity is None or resource.deleting or observed.found.thing is None or observed.cloud is None:
        return observed
    cloud = context.get(observed.cloud)
    if not isinstance(cloud, SovereignCloud) or observed.moving:
        return observed
    try:
        return replace(observed, failover=await _readiness(resource, cloud, observed, context))
    except NotYet:
        return observed


async def _readiness(
    resource: HostedInstance, cloud: SovereignCloud, observed: InstanceObservation, context: Context
) -> FailoverReadiness:
    lost = cloud.status.lost_since or ""
    servers = servers_of(cloud, context)
    seen = FailoverReadiness(
        home=cloud.key,
        proof=fencing_status(cloud, servers),
        provable=can_be_fenced(cloud, servers),
        lost=lost,
        copies=tuple(current_copies(resource, observed)),
        move=_failover_migration(resource, lost, context) if lost else None,
        last=_last_failover(resource, cloud.key, context),
    )
    if seen.move is not None:
        return seen
    seen = await _with_target(seen, resource, context)
    rpo = resource.spec.continuity.rpo if resource.spec.continuity is not None else None
    if seen.copy is None or rpo is None:
        return seen
    return replace(seen, too_old=(context.now.timestamp() - seen.copy.seconds) > seconds(rpo))


def servers_of(cloud: SovereignCloud, context: Context) -> tuple[BareMetalServer, ...]:
    """BareMetalServers that the cloud created."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted is not None else None
    found = (context.get(server_key(cloud, one)) for one in (ovh.servers if ovh is not None else ()))
    return tuple(one for one in found if isinstance(one, BareMetalServer))


async def _with_target(seen: FailoverReadiness, resource: HostedInstance, context: Context) -> FailoverReadiness:
    """Choose the best cloud that can read a copy; if none can, say why."""
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
    asked = relocated_instance(resource)
    chosen = await choose_place(asked, context, tuple(found) or others, bound=None, waits=False, reservations=False)
    if chosen.cloud is None:
        return replace(seen, refused=chosen.outcome.message if chosen.outcome is not None else "")
    if not found:
        # A cloud would be allowed, but without an outside copy that does not matter.
        return replace(seen, refused="; ".join(whys) if any(copy.outside for copy in seen.copies) else "")
    considered = chosen.decision.considered
    allowed = sorted({one.cloud for one in considered if one.verdict is not Verdict.REFUSED})
    return replace(seen, target=chosen.cloud, copy=found[chosen.cloud], allowed=tuple(allowed))


async def _copy_for(
    cloud: Key, seen: FailoverReadiness, resource: HostedInstance, context: Context
) -> tuple[list[Copy], Copy | str]:
    """Retained copies in a cloud, and the copy it would use, or why it can use none."""
    there = context.get(cloud)
    if not isinstance(there, SovereignCloud) or not there.status.endpoint or there.status.lost_since is not None:
        return [], "it does not answer"
    try:
        view = await context.view(cloud)
        makers = await makers_of(view, cloud, resource.metadata.namespace, context)
    except (OutsideError, MissingSecret):
        return [], "it does not answer"
    kept = retained_copies(view.images.values(), cloud, context.mark(resource), makers.owners)
    backups = [copy for copy in seen.copies if copy.kind != IMAGE]
    return kept, usable_copy([*backups, *kept], resource, cloud, view)


# ------------------------------------------------------------------------------------------------------------- the move


def failover_name(resource: HostedInstance, lost: str) -> str:
    """Name of the failover migration: one per outage."""
    stamp = "".join(filter(str.isdigit, lost))
    return f"{resource.metadata.name[:_LONGEST].rstrip('-.')}-failover-{stamp}"


def _failover_migration(resource: HostedInstance, lost: str, context: Context) -> FailoverMigration | None:
    name = failover_name(resource, lost)
    made = context.get(Key(InstanceMigration.crd.kind, resource.metadata.namespace, name))
    if not isinstance(made, InstanceMigration):
        return None
    failed = made.external.get(FAILED, "") if ENDED in made.external else ""
    told = (made.status.condition(kind) for kind in ("Stalled", "Reconciling"))
    return FailoverMigration(name, failed, next((one.message for one in told if one is not None), ""))


def _last_failover(resource: HostedInstance, home: Key, context: Context) -> Mapping[str, object] | None:
    """The last failover: from its migration while that exists, else as recorded."""
    known = resource.status.continuity.last_failover if resource.status.continuity is not None else None
    for one in context.users(resource.key, InstanceMigration.crd.kind):
        if not isinstance(one, InstanceMigration) or one.spec.source_state != SourceState.LOST:
            continue
        if (
            CUT_OVER in one.external
            and destination(one) == home
            and one.spec.instance_ref.name == resource.metadata.name
        ):
            return _failover_record(one, home)
    return known.model_dump(by_alias=True, exclude_none=True) if known is not None else None


def _failover_record(move: InstanceMigration, home: Key) -> Mapping[str, object]:
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
