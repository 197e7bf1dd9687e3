"""Verification of a cloud: test suites, schedule and results.

A cloud that passes is `Verified`. That is no certification.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, Name, OutsideName, Rule, Token

MAX_CHECKS = 256
MAX_NAME = 160
MAX_MESSAGE = 1024


class Suite(StrEnum):
    """Test suites."""

    API = "API"
    ONE_DEPLOY_VALIDATION = "OneDeployValidation"


class ApiCheck(StrEnum):
    """Checks of the operator itself, through OpenNebula's API."""

    CORE_VERSION = "CoreVersion"
    HOSTS_MONITORED = "HostsMonitored"
    DATASTORES_HAVE_SPACE = "DatastoresHaveSpace"
    NETWORKS_HAVE_LEASES = "NetworksHaveLeases"
    VM_ON_HOST = "VMOnHost"
    VM_ON_NETWORK = "VMOnNetwork"


class SuiteCheck(StrEnum):
    """Test cases of one-deploy-validation that it recommends, by the names of their switches (`run_...`)."""

    CORE_SERVICES = "CoreServices"
    ONE_FLOW = "OneFlow"
    NETWORKS = "Networks"
    STORAGE_BENCHMARK = "StorageBenchmark"
    NETWORK_BENCHMARK = "NetworkBenchmark"
    TEST_VM = "TestVM"


PER_OBJECT = frozenset({ApiCheck.VM_ON_HOST, ApiCheck.VM_ON_NETWORK})
"""Checks of which there is one for each host or network: NAME/OBJECT."""


class Result(StrEnum):
    """Result of a check."""

    PENDING = "Pending"
    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"
    SKIPPED = "Skipped"


def _field(value: str) -> str:
    """One field of a cron expression: numbers, ranges, steps, lists."""
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return rf"{item}(,{item})*"


_FIELDS = (
    "[0-5]?[0-9]",
    "1?[0-9]|2[0-3]",
    "0?[1-9]|[12][0-9]|3[01]",
    "0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC",
    "[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT",
)

Schedule = Annotated[
    str,
    Field(
        max_length=128,
        pattern=f"^{' +'.join(_field(value) for value in _FIELDS)}$",
        json_schema_extra={
            WORDS: 'must be five fields of cron, minute hour day month weekday, in UTC: for example "0 3 * * 0" for Sundays'
            " at 3"
        },
    ),
]
"""A cron expression of five fields, UTC."""


class ClaimRef(Model):
    """A PersistentVolumeClaim in the namespace of this object."""

    name: Name = Field(description="Name of the PersistentVolumeClaim, in the namespace of this object.")


class DisabledCheck(Model):
    """A check to skip, with its justification."""

    check: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_NAME,
            pattern=r"^[A-Za-z]+(/.+)?$",
            json_schema_extra={
                WORDS: "must be the name of a check as status.verification.checks shows it, for example VMOnNetwork or"
                " VMOnHost/192.0.2.10"
            },
        ),
    ] = Field(
        description="Name of the check as shown in status.verification.checks. VMOnHost or VMOnNetwork without an object"
        " name: all hosts or networks."
    )
    justification: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"[^ ]",
            json_schema_extra={WORDS: "must say why the check is not run: a sentence that an auditor can follow"},
        ),
    ] = Field(description="Reason for skipping the check, shown with its result for auditors.")


_DISABLED_EXIST = Rule(
    "!has(self.disabled) || self.disabled.all(entry, entry.check.split('/')[0] in"
    " (has(self.suite) && self.suite == 'OneDeployValidation'"
    f" ? [{', '.join(repr(str(c)) for c in SuiteCheck)}] : [{', '.join(repr(str(c)) for c in ApiCheck)}]))",
    f"no such check in this suite: API has {', '.join(ApiCheck)}; OneDeployValidation has {', '.join(SuiteCheck)}",
    field=".disabled",
)
_ONLY_SOME_BY_OBJECT = Rule(
    "!has(self.disabled) || self.disabled.all(entry, !entry.check.contains('/') || entry.check.split('/')[0] in"
    " ['VMOnHost', 'VMOnNetwork'])",
    "only VMOnHost and VMOnNetwork have one check for each object: write others without /",
    field=".disabled",
)


