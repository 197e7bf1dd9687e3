"""Verification of a cloud: when it is run, what is done next, and what is said of it. Pure.

A run is a row of small steps: its record in the zone's template, a machine for each check that needs one, a few at once, each
ended as soon as its check is decided, and the record of its end. Each look finds out from that record, from the machines'
notes and from status where it is, so a run goes on after a crash wherever it was left. A machine of a verification
that no check waits for is ended, whatever it was left by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import PAUSED, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.verification import Result, Suite, Verification, VerificationStatus
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, Phase, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.planning.schedule import ScheduleError, next_run, stamp_of
from sovereigncloud.kinds.sovereigncloud.verification.checks import LIMIT, Check, Look, image_of, judge, wanted_checks
from sovereigncloud.kinds.sovereigncloud.verification.job import CERTAIN, checks_of_job, report_of
from sovereigncloud.kinds.sovereigncloud.verification.records import (
    FAILED,
    NOTHING,
    PASSED,
    Probe,
    Record,
    probes_of,
    read_record,
)
from sovereigncloud.kinds.sovereigncloud.verification.steps import (
    FACT,
    StartProbe,
    end_probe,
    refusal_of,
    start_validation,
    write_record,
)
from sovereigncloud.ports.installer.validation import Validation, ValidationState
from sovereigncloud.ports.opennebula.views import CloudView, Front

VERIFIED = "Verified"
AT_ONCE = 4
"""Machines of a verification that are there at the same time."""
_STUCK = 2 * LIMIT
"""Seconds after which a machine that cannot be ended in its state is taken off OpenNebula's list."""
_GIVEN_UP = 2 * _STUCK
"""Seconds after which a run does not wait any longer for the end of a machine."""
_SHOWN = 5

