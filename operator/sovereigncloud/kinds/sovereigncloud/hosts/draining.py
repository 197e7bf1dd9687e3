"""Hosts that are to go, since spec no longer lists their server: disabled, emptied, deleted, and only then the server goes.

A machine that runs is moved live, with a copy of its disks where every host has its own (ssh datastores); one that does not
run is moved as it lies. What cannot be moved is named. Where it stands is read from OpenNebula at each look - which host is
disabled, who is on it - so it goes on after whatever interrupted it; a server that is listed again meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import Consent
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import Role
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, blocked, held, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.hosts.drain_capacity import Room
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import (
    BROKEN,
    LEAVING_NOTE,
    MONITORED,
    OFFLINE,
    host_name,
    machines_named,
    word,
)
from sovereigncloud.ports.opennebula.views import CloudView, Host, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

PATH = "spec.hosted.ovh.servers"
MOVE_ASKED = "moveAsked"
MOVE_FOREIGN = "spec.hosted.updatePolicy.moveForeign"

_SHOWS_WITHIN = 30.0
"""Seconds after which a move that was asked for must show: OpenNebula says nothing of one that failed (observed)."""
_ASK_AGAIN = 300.0
_LOOK_AGAIN = 30.0
_BEGINS = frozenset({0, 1, 2, 6})  # init and monitored: such a host may still be given machines


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableHost(Step):
    """Nothing new is placed there. Noted on the host first: a rebuilt cluster knows by it that the host was going."""

    host_id: int
    note: str
    disable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveMachine(Step):
    """To another host. Not live, a running machine is saved and resumed there."""

    vm_id: int
    host_id: int
    live: bool
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUpMachine(Step):
    """A machine on a lost host ends in OpenNebula's books, and its disks with it."""

    vm_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteHost(Step):
    host_id: int


@dataclass(frozen=True, slots=True)
class Leaver:
    """A host that is to go.

    Attributes:
        server: its name in spec, as it was.
        front: whether it runs OpenNebula.
    """

    host: Host
    server: str
    front: bool = False


@dataclass(frozen=True, slots=True)
class Going:
    """What is known of those who go.

    Attributes:
        leavers: the hosts.
        strangers: hosts of this cloud that no server of spec stands behind, and nobody said that they go.
        held: keys, as text, of servers that must not go yet.
        interruptible: ids of machines whose objects let them be interrupted (updatePolicy.powerCycle).
    """

    leavers: tuple[Leaver, ...] = ()
    strangers: tuple[Host, ...] = ()
    held: frozenset[str] = frozenset()
    interruptible: frozenset[int] = frozenset()


# --- who goes ----------------------------------------------------------------------------------------------------------


def find_leavers(
    cloud: SovereignCloud,
    servers: Mapping[str, BareMetalServer],
    dropped: Iterable[AnyResource],
    view: CloudView | None,
    mark: Mark,
) -> Going:
    """Which hosts are to go, and which dropped servers wait for that."""
    gone = [c for c in dropped if isinstance(c, BareMetalServer)]
    if view is None:
        # Nobody can tell who is on them: nothing goes, once there was a cloud that they may be a part of.
        asked = bool(cloud.status.endpoint)
        return Going(held=frozenset(str(c.key) for c in gone if asked and c.status.address))
    leavers: dict[int, Leaver] = {}
    waits: set[str] = set()
    adopted = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None
    for child in gone:
        name = host_name(view, child, adopted=adopted)
        if not name:
            continue
        found = [h for h in view.hosts.values() if h.name == name]
        front = Role.FRONTEND in (child.spec.roles or ())
        leavers |= {h.id: Leaver(h, child.outside_name, front) for h in found}
        # A list without any host, or machines where there is no host, is no list to believe.
        doubtful = not view.hosts or any(vm.host == name for vm in view.vms.values())
        if found or doubtful or front:
            waits.add(str(child.key))
    others = _without_a_server(cloud, servers, view, mark, frozenset(leavers))
    leavers |= {leaver.host.id: leaver for leaver in others if leaver.server}
    strangers = tuple(leaver.host for leaver in others if not leaver.server)
    return Going(tuple(leavers[n] for n in sorted(leavers)), strangers, frozenset(waits))


