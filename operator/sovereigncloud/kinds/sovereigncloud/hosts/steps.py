"""Execute the drain steps of a host: one idempotent OpenNebula call each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.planning.pending_writes import asked
from sovereigncloud.kinds.sovereigncloud.hosts.draining import (
    MOVE_ASKED,
    DeleteHost,
    DeleteLostVm,
    DisableHost,
    MigrateVm,
)
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import LEAVING_NOTE
from sovereigncloud.ports.errors import NotFound


async def perform_draining(
    step: DisableHost | MigrateVm | DeleteLostVm | DeleteHost, cloud: SovereignCloud, context: Context
) -> Outcome:
    """Execute one drain step."""
    client = await context.open_nebula(cloud.key)
    match step:
        case DisableHost():
            await client.update_host(step.host_id, {LEAVING_NOTE: step.note})
            if step.disable:
                await client.disable_host(step.host_id)
            return done(Reason.HOST_DISABLED, step.target)
        case MigrateVm():
            await client.move_vm(step.vm_id, step.host_id, live=step.live)
            way = "live" if step.live else "cold"
            return _wait_until_visible(
                Reason.DRAINING, f"{step.what}: moving", {MOVE_ASKED: asked(f"{step.vm_id} {way}", context.now)}
            )
        case DeleteLostVm():
            await client.give_up_vm(step.vm_id)
            return _wait_until_visible(Reason.MACHINE_ABANDONED, f"{step.target}: given up", {})
        case DeleteHost():
            with suppress(NotFound):  # the answer to an earlier call was lost
                await client.delete_host(step.host_id)
            return done(Reason.HOST_UNREGISTERED, f"{step.target} was deleted", **{MOVE_ASKED: ""})


def _wait_until_visible(reason: Reason, message: str, facts: dict[str, str]) -> Outcome:
    """Wait until the change is visible, so that one VM at a time is copied between hosts."""
    outcome = waiting(Reason.DRAINING, message, available=True)
    return replace(outcome, facts=facts, events=((reason, message),))
