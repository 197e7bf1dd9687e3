"""Drain hosts whose server spec no longer lists.

Disable, migrate the VMs away, delete the host, then the server.

A running VM is migrated live, with a copy of its disks where every host has its own (ssh datastores); a stopped VM is
migrated cold. VMs that cannot be moved are named in the condition. Progress is read from OpenNebula at each reconcile -
which host is disabled, which VMs are on it -, so draining resumes after any interruption; a server that is listed again
meanwhile stays.
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
from sovereigncloud.kinds.sovereigncloud.hosts.drain_capacity import FreeCapacity
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import (
    BROKEN,
    LEAVING_NOTE,
    MONITORED,
    OFFLINE,
    format_vms,
    host_name,
    host_state_name,
)
from sovereigncloud.ports.opennebula.views import CloudView, Host, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

PATH = "spec.hosted.ovh.servers"
MOVE_ASKED = "moveAsked"
MOVE_FOREIGN = "spec.hosted.updatePolicy.moveForeign"

_VISIBLE_WITHIN = 30.0
"""Seconds within which a requested migration must be visible: OpenNebula does not report a failed one (observed)."""
_ASK_AGAIN = 300.0
_LOOK_AGAIN = 30.0
_ACCEPTS_VMS = frozenset({0, 1, 2, 6})  # init and monitored: the scheduler may still place VMs there


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableHost(Step):
    """Disable a host that is drained.

    LEAVING_NOTE is written first, so that a rebuilt Kubernetes cluster resumes the drain.
    """

    host_id: int
    note: str
    disable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateVm(Step):
    """Migrate a VM to another host. Without `live`, a running VM is saved and resumed there."""

    vm_id: int
    host_id: int
    live: bool
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteLostVm(Step):
    """Delete the record of a VM on a lost host, including its disks."""

    vm_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteHost(Step):
    host_id: int


@dataclass(frozen=True, slots=True)
class DrainingHost:
    """A host that is to be drained and deleted.

    Attributes:
        server: the former name of its server in spec.
        front: whether it runs the OpenNebula front-end.
    """

    host: Host
    server: str
    front: bool = False


@dataclass(frozen=True, slots=True)
class HostsToDrain:
    """Hosts to drain, and what their draining depends on.

    Attributes:
        hosts: hosts to drain.
        unmatched: hosts with the mark of this cloud that match no server of spec and were not given up either.
        held: keys, as text, of BareMetalServers that must not be deleted yet.
        interruptible: ids of VMs whose HostedInstance allows an interruption (updatePolicy.powerCycle).
    """

    hosts: tuple[DrainingHost, ...] = ()
    unmatched: tuple[Host, ...] = ()
    held: frozenset[str] = frozenset()
    interruptible: frozenset[int] = frozenset()


# --- which hosts ---------------------------------------------------------------------------------------------------------


def find_hosts_to_drain(
    cloud: SovereignCloud,
    servers: Mapping[str, BareMetalServer],
    dropped: Iterable[AnyResource],
    view: CloudView | None,
    mark: Mark,
) -> HostsToDrain:
    """Find the hosts to drain, and the dropped servers that must wait for that."""
    gone = [c for c in dropped if isinstance(c, BareMetalServer)]
    if view is None:
        # Without a view their VMs are unknown: no server is released once the cloud had an endpoint.
        asked = bool(cloud.status.endpoint)
        return HostsToDrain(held=frozenset(str(c.key) for c in gone if asked and c.status.address))
    hosts: dict[int, DrainingHost] = {}
    waits: set[str] = set()
    adopted = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None
    for child in gone:
        name = host_name(view, child, adopted=adopted)
        if not name:
            continue
        found = [h for h in view.hosts.values() if h.name == name]
        front = Role.FRONTEND in (child.spec.roles or ())
        hosts |= {h.id: DrainingHost(h, child.outside_name, front) for h in found}
        # A host pool without any host, or VMs on a host that is not listed, is not trusted.
        doubtful = not view.hosts or any(vm.host == name for vm in view.vms.values())
        if found or doubtful or front:
            waits.add(str(child.key))
    others = _without_a_server(cloud, servers, view, mark, frozenset(hosts))
    hosts |= {drained.host.id: drained for drained in others if drained.server}
    unmatched = tuple(drained.host for drained in others if not drained.server)
    return HostsToDrain(tuple(hosts[n] for n in sorted(hosts)), unmatched, frozenset(waits))


def _without_a_server(
    cloud: SovereignCloud,
    servers: Mapping[str, BareMetalServer],
    view: CloudView,
    mark: Mark,
    known: frozenset[int],
) -> tuple[DrainingHost, ...]:
    """Find hosts with the mark of this cloud that are no node of spec.

    `server` is empty if unknown.
    """
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    declared = ovh.servers if ovh else []
    adopted = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None
    addresses = {s.name: host_name(view, servers[s.name], adopted=adopted) for s in declared if s.name in servers}
    if any(not addresses.get(s.name) for s in declared):
        return ()  # hosts cannot be matched before every address is known
    nodes = {addresses[s.name] for s in declared if Role.NODE in s.roles}
    given_up = {lost.name for lost in ((cloud.spec.hosted.lost_hosts if cloud.spec.hosted else None) or ())}
    found = []
    for host in view.hosts.values():
        ours = ownership(host.mark, mark) in {Ownership.OURS, Ownership.PREDECESSOR}
        if host.id in known or host.name in nodes or not ours:
            continue
        other_role = next((name for name, address in addresses.items() if address == host.name), "")
        noted = host.notes.get(LEAVING_NOTE, "")
        found.append(DrainingHost(host, other_role or noted or (host.name if host.name in given_up else "")))
    return tuple(found)


# --- planning -------------------------------------------------------------------------------------------------------


def plan_draining(
    cloud: SovereignCloud, draining: HostsToDrain, view: CloudView, mark: Mark, nodes: frozenset[str], now: datetime
) -> Plan:
    """Plan the drain: disable, migrate VMs, delete hosts. `nodes`: names of the hosts that stay."""
    told = Plan(drift=tuple(_unmatched_drift(h) for h in draining.unmatched))
    if not draining.hosts:
        return told
    ids = frozenset(drained.host.id for drained in draining.hosts)
    refused = {drained.host.id: why for drained in draining.hosts if (why := _refusal(drained, view, mark, nodes))}
    drainable = tuple(drained for drained in draining.hosts if drained.host.id not in refused)
    plans = [told, *(Plan(outcome=outcome) for outcome in refused.values())]
    if drainable:
        stays = [h for h in view.hosts.values() if h.id not in ids and h.state in MONITORED]
        stays = [h for h in stays if ownership(h.mark, mark) is not Ownership.FOREIGN]
        drain = _DrainPlan(cloud, draining, view, mark, FreeCapacity(stays, view.vms.values()), now)
        plans.append(drain.plan(drainable))
    return join(plans)


@dataclass
class _DrainPlan:
    """The drain plan of one reconcile, for all hosts that are drained."""

    cloud: SovereignCloud
    draining: HostsToDrain
    view: CloudView
    mark: Mark
    room: FreeCapacity
    now: datetime

    def plan(self, drainable: tuple[DrainingHost, ...]) -> Plan:
        disable = tuple(s for drained in drainable for s in _disable(drained))
        migrating = [vm for drained in drainable for vm in self._vms_on(drained.host) if self._migration_requested(vm)]
        if migrating:
            names = format_vms(migrating)
            wait = waiting(Reason.DRAINING, f"{names}: asked to move to another host", available=True)
            return Plan(steps=disable, outcome=wait)
        parts = [Plan(steps=disable), *(self._plan_host(drained) for drained in drainable)]
        return join(parts)

    def _plan_host(self, drained: DrainingHost) -> Plan:
        """Plan one host: steps without required consent come first."""
        host, on = drained.host, self._vms_on(drained.host)
        lost = [vm for vm in on if _is_lost(host, vm)]
        rest = [vm for vm in on if vm not in lost]
        busy = [vm for vm in rest if state_of(vm).situation in _TRANSIENT]
        failed = [vm for vm in rest if state_of(vm).situation is Situation.FAILED or self._migration_failed(vm)]
        moved = [self._migrate(vm, host) for vm in rest if vm not in busy and vm not in failed]
        no_room = [vm for vm, step in moved if step is None]
        steps: list[Step] = sorted((s for _, s in moved if s), key=lambda s: bool(s.needs))
        steps += [self._delete_lost(vm, host, lost) for vm in lost]
        # OpenNebula counts a migrating VM on its source host until it has arrived.
        arriving = host.running_vms - len(on)
        if not busy and not failed and not no_room and arriving <= 0:
            steps.append(DeleteHost(action=Action.DELETE, target=_named(host), fields=(PATH,), host_id=host.id))
        return Plan(steps=tuple(steps), outcome=self._outcome(drained, on, busy, failed, no_room, arriving))

    def _vms_on(self, host: Host) -> list[Vm]:
        return sorted((vm for vm in self.view.vms.values() if vm.host == host.name), key=lambda vm: vm.id)

    # -- moving

    def _migrate(self, vm: Vm, host: Host) -> tuple[Vm, Step | None]:
        target = self.room.take(vm, host)
        if target is None:
            return vm, None
        runs = state_of(vm).situation is Situation.RUNNING
        live = runs and not self._live_migration_failed(vm)
        what = f"VM {vm.id} ({vm.name}) from host {host.name} to host {target.name}"
        allowed = self._is_own_vm(vm) or self._may_move_foreign
        return vm, MigrateVm(
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

    def _is_own_vm(self, vm: Vm) -> bool:
        """Tell whether this installation made the VM.

        Mark and owner must match, since a tenant can edit the template of its VM.
        """
        ours = vm.mark is not None and vm.mark.installation == self.mark.installation
        return ours and self.view.owner in {None, vm.owner}

    @property
    def _may_move_foreign(self) -> bool:
        policy = self.cloud.spec.hosted.update_policy if self.cloud.spec.hosted else None
        return policy is not None and policy.move_foreign is Consent.ALLOW

    def _last_migration_request(self, vm: Vm) -> tuple[str, float] | None:
        """Return the last migration request of a VM: `live` or `cold`, and its age in seconds."""
        what, _, at = self.cloud.external.get(MOVE_ASKED, "").rpartition("@")
        number, _, way = what.partition(" ")
        if number != str(vm.id) or not at.isdigit():
            return None
        return way, self.now.timestamp() - int(at)

    def _migration_requested(self, vm: Vm) -> bool:
        asked = self._last_migration_request(vm)
        return asked is not None and asked[1] < _VISIBLE_WITHIN and state_of(vm).situation in _MOVABLE

    def _live_migration_failed(self, vm: Vm) -> bool:
        """Tell whether a live migration had no effect and the VM may be migrated cold instead."""
        asked = self._last_migration_request(vm)
        failed = asked is not None and asked[0] == "live" and _VISIBLE_WITHIN <= asked[1] < _ASK_AGAIN
        return failed and vm.id in self.draining.interruptible

    def _migration_failed(self, vm: Vm) -> bool:
        """Tell whether a migration had no effect: reported now, requested again after _ASK_AGAIN."""
        asked = self._last_migration_request(vm)
        return asked is not None and asked[1] < _ASK_AGAIN and not self._live_migration_failed(vm)

    # -- lost hosts

    def _delete_lost(self, vm: Vm, host: Host, lost: list[Vm]) -> Step:
        consent = (self.cloud.spec.hosted.lost_hosts if self.cloud.spec.hosted else None) or ()
        named = {number for entry in consent if entry.name == host.name for number in entry.machines or ()}
        ids = ", ".join(str(one.id) for one in lost)
        return DeleteLostVm(
            action=Action.DELETE,
            target=f"VM {vm.id} ({vm.name}) on lost host {host.name}, with its disks",
            fields=(PATH,),
            disruption=Disruption.DATA_LOSS,
            needs="" if vm.id in named else f"spec.hosted.lostHosts: [{{name: {host.name}, machines: [{ids}]}}]",
            vm_id=vm.id,
        )

    # -- conditions

    def _outcome(
        self, drained: DrainingHost, on: list[Vm], busy: list[Vm], failed: list[Vm], no_room: list[Vm], arriving: int
    ) -> Outcome:
        host, outcome = drained.host, Outcome()
        if busy or arriving > 0:
            who = format_vms(busy) if busy else f"{arriving} machines"
            outcome = waiting(Reason.DRAINING, f"{who} on host {host.name}: waiting until it is done", available=True)
        foreign = (
            [] if self._may_move_foreign else [vm for vm in on if not self._is_own_vm(vm) and not _is_lost(host, vm)]
        )
        if foreign:
            message = (
                f"host {host.name} of server {drained.server} has VMs that this installation did not create and does not move"
                f" without consent: {format_vms(foreign)}. Move or delete them, or set {MOVE_FOREIGN}: Allow"
            )
            outcome = outcome.merge(held(Reason.APPROVAL_REQUIRED, message))
        lost = [vm for vm in on if _is_lost(host, vm)]
        if lost:
            message = (
                f"host {host.id} ({host.name}) is in state {host_state_name(host.state)} and its server is no longer in {PATH}:"
                f" {format_vms(lost)} cannot be moved off it. List the server again, or confirm in spec.hosted.lostHosts that"
                " these VMs and their disks are lost"
            )
            outcome = outcome.merge(held(Reason.APPROVAL_REQUIRED, message))
        if no_room:
            message = (
                f"no other host of cluster {host.cluster_id} has room for {format_vms(no_room)} on host {host.name}:"
                " delete or shrink VMs, or add a server"
            )
            outcome = outcome.merge(_blocked(Reason.NO_CAPACITY, message))
        if failed:
            message = (
                f"{format_vms(failed)} did not move off host {host.name}: check their log in OpenNebula and recover or"
                " delete them there; updatePolicy.powerCycle: Allow of an instance permits a move with an interruption"
            )
            outcome = outcome.merge(_blocked(Reason.DRAIN_BLOCKED, message))
        return outcome


_MOVABLE = frozenset({Situation.RUNNING, Situation.POWERED_OFF, Situation.SUSPENDED})
_TRANSIENT = frozenset({Situation.BUSY, Situation.ENDING, Situation.QUEUED, Situation.HELD})


def _is_lost(host: Host, vm: Vm) -> bool:
    situation = state_of(vm).situation
    return situation is Situation.LOST or (host.state in BROKEN | {OFFLINE} and situation is not Situation.ENDING)


def _disable(drained: DrainingHost) -> tuple[Step, ...]:
    """Return the disable step of a host.

    A broken host takes no VMs anyway and keeps its error state.
    """
    host = drained.host
    begins, noted = host.state in _ACCEPTS_VMS, host.notes.get(LEAVING_NOTE) == drained.server
    if host.state in BROKEN or (noted and not begins):
        return ()
    target = f"{_named(host)}, disabled since it leaves"
    return (
        DisableHost(
            action=Action.UPDATE,
            target=target,
            fields=(PATH,),
            host_id=host.id,
            note=drained.server,
            disable=begins,
        ),
    )


def _refusal(drained: DrainingHost, view: CloudView, mark: Mark, nodes: frozenset[str]) -> Outcome | None:
    """Return why a host must not be removed at all; None: it may."""
    host = drained.host
    if drained.front:
        message = (
            f"server {drained.server} has the role Frontend: OpenNebula runs there, and its database. It cannot be taken off"
            " the list; put it back"
        )
        return stalled(Reason.FRONT_END_NEEDED, message, after=300.0)
    if ownership(host.mark, mark) is Ownership.FOREIGN and host.mark is not None:
        message = f"{_named(host)} of server {drained.server} belongs to installation {host.mark.installation}"
        return stalled(Reason.OWNED_BY_ANOTHER_INSTALLATION, f"{message}: let it go there first", after=300.0)
    if sum(h.name == host.name for h in view.hosts.values()) > 1:
        message = f"OpenNebula has several hosts named {host.name}; delete all but one"
        return stalled(Reason.MULTIPLE_MATCHES, message, after=60.0)
    if not any(h.name in nodes for h in view.hosts.values()):
        message = (
            f"{_named(host)} of server {drained.server} is the last host of the cloud, which would be left without a place for"
            " machines: add another server with the role Node first, or put this one back. To end the cloud, delete it"
        )
        return stalled(Reason.LAST_HOST, message, after=60.0)
    return None


def _unmatched_drift(host: Host) -> Drift:
    observed = f"host {host.id} ({host.name}) is registered for this cloud and belongs to no server of the list"
    return Drift(f"spec.hosted.lostHosts[{host.name}]", "no such host", observed, mendable=False)


def _blocked(reason: Reason, message: str) -> Outcome:
    return replace(blocked(message, reason=reason), after=_LOOK_AGAIN, available=True)


def _named(host: Host) -> str:
    return f"host {host.id} ({host.name})"
