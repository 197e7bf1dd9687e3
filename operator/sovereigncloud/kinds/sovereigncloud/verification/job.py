"""Suite OneDeployValidation: a run is a Job, and what its pod said at its end is what came of each test case. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.verification import MAX_MESSAGE, ReportStatus, Result, SuiteCheck, Verification
from sovereigncloud.kinds.sovereigncloud.installation.request import installation_of
from sovereigncloud.kinds.sovereigncloud.verification.checks import Check
from sovereigncloud.kinds.sovereigncloud.verification.records import Record
from sovereigncloud.ports.installer.validation import Validation, ValidationState

CERTAIN = 600
"""Seconds after which a Job that is not there was there, and somebody deleted it."""
_RESULTS = {"Passed": Result.PASSED, "Failed": Result.FAILED, "Skipped": Result.SKIPPED}


def validation_of(
    cloud: SovereignCloud, children: Mapping[str, BareMetalServer], spec: Verification, record: Record
) -> Validation | None:
    """What is asked of the suite; None for a cloud that it cannot reach."""
    installation = installation_of(cloud, children)
    if installation is None or spec.report_claim_ref is None:
        return None
    off = _justifications(spec)
    return Validation(
        installation=installation,
        run=record.began,
        switches={str(check): str(check) not in off for check in SuiteCheck},
        network=_network(cloud),
        claim=spec.report_claim_ref.name,
    )


def _network(cloud: SovereignCloud) -> str:
    """Test machines speak to the outside: a public network before another."""
    networks = (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()
    return next((n.name for n in sorted(networks, key=lambda n: n.public_block is None)), "")


def _justifications(spec: Verification) -> Mapping[str, str]:
    return {d.check: d.justification for d in spec.disabled or ()}


def checks_of_job(spec: Verification, state: ValidationState | None) -> tuple[Check, ...]:
    """Every test case, with what is known of it."""
    off = _justifications(spec)
    return tuple(_check(str(name), off, state) for name in SuiteCheck)


def _check(name: str, off: Mapping[str, str], state: ValidationState | None) -> Check:
    if name in off:
        return Check(name, Result.SKIPPED, f"disabled in spec: {off[name]}"[:MAX_MESSAGE])
    if state is None or state.state == "Absent":
        return Check(name, Result.PENDING)
    if state.state == "Running":
        return Check(name, Result.RUNNING, state.message)
    result, message = state.results.get(name, ("Failed", f"no result: {state.message or 'the suite tells none'}"))
    return Check(name, _RESULTS.get(result, Result.FAILED), message[:MAX_MESSAGE])


def report_of(spec: Verification, state: ValidationState | None, before: ReportStatus | None) -> ReportStatus | None:
    """Where the report is; what was told stays, should the Job be gone."""
    if state is None or not state.digest or spec.report_claim_ref is None:
        return before
    return ReportStatus(digest=state.digest, claim=spec.report_claim_ref.name, path=state.path)


def all_decided(checks: Iterable[Check]) -> bool:
    return all(c.final for c in checks)