def _without_a_server(
    cloud: SovereignCloud,
    servers: Mapping[str, BareMetalServer],
    view: CloudView,
    mark: Mark,
    known: frozenset[int],
) -> tuple[Leaver, ...]:
    """Hosts that carry this cloud's mark and are no node of spec. Those without a name of a server are only told."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    declared = ovh.servers if ovh else []
    adopted = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None
    addresses = {s.name: host_name(view, servers[s.name], adopted=adopted) for s in declared if s.name in servers}
    if any(not addresses.get(s.name) for s in declared):
        return ()  # whose it is cannot be told before every address is known
    nodes = {addresses[s.name] for s in declared if Role.NODE in s.roles}
    given_up = {lost.name for lost in ((cloud.spec.hosted.lost_hosts if cloud.spec.hosted else None) or ())}
    found = []
    for host in view.hosts.values():
        ours = ownership(host.mark, mark) in {Ownership.OURS, Ownership.PREDECESSOR}
        if host.id in known or host.name in nodes or not ours:
            continue
        other_role = next((name for name, address in addresses.items() if address == host.name), "")
        noted = host.notes.get(LEAVING_NOTE, "")
        found.append(Leaver(host, other_role or noted or (host.name if host.name in given_up else "")))
    return tuple(found)


# --- what is done --------------------------------------------------------------------------------------------------------


def plan_leaving(
    cloud: SovereignCloud, going: Going, view: CloudView, mark: Mark, nodes: frozenset[str], now: datetime
) -> Plan:
    """Disable, move off, delete. `nodes`: addresses of the hosts that stay."""
    told = Plan(drift=tuple(_stranger(h) for h in going.strangers))
    if not going.leavers:
        return told
    ids = frozenset(leaver.host.id for leaver in going.leavers)
    refused = {leaver.host.id: why for leaver in going.leavers if (why := _refusal(leaver, view, mark, nodes))}
    leaving = tuple(leaver for leaver in going.leavers if leaver.host.id not in refused)
    plans = [told, *(Plan(outcome=outcome) for outcome in refused.values())]
    if leaving:
        stays = [h for h in view.hosts.values() if h.id not in ids and h.state in MONITORED]
        stays = [h for h in stays if ownership(h.mark, mark) is not Ownership.FOREIGN]
        course = _Course(cloud, going, view, mark, Room(stays, view.vms.values()), now)
        plans.append(course.plan(leaving))
    return join(plans)


@dataclass
class _Course:
    """One look at all hosts that are leaving."""

    cloud: SovereignCloud
    going: Going
    view: CloudView
    mark: Mark
    room: Room
    now: datetime

    def plan(self, leaving: tuple[Leaver, ...]) -> Plan:
        disable = tuple(s for leaver in leaving for s in _disable(leaver))
        under_way = [vm for leaver in leaving for vm in self._on(leaver.host) if self._asked_just_now(vm)]
        if under_way:
            names = machines_named(under_way)
            wait = waiting(Reason.DRAINING, f"{names}: asked to move to another host", available=True)
            return Plan(steps=disable, outcome=wait)
        parts = [Plan(steps=disable), *(self._empty(leaver) for leaver in leaving)]
        return join(parts)

    def _empty(self, leaver: Leaver) -> Plan:
        """The steps for one host, those that need a person's word after those that do not."""
        host, on = leaver.host, self._on(leaver.host)
        lost = [vm for vm in on if _is_lost(host, vm)]
        rest = [vm for vm in on if vm not in lost]
        busy = [vm for vm in rest if state_of(vm).situation in _PASSES]
        failed = [vm for vm in rest if state_of(vm).situation is Situation.FAILED or self._stays(vm)]
        moved = [self._move(vm, host) for vm in rest if vm not in busy and vm not in failed]
        no_room = [vm for vm, step in moved if step is None]
        steps: list[Step] = sorted((s for _, s in moved if s), key=lambda s: bool(s.needs))
        steps += [self._give_up(vm, host, lost) for vm in lost]
        # A machine on its way is counted by the host that it leaves until it has arrived.
        arriving = host.running_vms - len(on)
        if not busy and not failed and not no_room and arriving <= 0:
            steps.append(DeleteHost(action=Action.DELETE, target=_named(host), fields=(PATH,), host_id=host.id))
        return Plan(steps=tuple(steps), outcome=self._says(leaver, on, busy, failed, no_room, arriving))

    def _on(self, host: Host) -> list[Vm]:
        return sorted((vm for vm in self.view.vms.values() if vm.host == host.name), key=lambda vm: vm.id)

    # -- moving

    def _move(self, vm: Vm, host: Host) -> tuple[Vm, Step | None]:
        target = self.room.take(vm, host)
        if target is None:
            return vm, None
        runs = state_of(vm).situation is Situation.RUNNING
        live = runs and not self._refused_live(vm)
        what = f"VM {vm.id} ({vm.name}) from host {host.name} to host {target.name}"
        allowed = self._is_ours(vm) or self._may_move_foreign
        return vm, MoveMachine(
            action=Action.MOVE,
            target=what,
            fields=(PATH,),
            disruption=Disruption.RESTART if runs and not live else Disruption.NONE,
            needs="" if allowed else f"{MOVE_FOREIGN}: Allow",
            vm_id=vm.id,
            host_id=target.id,
            live=live,
            what=what,
        )

    def _is_ours(self, vm: Vm) -> bool:
        """Made by this installation, under its user: a tenant can write into a machine's template."""
        ours = vm.mark is not None and vm.mark.installation == self.mark.installation
        return ours and self.view.owner in {None, vm.owner}

    @property
    def _may_move_foreign(self) -> bool:
        policy = self.cloud.spec.hosted.update_policy if self.cloud.spec.hosted else None
        return policy is not None and policy.move_foreign is Consent.ALLOW

    def _asked(self, vm: Vm) -> tuple[str, float] | None:
        """How the machine was asked to move the last time, and how many seconds ago."""
        what, _, at = self.cloud.external.get(MOVE_ASKED, "").rpartition("@")
        number, _, way = what.partition(" ")
        if number != str(vm.id) or not at.isdigit():
            return None
        return way, self.now.timestamp() - int(at)

    def _asked_just_now(self, vm: Vm) -> bool:
        asked = self._asked(vm)
        return asked is not None and asked[1] < _SHOWS_WITHIN and state_of(vm).situation in _MOVABLE

    def _refused_live(self, vm: Vm) -> bool:
        """It was asked to move live and is where it was; its object lets it be interrupted."""
        asked = self._asked(vm)
        failed = asked is not None and asked[0] == "live" and _SHOWS_WITHIN <= asked[1] < _ASK_AGAIN
        return failed and vm.id in self.going.interruptible

    def _stays(self, vm: Vm) -> bool:
        """It was asked to move and is where it was: told, and asked again after a while."""
        asked = self._asked(vm)
        return asked is not None and asked[1] < _ASK_AGAIN and not self._refused_live(vm)

    # -- losing

    def _give_up(self, vm: Vm, host: Host, lost: list[Vm]) -> Step:
        consent = (self.cloud.spec.hosted.lost_hosts if self.cloud.spec.hosted else None) or ()
        named = {number for entry in consent if entry.name == host.name for number in entry.machines or ()}
        ids = ", ".join(str(one.id) for one in lost)
        return GiveUpMachine(
            action=Action.DELETE,
            target=f"VM {vm.id} ({vm.name}) on lost host {host.name}, with its disks",
            fields=(PATH,),
            disruption=Disruption.DATA_LOSS,
            needs="" if vm.id in named else f"spec.hosted.lostHosts: [{{name: {host.name}, machines: [{ids}]}}]",
            vm_id=vm.id,
        )

    # -- telling

    def _says(
        self, leaver: Leaver, on: list[Vm], busy: list[Vm], failed: list[Vm], no_room: list[Vm], arriving: int
    ) -> Outcome:
        host, outcome = leaver.host, Outcome()
        if busy or arriving > 0:
            who = machines_named(busy) if busy else f"{arriving} machines"
            outcome = waiting(Reason.DRAINING, f"{who} on host {host.name}: waiting until it is done", available=True)
        foreign = (
            [] if self._may_move_foreign else [vm for vm in on if not self._is_ours(vm) and not _is_lost(host, vm)]
        )
        if foreign:
            message = (
                f"on host {host.name} of server {leaver.server} are machines that this installation did not make, which it"
                f" does not move unasked: {machines_named(foreign)}. Move or end them, or set {MOVE_FOREIGN}: Allow"
            )
            outcome = outcome.merge(held(Reason.APPROVAL_REQUIRED, message))
        lost = [vm for vm in on if _is_lost(host, vm)]
        if lost:
            message = (
                f"host {host.id} ({host.name}) is in state {word(host.state)} and its server is not in the list any more:"
                f" {machines_named(lost)} cannot be moved off it. Bring the server back, or give them up, which loses their"
                " disks"
            )
            outcome = outcome.merge(held(Reason.APPROVAL_REQUIRED, message))
        if no_room:
            message = (
                f"no other host of cluster {host.cluster_id} has room for {machines_named(no_room)} on host {host.name}:"
                " end or shrink machines, or add a server"
            )
            outcome = outcome.merge(_blocked(Reason.NO_CAPACITY, message))
        if failed:
            message = (
                f"{machines_named(failed)} did not move off host {host.name}: look at their log in OpenNebula, recover or"
                " end them there; updatePolicy.powerCycle: Allow of an instance lets it be moved with an interruption"
            )
            outcome = outcome.merge(_blocked(Reason.DRAIN_BLOCKED, message))
        return outcome


