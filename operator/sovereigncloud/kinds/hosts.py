"""The hosts of a hosted cloud in OpenNebula: each server with the role Node, matched by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.ports import Host

DRIVER = "kvm"
MONITORED = frozenset({1, 2})  # 1 is MONITORED while a probe runs
DISABLED = frozenset({4, 7})  # 7 is DISABLED while a probe runs
_ERROR = frozenset({3, 5})
_WORDS = {0: "init", 1: "monitored", 2: "monitored", 3: "error", 4: "disabled", 5: "error", 6: "init", 7: "disabled"}
_OFFLINE = 8
DEFAULT_CLUSTER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateHost(Step):
    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableHost(Step):
    host_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkHost(Step):
    only_marks: ClassVar[bool] = True
    host_id: int
    mark: Mark


def word(state: int) -> str:
    """A host's state in words (facts, section 2)."""
    return "offline" if state == _OFFLINE else _WORDS.get(state, f"state {state}")


def plan_hosts(
    cloud: SovereignCloud, addresses: Mapping[str, str], hosts: Iterable[Host], mark: Mark, *, admitted: bool
) -> Plan:
    """Register, enable and mark. `addresses`: of the servers that are to be hosts, by their name in spec."""
    by_name: dict[str, list[Host]] = {}
    for host in hosts:
        by_name.setdefault(host.name, []).append(host)
    drift: list[Drift] = []
    steps: list[Step] = []
    outcome, absent = Outcome(), False
    cause = Cause.OBSERVED if cloud.settled else Cause.DECLARED
    for name, address in addresses.items():
        path = f"spec.hosted.ovh.servers[{name}]"
        found = by_name.get(address, [])
        if len(found) > 1:
            outcome = outcome.merge(_several(address, found))
        elif not found:
            drift.append(Drift(path, "registered", "not registered"))
            if cloud.settled and not admitted:
                absent = True
                message = f"host {address} is missing in OpenNebula's list"
                outcome = outcome.merge(waiting(Reason.CONFIRMING_ABSENCE, message, available=True))
            else:
                steps.append(_create(path, address, mark, cause))
        else:
            part = _one(path, found[0], mark, cause, settled=cloud.settled)
            drift += part.drift
            steps += part.steps
            outcome = outcome.merge(part.outcome)
    return Plan(tuple(drift), tuple(steps), outcome, absent)


def _one(path: str, host: Host, mark: Mark, cause: Cause, *, settled: bool) -> Plan:
    """A host that is registered."""
    drift: tuple[Drift, ...] = ()
    steps: list[Step] = []
    outcome = Outcome()
    match ownership(host.mark, mark):
        case Ownership.FOREIGN if host.mark is not None:
            return Plan(outcome=_foreign(host, host.mark))
        case Ownership.NONE | Ownership.PREDECESSOR:
            # Action Mark says that it is taken over from a predecessor: what differs then is drift, not work.
            action = Action.UPDATE if host.mark is None else Action.MARK
            target = f"mark of host {host.id} ({host.name})"
            steps.append(MarkHost(action=action, target=target, cause=cause, host_id=host.id, mark=mark))
        case _:
            pass
    if host.state in DISABLED:
        drift = (Drift(path, "enabled", "disabled"),)
        target = f"host {host.id} ({host.name}), enabled"
        steps.append(EnableHost(action=Action.UPDATE, target=target, fields=(path,), cause=cause, host_id=host.id))
    elif host.state not in MONITORED:
        remedy = "look at its monitoring in OpenNebula" if host.state in _ERROR else "waiting for its monitoring"
        message = f"host {host.id} ({host.name}) is in state {word(host.state)}: {remedy}"
        outcome = waiting(Reason.HOST_NOT_MONITORED, message, available=settled)
    return Plan(drift, tuple(steps), outcome)


def _create(path: str, address: str, mark: Mark, cause: Cause) -> CreateHost:
    return CreateHost(
        action=Action.CREATE,
        target=f"host {address}",
        fields=(path,),
        cause=cause,
        part=True,
        name=address,
        mark=mark,
    )


def _several(address: str, found: list[Host]) -> Outcome:
    ids = ", ".join(str(h.id) for h in sorted(found, key=lambda h: h.id))
    message = f"OpenNebula has several hosts named {address}: ids {ids}; delete all but one"
    return stalled(Reason.SEVERAL_FOUND, message, after=60.0)


def _foreign(host: Host, found: Mark) -> Outcome:
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f"host {host.id} ({host.name}) carries the mark of installation {found.installation} ({found.object}); nothing"
        " is written there. Remove its SOVEREIGNCLOUD_ attributes if that installation is gone",
        after=300.0,
    )
