"""What a verification does outside: small writes that are safe to repeat, none of which changes what is declared."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.sovereigncloud.verification.records import NOTE, Probe, Record, attribute_of, probe_note
from sovereigncloud.ports.errors import Auth, Conflict, NotFound, Quota, Rejected
from sovereigncloud.ports.installer.validation import Validation
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

FACT = "verification"
"""In `status.external`: what went wrong with the last step."""

_TERMINATE = "terminate-hard"
_LIFETIME = 3600
_MEMORY = "128"  # MiB
_CPU = "0.1"
_EMPTY_DISK = "64"  # MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord(Step):
    """Remembers a run in the zone's template: before anything of it is done, and once more when it is over."""

    zone: int
    mark: Mark
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class StartProbe(Step):
    """`host`, `network`, `image`: ids; None: any host, no network, an empty disk."""

    run: int
    created: int
    check: str
    host: int | None
    network: int | None
    image: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndProbe(Step):
    """`forget`: OpenNebula cannot end it in its state, so it is taken off its list."""

    vm: int
    forget: bool


_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
"""What OpenNebula takes in no name, and a little more."""
_WELL = Outcome(facts={FACT: ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartValidation(Step):
    """Makes the Job of OpenNebula's own suite."""

    validation: Validation


VerificationStep = WriteRecord | StartProbe | EndProbe | StartValidation


def write_record(zone: int, mark: Mark, record: Record, target: str) -> WriteRecord:
    return WriteRecord(action=Action.VERIFY, target=target, beside=FACT, zone=zone, mark=mark, record=record)


def start_validation(validation: Validation) -> StartValidation:
    target = f"Job of one-deploy-validation for {validation.installation.cloud}"
    return StartValidation(action=Action.VERIFY, target=target, beside=FACT, validation=validation)


def end_probe(probe: Probe, now: int, stuck_after: int, *, beside: str = FACT) -> EndProbe | None:
    """How a machine is ended; None: it is on its way, or cannot be ended in its present state."""
    situation = state_of(probe.vm).situation
    stuck = now - probe.created >= stuck_after
    if situation in {Situation.ENDING, Situation.BUSY} and not stuck:
        return None
    what = f'VM {probe.vm.id} "{probe.vm.name}" of a verification'
    return EndProbe(action=Action.DELETE, target=what, beside=beside, vm=probe.vm.id, forget=stuck)


async def perform_verification(step: VerificationStep, cloud: SovereignCloud, context: Context) -> Outcome:
    """One write."""
    if isinstance(step, StartValidation):
        await context.installer.validate(step.validation)
        return _WELL
    client = await context.open_nebula(cloud.key)
    match step:
        case WriteRecord():
            await client.update_zone(step.zone, {attribute_of(step.mark): step.record.text})
            if step.record.ended or step.record.started:
                return _WELL
            return replace(_WELL, events=((Reason.VERIFYING, f"{step.target} was begun"),))
        case StartProbe():
            try:
                await client.create_vm(probe_template(step, cloud, context.mark(cloud)))
            except (Rejected, Quota, NotFound, Conflict, Auth) as refusal:
                # It is what the check is to find out. What passes (no answer, a lost one) is tried again like any step.
                return Outcome(after=0.1, facts={FACT: refused(step.run, step.check, refusal.message)})
            return _WELL
        case EndProbe():
            try:
                await (client.give_up_vm(step.vm) if step.forget else client.act(step.vm, _TERMINATE))
            except NotFound:
                return DONE  # somebody else ended it
            return _WELL


def refused(run: int, check: str, message: str) -> str:
    """The fact that remembers a refusal until the check was judged."""
    return f"{run} {check}\n{message}"[:500]


def refusal_of(fact: str, run: int) -> tuple[str, str]:
    """(check, message) of a refusal in this run; empty where the fact says something else."""
    head, newline, message = fact.partition("\n")
    number, _, check = head.partition(" ")
    return (check, message) if newline and number == str(run) else ("", "")


def probe_template(step: StartProbe, cloud: SovereignCloud, mark: Mark) -> Attributes:
    """The smallest machine that can be. OpenNebula itself ends it after an hour, should nobody else be there to do it."""
    disk: Attributes = (
        {"IMAGE_ID": str(step.image)}
        if step.image is not None
        else {"TYPE": "fs", "FORMAT": "raw", "SIZE": _EMPTY_DISK}
    )
    template: dict[str, str | Attributes | list[Attributes]] = {
        "NAME": _UNFIT.sub("-", f"{cloud.metadata.name}-verification-{step.check}")[:128],
        "CPU": _CPU,
        "VCPU": "1",
        "MEMORY": _MEMORY,
        "DISK": [disk],
        "SCHED_ACTION": [{"ACTION": _TERMINATE, "TIME": f"+{_LIFETIME}"}],
        NOTE: probe_note(step.run, step.created, step.check),
        **mark.for_opennebula(),
    }
    if step.host is not None:
        template["SCHED_REQUIREMENTS"] = f'ID="{step.host}"'
    if step.network is not None:
        template["NIC"] = [{"NETWORK_ID": str(step.network)}]
    return template
