"""The door to OpenNebula's own suite, one-deploy-validation, which runs where SSH reaches the servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the ports name this port
    from sovereigncloud.ports.installer.installation import Installation


@dataclass(frozen=True, slots=True)
class Validation:
    """One run of the suite.

    Attributes:
        installation: whose servers are tested, and how they are reached.
        run: names it: a run is made once.
        switches: test cases by name, and whether they are run.
        network: of OpenNebula, that test machines are attached to; empty: the suite's default.
        claim: the PersistentVolumeClaim that keeps the report.
    """

    installation: Installation
    run: int
    switches: Mapping[str, bool]
    network: str
    claim: str


@dataclass(frozen=True, slots=True)
class ValidationState:
    """What became of a run.

    Attributes:
        state: Absent, Running, Ended.
        message: why it ended without a result, or where it runs.
        results: by name of the test case: Passed, Failed or Skipped, and what was found.
        digest: of the report; empty: there is none.
        path: of the report in the volume.
    """

    state: str
    message: str = ""
    results: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    digest: str = ""
    path: str = ""
