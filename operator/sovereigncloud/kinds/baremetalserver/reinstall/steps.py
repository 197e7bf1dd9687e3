"""Perform a reinstallation: after a crash or a lost answer the server's tags tell what was done."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.kinds.baremetalserver.installation_tag import INSTALLED_TAG, WIPED
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
from sovereigncloud.ports.errors import AlreadyRunning, OutsideError, Retry
from sovereigncloud.ports.ovh.account import Ovh


async def perform_reinstall(client: Ovh, name: str, step: ReinstallServer | RecordReinstall | PinHostKey) -> Outcome:
    """Perform one step of a reinstallation, from the request to the host key."""
    match step:
        case ReinstallServer():
            return await begin_reinstall(client, name, step)
        case RecordReinstall():
            return await record_reinstall(client, name, step)
        case PinHostKey():
            return await pin_host_key(client, name, step)


async def begin_reinstall(client: Ovh, name: str, step: ReinstallServer) -> Outcome:
    """Write the record, then request the reinstallation.

    Each tag is a call of its own, so the history is written before the record is replaced: a crash between the two
    calls must not let a later return to the earlier token erase the server again.
    """
    tags = {HISTORY_TAG: step.history} if step.history else {}
    tags[RECORD_TAG] = step.record.text
    if step.block_intervention:
        tags[QUIET_TAG] = "true"
    if step.installed:
        tags[INSTALLED_TAG] = WIPED
    if step.awaits is not None:
        tags[HOST_KEY_TAG] = step.awaits.text
    await client.tag(step.urn, tags)
    try:
        if step.block_intervention:
            # Else a technician may touch a machine that stops answering pings (facts, monitoring).
            await client.set_monitoring(name, monitoring=step.monitoring, no_intervention=True)
        task = await _request_task(client, name, step)
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
    """Record the state of the reinstallation; at its end restore the intervention setting."""
    if step.restore_intervention:
        await _restore_intervention(client, name, step.urn, monitoring=step.monitoring)
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
    """Pin the host key: from now on another key is reported, and the installer refuses to log in."""
    await client.tag(step.urn, {HOST_KEY_TAG: step.pin.text})
    message = f"host key {fingerprint(step.pin.host_key)} of {name} is pinned, {step.pin.how}"
    return done(Reason.HOST_KEY_PINNED, message, **{UNPROVEN: ""})


async def _request_task(client: Ovh, name: str, step: ReinstallServer) -> int:
    """Request the reinstallation and return the task.

    A task that already runs is taken as ours only if this token was requested before with a lost answer, and only if
    the task is newer than all tasks known then.
    """
    try:
        return await client.reinstall(name, step.payload)
    except AlreadyRunning as error:
        if step.again and error.task > step.record.task:
            return error.task
        raise


async def _withdraw(client: Ovh, name: str, step: ReinstallServer) -> None:
    """Restore all tags after a refused request: nothing was started, and the refusal is reported."""
    if step.block_intervention or step.intervention_blocked:
        await _restore_intervention(client, name, step.urn, monitoring=step.monitoring)
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


async def _restore_intervention(client: Ovh, name: str, urn: str, *, monitoring: bool) -> None:
    await client.set_monitoring(name, monitoring=monitoring, no_intervention=False)
    await client.untag(urn, frozenset({QUIET_TAG}))