class Verification(Model):
    """Tests of the whole cloud, on request and on a schedule."""

    request: Token | None = Field(
        default=None,
        description="Request token. A new value triggers one verification; a value that was used before triggers none."
        " OpenNebula stores the last value. Absent: only on schedule.",
    )
    schedule: Schedule | None = Field(
        default=None,
        description='Cron schedule of verifications: five fields (minute hour day month weekday) in UTC, for example "0 3 *'
        ' * 0". A missed run is made up once. Absent: only on request.',
    )
    suite: Literal[Suite.API, Suite.ONE_DEPLOY_VALIDATION] | None = Field(
        default=None,
        description="Test suite. API (default): checks through the OpenNebula API, and a small test VM on each host and"
        " each network. OneDeployValidation: the playbooks of OpenNebula's one-deploy-validation, in a Job that"
        " reaches the servers by SSH; it restarts services and measures disks and networks.",
    )
    image: OutsideName | None = Field(
        default=None,
        description="OpenNebula name of the image for the test VMs of suite API. Absent: the smallest image that is ready"
        " and not persistent, or an empty disk if there is none.",
    )
    disabled: Annotated[list[DisabledCheck], Field(max_length=32)] | None = Field(
        default=None,
        description="Checks to skip, each with a justification. Absent: all checks run.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["check"]},
    )
    report_claim_ref: ClaimRef | None = Field(
        default=None,
        description="PersistentVolumeClaim for the reports of OneDeployValidation, one directory per run. Required with"
        " that suite; absent otherwise.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.request) || has(self.schedule)",
            "nothing says when: set request to a word of your own for one run, schedule for one from time to time, or both",
        ),
        Rule(
            "!has(self.suite) || self.suite != 'OneDeployValidation' || has(self.reportClaimRef)",
            "suite OneDeployValidation needs reportClaimRef: name a PersistentVolumeClaim that keeps its reports",
            field=".suite",
        ),
        _DISABLED_EXIST,
        _ONLY_SOME_BY_OBJECT,
    )


NEEDS_INSTALLER = Rule(
    "!has(self.verification) || !has(self.verification.suite) || self.verification.suite != 'OneDeployValidation'"
    " || (has(self.hosted) && has(self.hosted.openNebula.install))",
    "suite OneDeployValidation reaches the servers by the installer's SSH key: it needs hosted.openNebula.install; use suite"
    " API for a cloud that the operator did not install",
    field=".verification",
)
"""For the spec of a SovereignCloud."""


class CheckStatus(Model):
    """Result of one check."""

    name: Annotated[str, Field(max_length=MAX_NAME)] = Field(
        description="Name of the check, for example HostsMonitored or VMOnHost/192.0.2.10."
    )
    result: Literal[Result.PENDING, Result.RUNNING, Result.PASSED, Result.FAILED, Result.SKIPPED] = Field(
        description="Result of the check. Pending: not started. Running: in progress. Passed: successful. Failed: not"
        " successful; the message gives the reason. Skipped: not run; the message gives the reason."
    )
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = Field(
        default="", description="Finding of the check, or the justification for skipping it."
    )


class ReportStatus(Model):
    """Location and digest of a Job's report."""

    digest: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="SHA-256 digest of cloud_verification_report.html, for example sha256:9f86d0..."
    )
    claim: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Name of the PersistentVolumeClaim with the report."
    )
    path: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Directory of this run in the volume."
    )


class VerificationStatus(Model):
    """State of the current or last verification."""

    request: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Request token of the run; absent if the schedule started it."
    )
    suite: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Test suite of the run.")
    started_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Start time (RFC 3339, UTC)."
    )
    finished_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="End time (RFC 3339, UTC); absent while it runs."
    )
    next_run: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time of the next scheduled run (RFC 3339, UTC)."
    )
    checks: Annotated[list[CheckStatus], Field(max_length=MAX_CHECKS)] | None = Field(
        default=None,
        description="Results per check; at most 256.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    report: ReportStatus | None = Field(
        default=None,
        description="Report of suite OneDeployValidation; absent for suite API, which only has checks.",
    )
