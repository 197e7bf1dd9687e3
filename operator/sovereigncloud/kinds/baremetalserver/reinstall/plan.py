"""The reinstallation of a server: asked for by a word in spec, recorded on the server before it is begun, done once.

OVHcloud's API has no idempotency key and forgets its tasks (facts: a purged task answers 404, a new one does so too for
up to five minutes), so the server itself carries the record, as IAM tags:

    sovereigncloud.io/reinstall   <token>:requested:<unix>:<newest task before>:<system>   about to ask
                                  <token>:<task>:<unix>:<system>                           asked
                                  <token>:done:<unix>:<system>                             the server runs the system
    sovereigncloud.io/reinstalled digests of earlier tokens, so that a revert in Git wipes nothing
    sovereigncloud.io/quiet       the server had no_intervention off before; it is put back at the end
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import Reinstall
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.baremetalserver.network.private_interface import PRIVATE_MODES
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import Day0, script
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import HOST_KEY_TAG, Pin, Trust
from sovereigncloud.kinds.baremetalserver.reinstall.records import (
    HISTORY_TAG,
    Record,
    Stage,
    carried_out,
    digest,
    history,
    read_record,
)
from sovereigncloud.kinds.baremetalserver.reinstall.template_checks import (
    HOSTNAME,
    SCRIPT,
    SSH_KEY,
    impossible,
    parts,
    unanswered,
)
from sovereigncloud.kinds.sovereigncloud.installation.plan import INSTALLED_TAG
from sovereigncloud.ports.ovh.account import InstallStep, Interface, Reinstallation, Server, Task
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate

QUIET_TAG = "sovereigncloud.io/quiet"

TASK_FACT = "reinstallTask"
"""In `status.external`: the word and the task that carries it out; a copy of the record."""

ACTIVE = frozenset({"init", "todo", "doing"})
FAILED = frozenset({"cancelled", "customerError", "ovhError"})
PUBLIC_MODES = frozenset({"public", "public_aggregation"})

_LATE_WRITE = 60.0  # a POST may take effect this long after the client gave up
_TASK_LAG = 300.0  # a new task may answer 404 this long (Terraform provider, dedicated_server_task.go)
_UNHEARD = _LATE_WRITE + _TASK_LAG  # of a request whose answer was lost a task may show this late
_CERTAIN = 3600.0  # within this a task that was begun is still known; afterwards it may have been purged
LOOK_AGAIN = 10.0
_ASK_TASKS = 30.0


@dataclass(frozen=True, slots=True)
class Details:
    """What is read of one server, only while something about it is open: each is a call per server.

    `disk_groups`, `systems` and `template` are asked for only before a reinstallation (empty otherwise).
    """

    server: Server
    interfaces: tuple[Interface, ...]
    tasks: tuple[Task, ...] = ()
    progress: tuple[InstallStep, ...] = ()
    disk_groups: tuple[DiskGroup, ...] = ()
    systems: frozenset[str] = frozenset()
    template: InstallationTemplate | None = None

    @property
    def active(self) -> Task | None:
        return next((t for t in reversed(self.tasks) if t.status in ACTIVE), None)

    @property
    def install_step(self) -> str | None:
        """The step under way and which of how many, for people."""
        doing = [(number, s) for number, s in enumerate(self.progress, start=1) if s.status in {"doing", "error"}]
        if not doing:
            return None
        number, step = doing[-1]
        said = f"{step.comment} ({number} of {len(self.progress)})"
        return f"{said}: {step.error}" if step.error else said


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinstallServer(Step):
    """Asks for it: record, mute OVHcloud's technicians, POST, record the task.

    Attributes:
        before: what the record was, for a request that is refused.
        again: this word was asked for before, and the answer lost.
        payload: what is sent; no part of the plan that people see.
        mute: technicians are to be kept out; `muted`: they still are, from the time before.
        installed: the run of the installer that covered the server; that is over with its disks.
        awaits: what the server says of its host key from now on; None: nothing, nobody logs in. `pinned`: what it said.
        remark: what a person should know of it.
    """

    urn: str
    record: Record
    before: Record | None
    again: bool
    history: str
    payload: Reinstallation
    monitoring: bool
    mute: bool
    muted: bool
    installed: str
    awaits: Pin | None = None
    pinned: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReinstall(Step):
    """Writes what became of it; at the end technicians are let back in where they were."""

    urn: str
    record: Record
    monitoring: bool = False
    unmute: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision about a reinstallation is made from.

    Attributes:
        ssh_key: the public key that is to be let in; empty for a server that is in no cloud of ours.
        proof_key: what its host key is proven with, see day0.
    """

    resource: BareMetalServer
    urn: str
    tags: Mapping[str, str]
    details: Details
    now: datetime
    mark: Mark
    ssh_key: str = ""
    proof_key: str = field(default="", repr=False)

    @property
    def record(self) -> Record | None:
        return read_record(self.tags)

    @property
    def name(self) -> str:
        return self.details.server.service_name

    @property
    def muted(self) -> bool:
        """Whether OVHcloud's technicians are still kept out for a reinstallation."""
        return QUIET_TAG in self.tags


