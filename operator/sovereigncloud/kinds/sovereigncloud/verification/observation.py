"""What is read for a verification beside what is read for its cloud anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.verification import Suite
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.sovereigncloud.verification.job import validation_of
from sovereigncloud.kinds.sovereigncloud.verification.plan import Seen
from sovereigncloud.kinds.sovereigncloud.verification.records import Probe, probes_of
from sovereigncloud.ports.errors import MissingSecret, OutsideError


async def observe_verification(
    cloud: SovereignCloud, seen: Seen, servers: Mapping[str, BareMetalServer], context: Context
) -> Seen:
    """With the Job of OpenNebula's own suite, while a run of it is under way."""
    spec, record = cloud.spec.verification, seen.record
    if spec is None or not record.running or record.suite != Suite.ONE_DEPLOY_VALIDATION:
        return seen
    wanted = validation_of(cloud, servers, spec, record)
    if wanted is None:
        return seen
    return replace(seen, validation=wanted, job=await context.installer.validation(wanted))


async def last_probes(cloud: SovereignCloud, mark: Mark, context: Context, *, asked: bool) -> tuple[Probe, ...]:
    """What a verification left in a cloud that goes. OpenNebula is asked where a run was under way or `asked` says that it was
    anyway, and not waited for: it ends these machines by itself, and with Retain nothing that does not answer holds a
    deletion up.
    """
    told = cloud.status.verification
    under_way = told is not None and told.started_at is not None and told.finished_at is None
    if not (asked or under_way):
        return ()
    try:
        view = await context.view(cloud.key)
        owner = view.owner if view.owner is not None else (await (await context.open_nebula(cloud.key)).front()).user_id
    except (OutsideError, MissingSecret):
        return ()
    return probes_of(view, mark, owner)