_MOVABLE = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.SUSPENDED})
_PASSES = frozenset({Situation.BUSY, Situation.ENDING, Situation.QUEUED, Situation.HELD})


def _is_lost(host: Host, vm: Vm) -> bool:
    situation = state_of(vm).situation
    return situation is Situation.LOST or (host.state in BROKEN | {OFFLINE} and situation is not Situation.ENDING)


def _disable(leaver: Leaver) -> tuple[Step, ...]:
    """A host that is broken takes nothing anyway, and is left in the state that says so."""
    host = leaver.host
    begins, noted = host.state in _BEGINS, host.notes.get(LEAVING_NOTE) == leaver.server
    if host.state in BROKEN or (noted and not begins):
        return ()
    target = f"{_named(host)}, disabled since it leaves"
    return (
        DisableHost(
            action=Action.UPDATE,
            target=target,
            fields=(PATH,),
            host_id=host.id,
            note=leaver.server,
            disable=begins,
        ),
    )


def _refusal(leaver: Leaver, view: CloudView, mark: Mark, nodes: frozenset[str]) -> Outcome | None:
    """Why a host must not go at all."""
    host = leaver.host
    if leaver.front:
        message = (
            f"server {leaver.server} has the role Frontend: OpenNebula runs there, and its database. It cannot be taken off"
            " the list; put it back"
        )
        return stalled(Reason.FRONT_END_NEEDED, message, after=300.0)
    if ownership(host.mark, mark) is Ownership.FOREIGN and host.mark is not None:
        message = f"{_named(host)} of server {leaver.server} belongs to installation {host.mark.installation}"
        return stalled(Reason.OWNED_BY_ANOTHER_INSTALLATION, f"{message}: let it go there first", after=300.0)
    if sum(h.name == host.name for h in view.hosts.values()) > 1:
        message = f"OpenNebula has several hosts named {host.name}; delete all but one"
        return stalled(Reason.MULTIPLE_MATCHES, message, after=60.0)
    if not any(h.name in nodes for h in view.hosts.values()):
        message = (
            f"{_named(host)} of server {leaver.server} is the last host of the cloud, which would be left without a place for"
            " machines: add another server with the role Node first, or put this one back. To end the cloud, delete it"
        )
        return stalled(Reason.LAST_HOST, message, after=60.0)
    return None


def _stranger(host: Host) -> Drift:
    observed = f"host {host.id} ({host.name}) is registered for this cloud and belongs to no server of the list"
    return Drift(f"spec.hosted.lostHosts[{host.name}]", "no such host", observed, mendable=False)


def _blocked(reason: Reason, message: str) -> Outcome:
    return replace(blocked(message, reason=reason), after=_LOOK_AGAIN, available=True)


def _named(host: Host) -> str:
    return f"host {host.id} ({host.name})"
