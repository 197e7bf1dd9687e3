"""The end of a SovereignCloud: nobody uses it, no machine is in it, its networks go, its hosts, names, blocks, its servers,
and only then it goes itself.

Foreground deletion gives the cloud and what it composed their deletionTimestamp at once, so order cannot be left to the
garbage collector. With Retain OpenNebula is not asked, and one that is unreachable holds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import ConditionStatus, DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, Phase, blocked, retry, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.kinds.sovereigncloud.composition import remove
from sovereigncloud.kinds.sovereigncloud.hosts.release import holds_its_servers, let_go, plan_giving_back
from sovereigncloud.kinds.sovereigncloud.network.plan import Outside, plan_letting_go
from sovereigncloud.ports.opennebula.views import Host, Vm

DELETED_FACT = "credentialsDeleted"
_SHOWN = 10
_LOOK_AGAIN = 5.0
_ORPHAN = "orphan"  # the garbage collector's own finalizer for --cascade=orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCredentials(Step):
    name: str


@dataclass(frozen=True, slots=True)
class Remains:
    """What is still there.

    Attributes:
        users: names of objects, not composed by the cloud, that refer to it.
        composed: objects that it made.
        machines: every machine in its OpenNebula, ours or not; None: nobody asked (Retain).
        error: why nobody could be asked.
        credentials: whether the Secret of its administrator is there.
        hosts: those that carry its mark.
        outside: blocks and names at the provider; None: nobody asked.
    """

    users: tuple[str, ...] = ()
    composed: tuple[AnyResource, ...] = ()
    machines: tuple[Vm, ...] | None = None
    error: str = ""
    credentials: bool = False
    hosts: tuple[Host, ...] = ()
    outside: Outside | None = None

    def without(self, machines: Iterable[int]) -> Self:
        """The same without these machines, which end by themselves."""
        gone = frozenset(machines)
        if self.machines is None or not gone:
            return self
        return replace(self, machines=tuple(vm for vm in self.machines if vm.id not in gone))


def plan_dismantling(cloud: SovereignCloud, remains: Remains, now: datetime) -> Plan:
    """The next steps; empty and done: the finalizer may go."""
    if remains.users:
        return Plan(outcome=blocked(f"still in use: {_listed(remains.users)}", reason=Reason.IN_USE))
    if _ORPHAN in cloud.metadata.finalizers:
        return Plan()  # what it composed is to live on
    standing = holds_its_servers(cloud)
    if standing and (inside := _somebody_inside(remains)) is not None:
        return Plan(outcome=inside)
    networks = [c for c in remains.composed if not isinstance(c, BareMetalServer)]
    servers: list[AnyResource] = [c for c in remains.composed if isinstance(c, BareMetalServer)]
    if networks:
        return _remove(cloud, networks)
    if standing:
        back = plan_giving_back(remains.hosts) if remains.hosts else plan_letting_go(cloud, remains.outside, now)
        return back if back.steps or back.outcome.phase is not Phase.DONE else let_go()
    if servers:
        return _remove(cloud, servers)
    return _credentials(cloud, remains)


def _somebody_inside(remains: Remains) -> Outcome | None:
    """Why nothing may go yet: machines, whoever made them, or nobody who could tell."""
    leave = "set spec.deletionPolicy: Retain to let go of the cloud and leave everything as it is"
    if remains.error:
        return retry(f"cannot tell whether machines are in the cloud: {remains.error}; {leave}")
    if not remains.machines:
        return None
    names = _listed(f"VM {vm.id} ({vm.name})" for vm in remains.machines)
    message = (
        f"{len(remains.machines)} machines are in the cloud, which deletionPolicy Delete would lose: {names}. End or move"
        f" them, or {leave}"
    )
    return replace(blocked(message, reason=Reason.IN_USE), after=30.0)


def _remove(cloud: SovereignCloud, children: list[AnyResource]) -> Plan:
    steps = tuple(s for child in children for s in remove(cloud, child, cloud.deletion_policy))
    message = f"waiting until they are gone: {_listed(_says(c) for c in children)}"
    return Plan(steps=steps, outcome=waiting(Reason.DELETING_CHILDREN, message, after=_LOOK_AGAIN))


def _says(child: AnyResource) -> str:
    """Its name; of one that is on its way and stands still, also why."""
    ready = child.status.condition("Ready")
    if not child.deleting or ready is None or ready.status == ConditionStatus.TRUE or not ready.message:
        return str(child.key)
    return f"{child.key} ({ready.reason}: {ready.message})"


def _credentials(cloud: SovereignCloud, remains: Remains) -> Plan:
    """The generated Secret outlives a retained cloud: it holds the only password of its administrator."""
    hosted = cloud.spec.hosted
    generated = hosted is not None and hosted.open_nebula.install is not None and remains.credentials
    # The finalizer that guards a Secret in use keeps it until the cloud itself is released: it is asked to go once.
    asked = DELETED_FACT in cloud.external
    if not generated or asked or cloud.deletion_policy is DeletionPolicy.RETAIN:
        return Plan()
    name = generated_secret(cloud)
    return Plan(
        steps=(DeleteCredentials(action=Action.DELETE, target=f"generated Secret {name}", inside=True, name=name),)
    )


def _listed(names: Iterable[str]) -> str:
    all_names = sorted(names)
    more = len(all_names) - _SHOWN
    return ", ".join(all_names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