def plan_reinstall(at: Situation) -> Plan:
    """What to do about the reinstallation, if anything. Empty and done: nothing is open."""
    record, request = at.record, at.resource.spec.reinstall
    if record is not None and record.stage is not Stage.DONE:
        under_way = _follow(at, record)
        if under_way is not None:
            return under_way
    if at.details.active is not None:
        message = (
            f"reinstall task {at.details.active.id} of {at.name} is running and was not begun here; waiting for its end"
        )
        return Plan(outcome=waiting(Reason.TASK_RUNNING, message, after=LOOK_AGAIN))
    if request is None or carried_out(at.resource, at.tags):
        # An earlier one may have ended badly, with technicians still kept out, when spec turned to another word.
        left = _ended_badly(at, record, DONE) if record is not None else Plan()
        return left if left.steps or request is None else _after(at, request)
    against = _begun(at, request) or _refusal(request, at.details) or _unsuitable(at, request)
    return against or Plan(steps=(_begin(at, request),))


def _begun(at: Situation, request: Reinstall) -> Plan | None:
    """Status knows a task of this word and the server's record does not: it gets its record back.

    A write of an earlier record can take effect after a later one, when the client gave up on it.
    """
    token, _, task = at.resource.external.get(TASK_FACT, "").rpartition(" ")
    record = at.record
    if token != request.request or not task.isdigit() or (record is not None and record.token == token):
        return None
    again = Record(token, Stage.RUNNING, int(at.now.timestamp()), int(task), request.operating_system)
    return Plan(steps=(_write(at, f"record of reinstall task {task} of {at.name}", again),))


def _write(at: Situation, target: str, record: Record, *, unmute: bool = False) -> RecordReinstall:
    # Action Reinstall: after a lost answer the engine then trusts only what is read when no late write is to be feared.
    return RecordReinstall(
        action=Action.REINSTALL,
        target=target,
        fields=("spec.reinstall.request",),
        urn=at.urn,
        record=record,
        monitoring=at.details.server.monitoring,
        unmute=unmute,
    )


def system_drift(resource: BareMetalServer, system: str | None) -> tuple[Drift, ...]:
    """Another system than declared is told, never mended: only a new word in spec reinstalls."""
    request = resource.spec.reinstall
    if request is None or not system or system == request.operating_system:
        return ()
    return (Drift("spec.reinstall.operatingSystem", request.operating_system, system, mendable=False),)


def _follow(at: Situation, record: Record) -> Plan | None:
    """What an open record asks for; None: it is over, or it never began."""
    request, details, name = at.resource.spec.reinstall, at.details, at.name
    age = max(0.0, at.now.timestamp() - record.at)
    ours = request is not None and request.request == record.token
    if record.stage is Stage.REQUESTED:
        return _follow_request(at, record, age, ours=ours)
    task = next((t for t in details.tasks if t.id == record.task), None)
    if task is not None and task.status in FAILED:
        if not ours:
            return None
        return _ended_badly(
            at,
            record,
            stalled(
                Reason.REINSTALL_FAILED,
                f"reinstall task {task.id} of {name} ended as {task.status}: {task.comment or 'no comment'};"
                " set a new spec.reinstall.request to try again",
            ),
        )
    if task is not None and task.status in ACTIVE:
        return _installing(name, details, task.id)
    if task is None and any(s.status in {"todo", "doing"} for s in details.progress):
        return _installing(name, details, record.task)
    # The task is over or no longer known. Only the server tells whether the system is there.
    lagging = task is None and at.resource.status.install_step is None and age < _TASK_LAG
    if lagging:
        return _installing(name, details, record.task)
    if details.server.os == record.system or not record.system:
        return Plan(steps=(_finish(at, record),))
    if not ours:
        return None  # spec asks for something else by now
    if age < _CERTAIN:
        message = f"task {record.task} of {name} is over; waiting until the server shows {record.system}"
        return Plan(outcome=waiting(Reason.VERIFYING_SYSTEM, message, after=LOOK_AGAIN))
    return _ended_badly(
        at,
        record,
        stalled(
            Reason.REINSTALL_UNKNOWN,
            f"reinstall task {record.task} of {name} is over, and the server runs {details.server.os} instead of"
            f" {record.system}; set a new spec.reinstall.request to try again",
            after=300.0,
        ),
    )


