"""Records of verification runs in OpenNebula: in the zone's template and on the test VMs.

The zone's template holds one attribute per SovereignCloud that verifies there, written before a run starts and again at its
end. So a request never starts a second run, even if status or the Kubernetes cluster is lost. A test VM records its run,
its creation time and its check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.ports.opennebula.views import CloudView, Vm

NOTE = "SOVEREIGNCLOUD_VERIFICATION"
PASSED, FAILED, NOTHING = "Passed", "Failed", "Nothing"
_REMEMBERED = 32
_SUMMARY = 900


def attribute_of(mark: Mark) -> str:
    """Return the zone attribute for the cloud with that mark.

    Several installations may verify one zone.
    """
    digest = hashlib.sha256(f"{mark.installation} {mark.object}".encode()).hexdigest()
    return f"{NOTE}_{digest[:8].upper()}"


@dataclass(frozen=True, slots=True)
class Record:
    """The record of the last run.

    Attributes:
        request: `spec.verification.request` that started it; empty: the schedule did.
        suite: the suite that is run.
        began, ended: seconds since the epoch; 0: not yet.
        started: seconds since the epoch from which its Job may exist; 0: no Job.
        verdict: Passed, Failed or Nothing (no check was run); empty before the end.
        summary: what failed, for people.
        asked: requests that were carried out, this one included, oldest first.
    """

    request: str = ""
    suite: str = ""
    began: int = 0
    ended: int = 0
    started: int = 0
    verdict: str = ""
    summary: str = ""
    asked: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.began > 0 and self.ended == 0

    def begun(self, request: str, suite: str, now: int) -> Self:
        """Return the record of a new run; its start is always later than that of the last one."""
        words = (*(w for w in self.asked if w != request), *((request,) if request else ()))
        return type(self)(request=request, suite=suite, began=max(now, self.began + 1), asked=words[-_REMEMBERED:])

    def finished(self, verdict: str, summary: str, now: int) -> Self:
        told = " ".join(summary.split())[:_SUMMARY]
        return replace(self, ended=max(now, self.began), verdict=verdict, summary=told)

    @property
    def text(self) -> str:
        """The attribute value. The summary is last, since it may contain any character."""
        return (
            f"request={self.request};suite={self.suite};began={self.began};started={self.started};ended={self.ended};"
            f"verdict={self.verdict};"
            f"asked={','.join(self.asked)};summary={self.summary}"
        )


def read_record(notes: Mapping[str, str], mark: Mark) -> Record:
    """Read the record from a zone's template; an empty one if it is missing or invalid."""
    head, _, summary = notes.get(attribute_of(mark), "").partition(";summary=")
    fields = dict(part.partition("=")[::2] for part in head.split(";"))
    began, ended, started = (fields.get(name, "") for name in ("began", "ended", "started"))
    if not (began.isdigit() and ended.isdigit() and started.isdigit()):
        return Record()
    return Record(
        request=fields.get("request", ""),
        suite=fields.get("suite", ""),
        began=int(began),
        ended=int(ended),
        started=int(started),
        verdict=fields.get("verdict", ""),
        summary=summary,
        asked=tuple(filter(None, fields.get("asked", "").split(","))),
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """A test VM of a verification.

    Attributes:
        run: `Record.began` of its run.
        created: seconds since the epoch.
        check: name of its check.
    """

    vm: Vm
    run: int
    created: int
    check: str


def probe_note(run: int, created: int, check: str) -> str:
    return f"{run} {created} {check}"


def probes_of(view: CloudView, mark: Mark, owner: int) -> tuple[Probe, ...]:
    """Return the test VMs of this cloud, also from before a cluster rebuild, oldest first.

    Only VMs of the operator's own user count: any owner can edit the attributes of its VM.
    """
    found = (_probe(vm) for vm in view.vms.values() if NOTE in vm.notes and vm.owner == owner and _ours(vm, mark))
    return tuple(sorted((p for p in found if p is not None), key=lambda p: p.vm.id))


def _ours(vm: Vm, mark: Mark) -> bool:
    return ownership(vm.mark, mark) in {Ownership.OURS, Ownership.PREDECESSOR}


def _probe(vm: Vm) -> Probe | None:
    run, _, rest = vm.notes[NOTE].partition(" ")
    created, _, check = rest.partition(" ")
    if not run.isdigit() or not created.isdigit():
        return None
    return Probe(vm, int(run), int(created), check)
