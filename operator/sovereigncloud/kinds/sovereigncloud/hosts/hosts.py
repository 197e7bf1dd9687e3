"""The hosts of a hosted cloud in OpenNebula: each server with the role Node, matched by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.ports.opennebula.views import CloudView, Host, Vm

DRIVER = "kvm"
MONITORED = frozenset({1, 2})  # 1 is MONITORED while a probe runs
DISABLED = frozenset({4, 7})  # 7 is DISABLED while a probe runs
BROKEN = frozenset({3, 5})
_WORDS = {0: "init", 1: "monitored", 2: "monitored", 3: "error", 4: "disabled", 5: "error", 6: "init", 7: "disabled"}
OFFLINE = 8
DEFAULT_CLUSTER = 0
LEAVING_NOTE = "SOVEREIGNCLOUD_LEAVING"
"""On a host that is to go: the name of its server in spec, as it was."""
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateHost(Step):
    name: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableHost(Step):
    """`was_leaving`: its server was off the list for a while, which is noted on the host."""

    host_id: int
    was_leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkHost(Step):
    only_marks: ClassVar[bool] = True
    host_id: int
    mark: Mark


def word(state: int) -> str:
    """A host's state in words (facts, section 2)."""
    return "offline" if state == OFFLINE else _WORDS.get(state, f"state {state}")


def host_name(view: CloudView, child: BareMetalServer, *, adopted: bool) -> str:
    """Under which name the host of a server is registered: its address, as one-deploy names hosts. A person may have given
    it the name of the server in an adopted cloud, and then it is no second host.
    """
    address = child.status.address or ""
    names = {h.name for h in view.hosts.values()}
    if address in names or not adopted:
        return address
    others = {child.outside_name, child.status.service_name or ""} & names
    return others.pop() if len(others) == 1 else address


def machines_named(machines: Iterable[Vm]) -> str:
    """For people: the first of them, and how many there are."""
    named = [f"VM {vm.id} ({vm.name})" for vm in sorted(machines, key=lambda vm: vm.id)]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return ", ".join(named[:_SHOWN]) + more


def plan_hosts(
    cloud: SovereignCloud, addresses: Mapping[str, str], view: CloudView, mark: Mark, *, admitted: bool
) -> Plan:
    """Register, enable and mark. `addresses`: of the servers that are to be hosts, by their name in spec."""
    by_name: dict[str, list[Host]] = {}
    for host in view.hosts.values():
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
            part = _one(path, found[0], view, mark, cause, settled=cloud.settled)
            drift += part.drift
            steps += part.steps
            outcome = outcome.merge(part.outcome)
    return Plan(tuple(drift), tuple(steps), outcome, absent)


def _one(path: str, host: Host, view: CloudView, mark: Mark, cause: Cause, *, settled: bool) -> Plan:
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
        steps.append(
            EnableHost(
                action=Action.UPDATE,
                target=target,
                fields=(path,),
                cause=cause,
                host_id=host.id,
                was_leaving=LEAVING_NOTE in host.notes,
            )
        )
    elif host.state not in MONITORED:
        message = f"host {host.id} ({host.name}) is in state {word(host.state)}: {_remedy(host, view)}"
        outcome = waiting(Reason.HOST_NOT_MONITORED, message, available=settled)
    return Plan(drift, tuple(steps), outcome)


def _remedy(host: Host, view: CloudView) -> str:
    """What to do about a host that does not work, and who is on it."""
    if host.state not in BROKEN:
        return "waiting for its monitoring"
    on = [vm for vm in view.vms.values() if vm.host == host.name]
    who = f"; machines on it: {machines_named(on)}" if on else ""
    return (
        f"look at its monitoring in OpenNebula{who}. If its server is lost, take it off spec.hosted.ovh.servers and add"
        " another one"
    )


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
    return stalled(Reason.MULTIPLE_MATCHES, message, after=60.0)


def _foreign(host: Host, found: Mark) -> Outcome:
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f"host {host.id} ({host.name}) carries the mark of installation {found.installation} ({found.object}); nothing"
        " is written there. Remove its SOVEREIGNCLOUD_ attributes if that installation is gone",
        after=300.0,
    )
