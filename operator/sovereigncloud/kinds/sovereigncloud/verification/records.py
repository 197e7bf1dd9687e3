"""What is remembered of verifications outside: in the template of OpenNebula's zone, and on the machines they start.

The zone's template holds one attribute for each SovereignCloud that verifies there. It is written before anything of a run
is done and once more at its end; so a word that asked for a run never asks for another, whatever becomes of status or
of the cluster that status was in. A machine says which run started it, when, and for which check.
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
    """The attribute of the zone's template for the cloud with that mark: several installations may verify one zone."""
    digest = hashlib.sha256(f"{mark.installation} {mark.object}".encode()).hexdigest()
    return f"{NOTE}_{digest[:8].upper()}"


@dataclass(frozen=True, slots=True)
class Record:
    """The last run.

    Attributes:
        request: the word that asked for it; empty: the schedule did.
        suite: which one is run.
        began, ended: seconds since the epoch; 0: not yet.
        started: seconds since the epoch: from then on its Job may be there; 0: it is not, or there is none to be.
        verdict: Passed, Failed or Nothing (no check was run); empty before the end.
        summary: what failed, for people.
        asked: words that asked for a run, this one's included, oldest first.
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
        """The record of a new run, which is never as old as the one before."""
        words = (*(w for w in self.asked if w != request), *((request,) if request else ()))
        return type(self)(request=request, suite=suite, began=max(now, self.began + 1), asked=words[-_REMEMBERED:])

    def finished(self, verdict: str, summary: str, now: int) -> Self:
        told = " ".join(summary.split())[:_SUMMARY]
        return replace(self, ended=max(now, self.began), verdict=verdict, summary=told)

    @property
    def text(self) -> str:
        """As it stands in the template. The summary is last, since it may hold anything."""
        return (
            f"request={self.request};suite={self.suite};began={self.began};started={self.started};ended={self.ended};"
            f"verdict={self.verdict};"
            f"asked={','.join(self.asked)};summary={self.summary}"
        )


def read_record(notes: Mapping[str, str], mark: Mark) -> Record:
    """The record in a zone's template; an empty one where there is none, or none that can be read."""
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
    """A machine that a verification started.

    Attributes:
        run: `Record.began` of its run.
        created: seconds since the epoch.
        check: name of the check that it is for.
    """

    vm: Vm
    run: int
    created: int
    check: str


def probe_note(run: int, created: int, check: str) -> str:
    return f"{run} {created} {check}"


def probes_of(view: CloudView, mark: Mark, owner: int) -> tuple[Probe, ...]:
    """The machines of this cloud's verifications, also of a cluster before this one, oldest first. Only those of the
    operator's own user: whoever owns a machine can write anything on it.
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
