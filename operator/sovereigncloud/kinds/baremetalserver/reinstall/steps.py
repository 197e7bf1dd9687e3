"""Doing a reinstallation: each write so that a crash or a lost answer after it can be told from the server's own tags."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import fingerprint
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import HOST_KEY_TAG, UNPROVEN, PinHostKey
from sovereigncloud.kinds.baremetalserver.reinstall.plan import (
    LOOK_AGAIN,
    QUIET_TAG,
    TASK_FACT,
    RecordReinstall,
    ReinstallServer,
)
from sovereigncloud.kinds.baremetalserver.reinstall.records import HISTORY_TAG, RECORD_TAG, Stage
from sovereigncloud.kinds.sovereigncloud.installation.plan import INSTALLED_TAG, WIPED
from sovereigncloud.ports.errors import AlreadyRunning, OutsideError, Retry
from sovereigncloud.ports.ovh.account import Ovh


async def perform_reinstall(client: Ovh, name: str, step: ReinstallServer | RecordReinstall | PinHostKey) -> Outcome:
    """One step of it, from the request to the host key."""
    match step:
        case ReinstallServer():
            return await begin_reinstall(client, name, step)
        case RecordReinstall():
            return await record_reinstall(client, name, step)
        case PinHostKey():
            return await pin_host_key(client, name, step)


async def begin_reinstall(client: Ovh, name: str, step: ReinstallServer) -> Outcome:
    """The record first: whatever happens to the answer, the server tells what was asked.

    Each tag is a call of its own, so what the record replaces is remembered before it is replaced: between the two calls
    everything may end, and a later return to the earlier word would wipe the server again.
    """
    tags = {HISTORY_TAG: step.history} if step.history else {}
    tags[RECORD_TAG] = step.record.text
    if step.mute:
        tags[QUIET_TAG] = "true"
    if step.installed:
        tags[INSTALLED_TAG] = WIPED
    if step.awaits is not None:
        tags[HOST_KEY_TAG] = step.awaits.text
    await client.tag(step.urn, tags)
    try:
        if step.mute:
            # Else a technician may touch a machine that stops answering pings (facts, monitoring).
            await client.set_monitoring(name, monitoring=step.monitoring, no_intervention=True)
        task = await _asked(client, name, step)
    except OutsideError as error:
        if not (isinstance(error, Retry) and error.maybe_done):
            with contextlib.suppress(OutsideError):  # then it is waited for in vain, and asked for again
                await _withdraw(client, name, step)
        raise
    await client.tag(step.urn, {RECORD_TAG: replace(step.record, stage=Stage.RUNNING, task=task).text})
    message = f"reinstallation of {name} with {step.record.system} was begun, task {task}"
    if step.remark:
        message = f"{message}; {step.remark}"
    outcome = waiting(Reason.REINSTALLING, message, after=LOOK_AGAIN)
    fact = {TASK_FACT: f"{step.record.token} {task}"}
    return replace(outcome, facts=fact, events=((Reason.REINSTALLING, message),))


async def record_reinstall(client: Ovh, name: str, step: RecordReinstall) -> Outcome:
    """What became of it; where it is over, technicians are let back in."""
    if step.unmute:
        await _unmute(client, name, step.urn, monitoring=step.monitoring)
        if step.record.stage is not Stage.DONE:  # it ended badly, and the record says already which it was
            return done()
    await client.tag(step.urn, {RECORD_TAG: step.record.text})
    if step.record.stage is Stage.DONE:
        return done(
            Reason.REINSTALLED, f"{name} runs {step.record.system}, request {step.record.token}", **{TASK_FACT: ""}
        )
    return replace(
        waiting(Reason.REINSTALLING, f"reinstall task {step.record.task} of {name} is under way", after=LOOK_AGAIN),
        facts={TASK_FACT: f"{step.record.token} {step.record.task}"},
    )


async def pin_host_key(client: Ovh, name: str, step: PinHostKey) -> Outcome:
    """From now on another key is told, and nobody logs in where it answers."""
    await client.tag(step.urn, {HOST_KEY_TAG: step.pin.text})
    message = f"host key {fingerprint(step.pin.host_key)} of {name} is pinned, {step.pin.how}"
    return done(Reason.HOST_KEY_PINNED, message, **{UNPROVEN: ""})


async def _asked(client: Ovh, name: str, step: ReinstallServer) -> int:
    """The task. One that runs already is taken for ours only where this word was asked for before and the answer lost,
    and only if it is newer than all that was known then.
    """
    try:
        return await client.reinstall(name, step.payload)
    except AlreadyRunning as error:
        if step.again and error.task > step.record.task:
            return error.task
        raise


async def _withdraw(client: Ovh, name: str, step: ReinstallServer) -> None:
    """It was refused, so nothing was begun: everything is as it was, and the refusal is what a person sees."""
    if step.mute or step.muted:
        await _unmute(client, name, step.urn, monitoring=step.monitoring)
    if step.installed and step.installed != WIPED:
        await client.tag(step.urn, {INSTALLED_TAG: step.installed})
    if step.awaits is not None:
        await _restore(client, step.urn, HOST_KEY_TAG, step.pinned)
    before = "" if step.before is None or step.again else step.before.text
    await _restore(client, step.urn, RECORD_TAG, before)


async def _restore(client: Ovh, urn: str, key: str, value: str) -> None:
    if value:
        await client.tag(urn, {key: value})
    else:
        await client.untag(urn, frozenset({key}))


async def _unmute(client: Ovh, name: str, urn: str, *, monitoring: bool) -> None:
    await client.set_monitoring(name, monitoring=monitoring, no_intervention=False)
    await client.untag(urn, frozenset({QUIET_TAG}))