def _ended_badly(at: Situation, record: Record, outcome: Outcome) -> Plan:
    """A person must act. Technicians are let back in first: the machine may well need one."""
    if at.muted:
        return Plan(steps=(_write(at, f"monitoring of {at.name} as it was", record, unmute=True),))
    return Plan(outcome=outcome)


def _follow_request(at: Situation, record: Record, age: float, *, ours: bool) -> Plan | None:
    """Recorded, and nobody knows whether the API took it: its tasks tell."""
    since = [t for t in at.details.tasks if t.id > record.task]
    if since:
        task = max(t.id for t in since)
        under_way = replace(record, stage=Stage.RUNNING, task=task)
        return Plan(steps=(_write(at, f"record of reinstall task {task} of {at.name}", under_way),))
    if age < _UNHEARD:
        message = (
            "a reinstallation was recorded and no task is known yet; waiting until it is certain that it was not begun"
        )
        return Plan(outcome=waiting(Reason.CONFIRMING_REINSTALL, message, after=min(_UNHEARD - age, _ASK_TASKS)))
    if age < _CERTAIN or not ours:
        return None
    return _ended_badly(
        at,
        record,
        stalled(
            Reason.REINSTALL_UNKNOWN,
            f"a reinstallation of {at.name} was recorded more than an hour ago and no task of it"
            " is known; look at the server, and set a new spec.reinstall.request if it is still wanted",
        ),
    )


def _installing(name: str, details: Details, task: int) -> Plan:
    step = details.install_step
    message = f"{name} is being reinstalled, task {task}" + (f": {step}" if step else "")
    return Plan(outcome=waiting(Reason.REINSTALLING, message, after=LOOK_AGAIN))


def _finish(at: Situation, record: Record) -> RecordReinstall:
    over = replace(record, stage=Stage.DONE, task=0)
    return _write(at, f"end of the reinstallation of {at.name}", over, unmute=at.muted)


def _after(at: Situation, request: Reinstall) -> Plan:
    """Carried out. Where only status remembers it (someone removed the tag) the server gets its record back."""
    record = at.record
    earlier = digest(request.request) in at.tags.get(HISTORY_TAG, "").split(".")
    if record is not None and (record.token == request.request or earlier):
        return Plan()
    carried = Record(request.request, Stage.DONE, 0, 0, at.details.server.os)
    return Plan(steps=(_write(at, f"record of the reinstallation of {at.name}", carried),))


def _refusal(request: Reinstall, details: Details) -> Plan | None:
    """What speaks against it before anything is wiped."""
    name, system = details.server.service_name, request.operating_system
    if system not in details.systems:
        near = difflib.get_close_matches(system, details.systems, n=5, cutoff=0.3) or sorted(details.systems)[:5]
        return Plan(
            outcome=stalled(
                Reason.UNKNOWN_OPERATING_SYSTEM,
                f"{name} cannot be installed with {system!r}; among what it can: {', '.join(near) or 'nothing'};"
                " change reinstall.operatingSystem",
                after=300.0,
            )
        )
    if len(details.disk_groups) > 1 and not request.wipe_all_disks:
        return Plan(
            outcome=stalled(
                Reason.WIPE_ALL_DISKS_REQUIRED,
                f"{name} has {len(details.disk_groups)} disk groups and a reinstallation erases all of them; set"
                " reinstall.wipeAllDisks: true if that is meant",
            )
        )
    if details.interfaces and not any(i.enabled and i.mode in PUBLIC_MODES for i in details.interfaces):
        return Plan(
            outcome=stalled(
                Reason.NO_PUBLIC_INTERFACE,
                f"all network cards of {name} are in a private aggregation (OLA): it cannot boot from the network, so"
                " OVHcloud cannot reinstall it; reset OLA in OVHcloud's console first",
                after=300.0,
            )
        )
    return None


