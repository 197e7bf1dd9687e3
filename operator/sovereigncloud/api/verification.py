"""Verification of a cloud: what is asked for, and what came of it.

The word for a cloud that passed is `Verified`. Whether it is more than that is not for a program to say.
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
    """Which checks."""

    API = "API"
    ONE_DEPLOY_VALIDATION = "OneDeployValidation"


class ApiCheck(StrEnum):
    """What the operator checks itself, over OpenNebula's API."""

    CORE_VERSION = "CoreVersion"
    HOSTS_MONITORED = "HostsMonitored"
    DATASTORES_HAVE_SPACE = "DatastoresHaveSpace"
    NETWORKS_HAVE_LEASES = "NetworksHaveLeases"
    VM_ON_HOST = "VMOnHost"
    VM_ON_NETWORK = "VMOnNetwork"


class SuiteCheck(StrEnum):
    """The test cases of one-deploy-validation that it recommends, by the names of its switches (`run_...`)."""

    CORE_SERVICES = "CoreServices"
    ONE_FLOW = "OneFlow"
    NETWORKS = "Networks"
    STORAGE_BENCHMARK = "StorageBenchmark"
    NETWORK_BENCHMARK = "NetworkBenchmark"
    TEST_VM = "TestVM"


PER_OBJECT = frozenset({ApiCheck.VM_ON_HOST, ApiCheck.VM_ON_NETWORK})
"""Checks of which there is one for each host or network: NAME/OBJECT."""


class Result(StrEnum):
    """What came of a check."""

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
    """A PersistentVolumeClaim in the namespace of the object that names it."""

    name: Name = Field(description="Name of the PersistentVolumeClaim, in the namespace of this object.")


class DisabledCheck(Model):
    """A check that is not run, and why that is right."""

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
        description="Name of the check as status.verification.checks shows it. VMOnHost or VMOnNetwork alone: of every host"
        " or network."
    )
    justification: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"[^ ]",
            json_schema_extra={WORDS: "must say why the check is not run: a sentence that an auditor can follow"},
        ),
    ] = Field(description="Why it is right not to run it: shown beside the check, for whoever audits the cloud.")


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
    """Tests of the cloud as a whole, on demand and on schedule."""

    request: Token | None = Field(
        default=None,
        description="A word of your own. A new word asks for one verification; the same word never asks for a second, which"
        " is remembered in OpenNebula itself. Absent: only on schedule.",
    )
    schedule: Schedule | None = Field(
        default=None,
        description='When it is verified by itself: five fields of cron (minute hour day month weekday) in UTC, for example "0'
        ' 3 * * 0". A time that was missed is caught up once. Absent: only on request.',
    )
    suite: Literal[Suite.API, Suite.ONE_DEPLOY_VALIDATION] | None = Field(
        default=None,
        description="Which checks. API (default): what OpenNebula's API can tell, and a small machine started and ended on"
        " each host and on each network. OneDeployValidation: the playbooks of OpenNebula's own one-deploy-validation, in a"
        " Job that reaches the servers by SSH; it restarts services and measures disks and networks.",
    )
    image: OutsideName | None = Field(
        default=None,
        description="Name of the image, in OpenNebula, that the small machines of suite API start from. Absent: the smallest"
        " one that is ready and not persistent; where there is none, an empty disk.",
    )
    disabled: Annotated[list[DisabledCheck], Field(max_length=32)] | None = Field(
        default=None,
        description="Checks that are not run, each with a justification. Absent: all are run.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["check"]},
    )
    report_claim_ref: ClaimRef | None = Field(
        default=None,
        description="The PersistentVolumeClaim that keeps the reports of OneDeployValidation, one directory for each run."
        " Needed with that suite; absent otherwise.",
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
    """One check."""

    name: Annotated[str, Field(max_length=MAX_NAME)] = Field(
        description="Which check, for example HostsMonitored or VMOnHost/192.0.2.10."
    )
    result: Literal[Result.PENDING, Result.RUNNING, Result.PASSED, Result.FAILED, Result.SKIPPED] = Field(
        description="What came of it. Pending: it was not begun yet. Running: it is under way. Passed: it is as it should be. Failed: it is not, and the"
        " message says what. Skipped: it was not run, and the message says why."
    )
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = Field(
        default="", description="What was found, or the justification of a check that is disabled."
    )


class ReportStatus(Model):
    """Where the report of a Job is, and how to know it again."""

    digest: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The sha256 of cloud_verification_report.html, for example sha256:9f86d0..."
    )
    claim: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Name of the PersistentVolumeClaim that holds it."
    )
    path: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Directory in the volume with the files of this run."
    )


class VerificationStatus(Model):
    """What is known of the last verification, or of the one that is under way."""

    request: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The word that asked for it; absent where the schedule did."
    )
    suite: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="Which suite was run.")
    started_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When it was begun (RFC 3339, UTC)."
    )
    finished_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When it ended (RFC 3339, UTC); absent while it is under way."
    )
    next_run: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When the schedule asks for the next one (RFC 3339, UTC)."
    )
    checks: Annotated[list[CheckStatus], Field(max_length=MAX_CHECKS)] | None = Field(
        default=None,
        description="Each check and its result; at most 256 of them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    report: ReportStatus | None = Field(
        default=None,
        description="The report of suite OneDeployValidation; absent for suite API, which has only checks.",
    )
