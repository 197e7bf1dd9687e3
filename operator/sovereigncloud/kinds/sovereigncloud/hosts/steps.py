"""How a host is emptied and taken out of OpenNebula: one call each, safe to repeat."""

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
    DisableHost,
    GiveUpMachine,
    MoveMachine,
)
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import LEAVING_NOTE
from sovereigncloud.ports.errors import NotFound


async def perform_leaving(
    step: DisableHost | MoveMachine | GiveUpMachine | DeleteHost, cloud: SovereignCloud, context: Context
) -> Outcome:
    """Do one step."""
    client = await context.open_nebula(cloud.key)
    match step:
        case DisableHost():
            await client.update_host(step.host_id, {LEAVING_NOTE: step.note})
            if step.disable:
                await client.disable_host(step.host_id)
            return done(Reason.HOST_DISABLED, step.target)
        case MoveMachine():
            await client.move_vm(step.vm_id, step.host_id, live=step.live)
            way = "live" if step.live else "cold"
            return _seen_first(
                Reason.DRAINING, f"{step.what}: moving", {MOVE_ASKED: asked(f"{step.vm_id} {way}", context.now)}
            )
        case GiveUpMachine():
            await client.give_up_vm(step.vm_id)
            return _seen_first(Reason.MACHINE_ABANDONED, f"{step.target}: given up", {})
        case DeleteHost():
            with suppress(NotFound):  # the answer to an earlier call was lost
                await client.delete_host(step.host_id)
            return done(Reason.HOST_UNREGISTERED, f"{step.target} was deleted", **{MOVE_ASKED: ""})


def _seen_first(reason: Reason, message: str, facts: dict[str, str]) -> Outcome:
    """Nothing further is done before this shows: one machine at a time is copied between hosts."""
    outcome = waiting(Reason.DRAINING, message, available=True)
    return replace(outcome, facts=facts, events=((reason, message),))
