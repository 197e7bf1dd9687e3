"""Tear down a SovereignCloud.

Networks, hosts, names, IP blocks, servers, Secret, once nothing uses it.

Foreground deletion sets the deletionTimestamp of the cloud and its children at once, so the order cannot be left to the
garbage collector. With Retain OpenNebula is not contacted, so an unreachable one blocks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import ConditionStatus, DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.listing import format_list
from sovereigncloud.core.outcome import Outcome, Phase, blocked, retry, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.deletion import needs_its_servers
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.kinds.sovereigncloud.composition import remove
from sovereigncloud.kinds.sovereigncloud.hosts.release import plan_unregistration, record_release
from sovereigncloud.kinds.sovereigncloud.network.plan import ProviderNetwork, plan_network_release
from sovereigncloud.ports.opennebula.views import Host, Vm

DELETED_FACT = "credentialsDeleted"
_LOOK_AGAIN = 5.0
_ORPHAN = "orphan"  # the garbage collector's own finalizer for --cascade=orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCredentials(Step):
    name: str


@dataclass(frozen=True, slots=True)
class RemainingResources:
    """What remains of a cloud that is being deleted.

    Attributes:
        users: names of objects, not composed by the cloud, that refer to it.
        composed: its child objects.
        machines: every VM in its OpenNebula, ours or not; None: not read (Retain).
        error: why they could not be read.
        credentials: whether the Secret of its administrator exists.
        hosts: hosts that carry its mark.
        provider_network: IP blocks and names at the provider; None: not read.
    """

    users: tuple[str, ...] = ()
    composed: tuple[AnyResource, ...] = ()
    machines: tuple[Vm, ...] | None = None
    error: str = ""
    credentials: bool = False
    hosts: tuple[Host, ...] = ()
    provider_network: ProviderNetwork | None = None

    def without(self, machines: Iterable[int]) -> Self:
        """Return a copy without these VM ids, which are deleted separately."""
        gone = frozenset(machines)
        if self.machines is None or not gone:
            return self
        return replace(self, machines=tuple(vm for vm in self.machines if vm.id not in gone))


def plan_teardown(cloud: SovereignCloud, remains: RemainingResources, now: datetime) -> Plan:
    """Plan the next teardown steps; empty and done: the finalizer may be removed."""
    if remains.users:
        return Plan(outcome=blocked(f"still in use: {format_list(sorted(remains.users))}", reason=Reason.IN_USE))
    if _ORPHAN in cloud.metadata.finalizers:
        return Plan()  # --cascade=orphan: its children stay
    standing = needs_its_servers(cloud)
    if standing and (inside := _blocking_content(remains)) is not None:
        return Plan(outcome=inside)
    networks = [c for c in remains.composed if not isinstance(c, BareMetalServer)]
    servers: list[AnyResource] = [c for c in remains.composed if isinstance(c, BareMetalServer)]
    if networks:
        return _remove(cloud, networks)
    if standing:
        back = (
            plan_unregistration(remains.hosts)
            if remains.hosts
            else plan_network_release(cloud, remains.provider_network, now)
        )
        return back if back.steps or back.outcome.phase is not Phase.DONE else record_release()
    if servers:
        return _remove(cloud, servers)
    return _credentials(cloud, remains)


def _blocking_content(remains: RemainingResources) -> Outcome | None:
    """Return why nothing may be deleted yet: VMs in the cloud, or an unreachable OpenNebula.

    None: it may.
    """
    leave = "set spec.deletionPolicy: Retain to delete only the SovereignCloud object"
    if remains.error:
        return retry(
            f"cannot tell whether VMs are in the cloud, which must be empty: {remains.error}. Fix that, or {leave}"
        )
    if not remains.machines:
        return None
    names = format_list(sorted(f"VM {vm.id} ({vm.name})" for vm in remains.machines))
    message = (
        f"{len(remains.machines)} VMs are in the cloud and would be lost with deletionPolicy Delete: {names}. Delete or move"
        f" them, or {leave}"
    )
    return replace(blocked(message, reason=Reason.IN_USE), after=30.0)


def _remove(cloud: SovereignCloud, children: list[AnyResource]) -> Plan:
    steps = tuple(s for child in children for s in remove(cloud, child, cloud.deletion_policy))
    message = f"waiting until they are gone: {format_list(sorted(_describe(c) for c in children))}"
    return Plan(steps=steps, outcome=waiting(Reason.DELETING_CHILDREN, message, after=_LOOK_AGAIN))


def _describe(child: AnyResource) -> str:
    """Format a child: its name, and the Ready condition if its deletion does not progress."""
    ready = child.status.condition("Ready")
    if not child.deleting or ready is None or ready.status == ConditionStatus.TRUE or not ready.message:
        return str(child.key)
    return f"{child.key} ({ready.reason}: {ready.message})"


def _credentials(cloud: SovereignCloud, remains: RemainingResources) -> Plan:
    """Plan to delete the generated Secret.

    With Retain it stays, since it holds the administrator's password.
    """
    hosted = cloud.spec.hosted
    generated = hosted is not None and hosted.open_nebula.install is not None and remains.credentials
    # The finalizer of a Secret in use keeps it until the cloud is released, so deletion is requested only once.
    asked = DELETED_FACT in cloud.external
    if not generated or asked or cloud.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    name = generated_secret(cloud)
    return Plan(
        steps=(DeleteCredentials(action=Action.DELETE, target=f"generated Secret {name}", inside=True, name=name),)
    )