def _unsuitable(at: Situation, request: Reinstall) -> Plan | None:
    """What speaks against the template: the installation must take what is said to it, and be told all that it asks."""
    template = at.details.template
    if template is None:
        message = f"what the installation of {request.operating_system} takes is being read"
        return Plan(outcome=waiting(Reason.OBSERVING, message, after=LOOK_AGAIN))
    if asked := unanswered(template):
        message = (
            f"an installation of {template.name} must be told {', '.join(asked)}, which the operator cannot; choose another"
            " reinstall.operatingSystem"
        )
        return Plan(outcome=stalled(Reason.INCOMPATIBLE_SYSTEM, message, after=300.0))
    if at.ssh_key and not template.takes(SSH_KEY):
        message = (
            f"an installation of {template.name} takes no SSH key, by which OpenNebula's installer would enter; choose"
            " another reinstall.operatingSystem"
        )
        return Plan(outcome=stalled(Reason.INCOMPATIBLE_SYSTEM, message, after=300.0))
    try:
        why = impossible(parts(request.partitioning or ()), template, at.details.disk_groups)
    except ValueError as error:
        why = f"reinstall.partitioning: {error}"
    return Plan(outcome=stalled(Reason.INCOMPATIBLE_PARTITIONING, f"{at.name}: {why}", after=300.0)) if why else None


def _begin(at: Situation, request: Reinstall) -> ReinstallServer:
    record, server = at.record, at.details.server
    again = record is not None and record.token == request.request and record.stage is Stage.REQUESTED
    newest = record.task if again and record is not None else max((t.id for t in at.details.tasks), default=0)
    return ReinstallServer(
        action=Action.REINSTALL,
        target=f"server {at.name} with {request.operating_system}, request {request.request}",
        fields=("spec.reinstall.request",),
        disruption=Disruption.DATA_LOSS,
        urn=at.urn,
        record=Record(request.request, Stage.REQUESTED, int(at.now.timestamp()), newest, request.operating_system),
        before=record,
        again=again,
        history=history(at.tags, None if again else record),
        payload=_payload(at, request),
        monitoring=server.monitoring,
        mute=server.monitoring and not server.no_intervention,
        muted=at.muted,
        installed=at.tags.get(INSTALLED_TAG, ""),
        awaits=_awaits(at),
        pinned=at.tags.get(HOST_KEY_TAG, ""),
        remark=_remark(at),
    )


def _payload(at: Situation, request: Reinstall) -> Reinstallation:
    """What is sent: nothing that the template does not ask for."""
    template = at.details.template
    takes = template.takes if template is not None else lambda _: False
    return Reinstallation(
        operating_system=request.operating_system,
        hostname=_hostname(at.resource) if takes(HOSTNAME) else "",
        ssh_key=at.ssh_key if takes(SSH_KEY) else "",
        post_installation_script=_script(at, request) if takes(SCRIPT) else "",
        partitions=parts(request.partitioning or ()),
    )


def _script(at: Situation, request: Reinstall) -> str:
    enabled = [i for i in at.details.interfaces if i.enabled]
    return script(
        Day0(
            service_name=at.name,
            request=request.request,
            mark=at.mark,
            public_macs=tuple(m.lower() for i in enabled if i.mode in PUBLIC_MODES for m in i.macs),
            private_macs=tuple(m.lower() for i in enabled if i.mode in PRIVATE_MODES for m in i.macs),
            proof_key=at.proof_key,
        )
    )


def _awaits(at: Situation) -> Pin | None:
    """Only where the operator's installer will log in."""
    template = at.details.template
    if not at.ssh_key or template is None:
        return None
    return Pin(Trust.PROVEN if at.proof_key and template.takes(SCRIPT) else Trust.FIRST_USE)


def _remark(at: Situation) -> str:
    template = at.details.template
    if template is None or template.takes(SCRIPT):
        return ""
    return (
        f"the installation of {template.name} takes no script: its bonds are left to OpenNebula's installer, and the first"
        " host key that answers is believed"
    )


def _hostname(resource: BareMetalServer) -> str:
    """`spec.name` is free text at OVHcloud; a host name is not."""
    name = resource.outside_name
    valid = re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name)
    return (name if valid else resource.metadata.name)[:63].rstrip("-.")
