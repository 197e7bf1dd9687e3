"""What is done about clusters, hosts and datastores of a cloud: one write each, safe to repeat.

A cluster and a host take no template: they are made, and then marked. An attempt is written down before, so that what it left
unmarked, and nothing else, is known to be ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.identity.part_mark import marked_as
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import LEAVING_NOTE
from sovereigncloud.ports.errors import Conflict, NotFound
from sovereigncloud.ports.opennebula.client import OpenNebula

ATTEMPT = "making"
"""In `status.external`: the entry of spec that a cluster or a host is being made for."""
CLUSTERS, HOSTS, DATASTORES = "clusters", "hosts", "datastores"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStep(Step):
    """What `perform_part` does. `field`: clusters, hosts or datastores; `name`: the entry there."""

    field: str
    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPart(PartStep):
    """Write down that it is going to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePart(PartStep):
    """`template`: of a datastore; `drivers`: of a host, those that monitor and run machines; `cluster`: where it begins."""

    template: Mapping[str, str] | None = None
    drivers: tuple[str, str] = ("", "")
    cluster: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPart(PartStep):
    only_marks: ClassVar[bool] = True
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePart(PartStep):
    oid: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamePart(PartStep):
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutIntoCluster(PartStep):
    """`member`: host or datastore. A host leaves the cluster that it was in."""

    cluster: int
    member: str
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOutOfCluster(PartStep):
    cluster: int
    member: str
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireHost(PartStep):
    """Nothing new is placed there; noted on the host first, so that it is enabled again where it is listed again."""

    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnHost(PartStep):
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePart(PartStep):
    oid: int


async def perform_part(step: PartStep, cloud: SovereignCloud, context: Context) -> Outcome:
    """Do one step."""
    if isinstance(step, AttemptPart):
        outcome = waiting(Reason.CREATING, f"{step.target} is going to be made", after=0.05, available=True)
        return outcome.with_facts(**{ATTEMPT: f"{step.field}/{step.name}"})
    client = await context.open_nebula(cloud.key)
    match step:
        case CreatePart():
            return await _create(step, client)
        case MarkPart():
            await _write(client, step.field, step.oid, marked_as(step.field, step.name, step.mark))
            return done(Reason.MARKED, f"{step.target} carries the mark of this installation", **{ATTEMPT: ""})
        case UpdatePart():
            await _write(client, step.field, step.oid, step.attributes)
            return done(Reason.PART_UPDATED, f"{step.target} is as spec says: {', '.join(step.fields)}")
        case RenamePart():
            rename = client.parts.rename_cluster if step.field == CLUSTERS else client.parts.rename_datastore
            await rename(step.oid, step.name)
            return done(Reason.PART_UPDATED, step.target)
        case DeletePart():
            return await _delete(step, client)
        case _:
            return await _among_clusters(step, client)


async def _among_clusters(step: PartStep, client: OpenNebula) -> Outcome:
    match step:
        case PutIntoCluster():
            await client.join_cluster(step.cluster, step.member, step.oid)
            return done(Reason.CLUSTER_JOINED, step.target)
        case TakeOutOfCluster():
            await client.parts.leave_cluster(step.cluster, step.member, step.oid)
            return done(Reason.PART_UPDATED, step.target)
        case RetireHost():
            await client.update_host(step.oid, {LEAVING_NOTE: step.name})
            await client.disable_host(step.oid)
            return done(Reason.HOST_DISABLED, step.target)
        case ReturnHost():
            await client.update_host(step.oid, {LEAVING_NOTE: ""})
            await client.enable_host(step.oid)
            return done(Reason.HOST_ENABLED, step.target)
        case _:
            raise TypeError(f"not a step of a part: {type(step).__name__}")


async def _create(step: CreatePart, client: OpenNebula) -> Outcome:
    """A name that is taken meanwhile is looked at again: what bears it may be what an earlier attempt made."""
    mark = marked_as(step.field, step.name, step.mark)
    try:
        if step.template is not None:
            made = await client.parts.create_datastore({**step.template, **mark}, step.cluster)
        elif step.field == HOSTS:
            made = await client.create_host(step.name, *step.drivers, step.cluster)
            await client.update_host(made, mark)
        else:
            made = await client.create_cluster(step.name)
            await client.parts.update_cluster(made, mark)
    except Conflict as taken:
        if "already taken" not in taken.message:
            raise
        return replace(
            waiting(Reason.CREATING, f"{step.target}: the name is taken meanwhile", after=1.0), available=True
        )
    return done(Reason.PART_CREATED, f"{step.target} was made, number {made}", **{ATTEMPT: ""})


async def _write(client: OpenNebula, field: str, oid: int, attributes: Mapping[str, str]) -> None:
    if field == HOSTS:
        await client.update_host(oid, attributes)
    elif field == CLUSTERS:
        await client.parts.update_cluster(oid, attributes)
    else:
        await client.parts.update_datastore(oid, attributes)


async def _delete(step: DeletePart, client: OpenNebula) -> Outcome:
    with suppress(NotFound):  # the answer to an earlier call was lost
        if step.field == HOSTS:
            await client.delete_host(step.oid)
        elif step.field == CLUSTERS:
            await client.parts.delete_cluster(step.oid)
        else:
            await client.parts.delete_datastore(step.oid)
    return done(Reason.PART_DELETED, f"{step.target} was deleted: it was empty and is no longer declared")