_JOB_AGAIN = 15.0

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for a verification.

    Attributes:
        validation, job: what is asked of OpenNebula's own suite, and what became of it, while a run of it is under way.
    """

    now: datetime
    mark: Mark
    front: Front
    view: CloudView
    validation: Validation | None = None
    job: ValidationState | None = None

    @property
    def seconds(self) -> int:
        return int(self.now.timestamp())

    @property
    def record(self) -> Record:
        return read_record(self.front.notes, self.mark)

    @property
    def probes(self) -> tuple[Probe, ...]:
        return probes_of(self.view, self.mark, self.front.user_id)


# --- planning ----------------------------------------------------------------------------------------------------------


def with_verification(cloud: SovereignCloud, seen: Seen | None, declared: Plan) -> Plan:
    """The plan with what a verification does beside it."""
    if seen is None or _held(cloud):
        return declared
    steps = _steps(cloud, seen, declared)
    soon = _soon(cloud, seen)
    if not (steps or seen.probes or (cloud.spec.verification is not None and seen.record.running)):
        told = FACT in cloud.external  # of what nobody asks for any more
        return replace(declared, outcome=declared.outcome.with_facts(**{FACT: ""})) if told else declared
    outcome = declared.outcome.merge(Outcome(after=soon, beside=True))
    return replace(declared, steps=declared.steps + steps, outcome=outcome)


def _soon(cloud: SovereignCloud, seen: Seen) -> float | None:
    """When it is worth looking again: at once after a check was decided, since what follows waits until status says so, or a
    crash would forget it; a Job takes its time; a machine is seen in the next view.
    """
    spec, record = cloud.spec.verification, seen.record
    if spec is None or not record.running:
        return None
    told = _told_of(cloud.status.verification, record)
    if any(c.final and not _decided(told, c.name) for c in checks_of_run(cloud, spec, seen, record)):
        return 0.1
    return _JOB_AGAIN if record.suite == Suite.ONE_DEPLOY_VALIDATION else None


def _decided(told: Mapping[str, Check], name: str) -> bool:
    return name in told and told[name].final


def _steps(cloud: SovereignCloud, seen: Seen, declared: Plan) -> tuple[Step, ...]:
    spec, record = cloud.spec.verification, seen.record
    if spec is None:
        return _endings(seen, seen.probes)
    if record.running:
        return _of_run(cloud, spec, seen, record)
    asked = asked_for(cloud, spec, record, seen.now)
    first = declared.outcome.phase is Phase.DONE and not declared.steps
    if asked is None or not (record.began or first):
        return _endings(seen, seen.probes)
    run = record.begun(asked, suite_of(spec), seen.seconds)
    target = f"verification of {cloud.metadata.name}" + (f' for request "{asked}"' if asked else " by its schedule")
    return (*_endings(seen, seen.probes), write_record(seen.front.zone_id, seen.mark, run, target))


def _of_run(cloud: SovereignCloud, spec: Verification, seen: Seen, record: Record) -> tuple[Step, ...]:
    """The next steps of a run that is under way."""
    checks, mine = checks_of_run(cloud, spec, seen, record), _by_check(seen.probes, record)
    told = _told_of(cloud.status.verification, record)
    undecided = {c.name for c in checks if not _decided(told, c.name)}
    needed = {p.vm.id for name, p in mine.items() if name in undecided}
    endings = _endings(seen, (p for p in seen.probes if p.vm.id not in needed))
    if undecided:
        if record.suite == Suite.ONE_DEPLOY_VALIDATION:
            return (*endings, *_job(seen, record))
        pending = [c for c in checks if c.result is Result.PENDING]
        free = max(AT_ONCE - len(seen.probes), 0)
        return (*endings, *_beginnings(spec, seen, record, pending[:free]))
    if any(seen.seconds - p.created < _GIVEN_UP for p in seen.probes):
        return endings
    verdict, summary = verdict_of(checks)
    over = record.finished(verdict, summary, seen.seconds)
    target = f"result of the verification of {cloud.metadata.name}"
    return (*endings, write_record(seen.front.zone_id, seen.mark, over, target))


def _job(seen: Seen, record: Record) -> tuple[Step, ...]:
    """Recorded first, then made: one that is not there long after that was there."""
    if seen.validation is None or seen.job is None or seen.job.state != "Absent" or _lost(seen, record):
        return ()
    start = start_validation(seen.validation)
    if record.started:
        return (start,)
    begun = replace(record, started=seen.seconds)
    target = f"Job of the verification of {seen.validation.installation.cloud}"
    return (write_record(seen.front.zone_id, seen.mark, begun, target), start)


def _lost(seen: Seen, record: Record) -> bool:
    return record.started > 0 and seen.seconds - record.started >= CERTAIN


def _endings(seen: Seen, probes: Iterable[Probe]) -> tuple[Step, ...]:
    found = (end_probe(p, seen.seconds, _STUCK) for p in probes)
    return tuple(step for step in found if step is not None)


def _beginnings(spec: Verification, seen: Seen, record: Record, checks: Iterable[Check]) -> tuple[Step, ...]:
    image = image_of(spec, seen.view)
    wanted = {w.name: w for w in wanted_checks(seen.view)}
    return tuple(
        StartProbe(
            action=Action.CREATE,
            target=f"VM for the check {check.name}",
            beside=FACT,
            run=record.began,
            created=seen.seconds,
            check=check.name,
            host=one.host.id if one.host else None,
            network=one.network.id if one.network else None,
            image=None if image is None or isinstance(image, str) else image.id,
        )
        for check, one in ((c, wanted[c.name]) for c in checks)
    )


def _by_check(probes: Iterable[Probe], record: Record) -> dict[str, Probe]:
    """The machine of each check of this run: the first, should a late write have made a second."""
    found: dict[str, Probe] = {}
    for probe in probes:
        if probe.run == record.began:
            found.setdefault(probe.check, probe)
    return found


def asked_for(cloud: SovereignCloud, spec: Verification, record: Record, now: datetime) -> str | None:
    """The word that asks for a run that was not made yet; empty: the schedule asks; None: nobody does."""
    if spec.request is not None and spec.request not in record.asked:
        return spec.request
    try:
        at = _next_run(cloud, spec, record, now)
    except ScheduleError:
        return None
    return "" if at is not None and at <= now else None


def _next_run(cloud: SovereignCloud, spec: Verification, record: Record, now: datetime) -> datetime | None:
    if spec.schedule is None:
        return None
    before = cloud.status.verification
    return next_run(spec.schedule, before.next_run if before else None, record.began, now)


def suite_of(spec: Verification) -> Suite:
    return spec.suite or Suite.API


def plan_last_probes(probes: Iterable[Probe], now: datetime) -> Plan | None:
    """A cloud that goes ends what its verification left; None: there is nothing."""
    found = tuple(probes)
    if not found:
        return None
    ends = (end_probe(p, int(now.timestamp()), _STUCK, beside="") for p in found)
    message = f"waiting until {len(found)} machines of a verification ended"
    return Plan(steps=tuple(e for e in ends if e is not None), outcome=waiting(Reason.TERMINATING, message, after=2.0))


# --- judging -----------------------------------------------------------------------------------------------------------


def checks_of_run(cloud: SovereignCloud, spec: Verification, seen: Seen, record: Record) -> tuple[Check, ...]:
    """Every check of the run that is under way, with what is known now."""
    if record.suite != suite_of(spec):
        return ()
    before = _told_of(cloud.status.verification, record)
    if record.suite == Suite.ONE_DEPLOY_VALIDATION:
        job = seen.job
        if job is not None and job.state == "Absent" and _lost(seen, record):
            job = ValidationState("Ended", "its Job is gone")
        return tuple(before[c.name] if _decided(before, c.name) else c for c in checks_of_job(spec, job))
    hosted = cloud.spec.hosted
    install = hosted.open_nebula.install if hosted else None
    look = Look(
        front=seen.front,
        view=seen.view,
        now=seen.seconds,
        age=seen.seconds - record.began,
        version=install.version if install else "",
        probes=_by_check(seen.probes, record),
        fault=refusal_of(cloud.external.get(FACT, ""), record.began),
    )
    return judge(spec, wanted_checks(seen.view), before, look, image_of(spec, seen.view))


def _told_of(status: VerificationStatus | None, record: Record) -> Mapping[str, Check]:
    """What status says of the checks of this run."""
    if status is None or status.started_at != stamp_of(record.began):
        return {}
    return {c.name: Check(c.name, Result(c.result), c.message) for c in status.checks or ()}


def verdict_of(checks: Iterable[Check]) -> tuple[str, str]:
    """Of all checks, once they are final: the verdict, and what to say of it."""
    found = tuple(checks)
    failed = [c for c in found if c.result is Result.FAILED]
    passed = [c for c in found if c.result is Result.PASSED]
    skipped = [c for c in found if c.result is Result.SKIPPED]
    beside = f"; skipped: {_named(skipped)}" if skipped else ""
    if failed:
        return FAILED, f"{len(failed)} of {len(found)} checks failed: {_named(failed)}{beside}"
    if not passed:
        return NOTHING, f"no check was run{beside}"
    return PASSED, f"{len(passed)} checks passed{beside}"


def _named(checks: list[Check]) -> str:
    more = f" and {len(checks) - _SHOWN} more" if len(checks) > _SHOWN else ""
    return ", ".join(f"{c.name} ({c.message})" for c in checks[:_SHOWN]) + more


# --- telling -----------------------------------------------------------------------------------------------------------


def verification_fields(cloud: SovereignCloud, seen: Seen | None) -> tuple[Json | None, list[Json]]:
    """`status.verification` and the condition Verified."""
    spec, before = cloud.spec.verification, cloud.status.verification
    if spec is None:
        return None, []
    if seen is None:
        kept = before.model_dump(by_alias=True, exclude_none=True) if before else None
        return kept, [_previous(cloud) or _unknown(Reason.VERIFICATION_PENDING, "it begins once OpenNebula answers")]
    record = seen.record
    checks: Iterable[Check] = _told_of(before, record).values()
    if record.running and not _held(cloud):
        checks = checks_of_run(cloud, spec, seen, record)
    same = before is not None and before.started_at == stamp_of(record.began)
    report = report_of(spec, seen.job, before.report if same and before else None)
    try:
        at = _next_run(cloud, spec, record, seen.now)
    except ScheduleError:
        at = None
    fields: Json = {
        "request": record.request or None,
        "suite": record.suite or None,
        "startedAt": stamp_of(record.began) if record.began else None,
        "finishedAt": stamp_of(record.ended) if record.ended else None,
        "nextRun": timestamp(at) if at else None,
        "checks": [_entry(c) for c in checks] or None,
        "report": report.model_dump(by_alias=True, exclude_none=True) if report else None,
    }
    return fields, [_condition(cloud, spec, seen, record, tuple(checks))]


def _entry(check: Check) -> Json:
    return {"name": check.name, "result": str(check.result), "message": check.message}


def _condition(
    cloud: SovereignCloud, spec: Verification, seen: Seen, record: Record, checks: tuple[Check, ...]
) -> Json:
    error = _error_of(cloud)
    asked = asked_for(cloud, spec, record, seen.now)
    if (held := _held(cloud)) and (record.running or asked is not None):
        state = "under way" if record.running else "asked for"
        return _unknown(Reason.NOT_ACTING, f"a verification is {state} and nothing is done about it: {held}")
    if record.running:
        return _while_it_runs(cloud, record, checks, error)
    if asked is not None and error:
        return _unknown(Reason.VERIFICATION_NOT_POSSIBLE, error)
    if asked:
        return _unknown(Reason.VERIFICATION_PENDING, f'request "{asked}" begins once the cloud is as declared')
    if spec.schedule is not None:
        try:
            at = _next_run(cloud, spec, record, seen.now)
        except ScheduleError as wrong:
            return _unknown(Reason.INVALID_SPEC, f"{wrong}; correct spec.verification.schedule")
        if not record.began:
            return _unknown(Reason.VERIFICATION_PENDING, f"never verified; the schedule asks for it at {_at(at)}")
    return _verdict(record)


def _while_it_runs(cloud: SovereignCloud, record: Record, checks: tuple[Check, ...], error: str) -> Json:
    """A word in spec asks for a verdict of now. By its schedule a cloud is verified as before until it turns out not to be."""
    before = _previous(cloud)
    if not record.request and before is not None and before["status"] != "Unknown":
        return before
    told = f"{sum(c.final for c in checks)} of {len(checks)} checks are decided"
    return _unknown(Reason.VERIFYING, f"{told}; {error}" if error else told)


def _verdict(record: Record) -> Json:
    told = f"{record.summary or record.verdict} (suite {record.suite}, {stamp_of(record.ended)})"
    match record.verdict:
        case verdict if verdict == PASSED:
            return _condition_of("True", Reason.VERIFICATION_PASSED, told)
        case verdict if verdict == FAILED:
            return _condition_of("False", Reason.VERIFICATION_FAILED, told)
        case _:
            return _unknown(Reason.NOT_VERIFIED, told)


def _held(cloud: SovereignCloud) -> str:
    """Why nothing is done outside; empty: nothing keeps from it."""
    if cloud.paused:
        return f"the cloud is paused; remove the annotation {PAUSED}"
    if cloud.spec.management is Management.OBSERVE:
        return "management is Observe; set it to Manage"
    return ""


def _error_of(cloud: SovereignCloud) -> str:
    """What went wrong with the last step, but for what one check has to say for itself."""
    fact = cloud.external.get(FACT, "")
    return "" if "\n" in fact else fact


def _previous(cloud: SovereignCloud) -> Json | None:
    found = cloud.status.condition(VERIFIED)
    return _condition_of(str(found.status), found.reason, found.message) if found else None


def _unknown(reason: Reason, message: str) -> Json:
    return _condition_of("Unknown", reason, message)


def _condition_of(status: str, reason: str, message: str) -> Json:
    return {"type": VERIFIED, "status": status, "reason": str(reason), "message": message}


def _at(at: datetime | None) -> str:
    return timestamp(at) if at else "no time"
