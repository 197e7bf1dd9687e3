"""BareMetalServer: adopted by service name, reinstalled on request, its private interface in the vRack.

At rest nothing is asked per server: the account's view (tags, display name, members of the vRack) and the facts kept in
status are enough. Only while something is open is one server read in detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.baremetalserver import BareMetalServerStatus
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.identity import (
    OVH_INSTALLATION,
    OVH_OBJECT,
    OVH_UID,
    Mark,
    Ownership,
    mark_from_ovh,
    ownership,
)
from sovereigncloud.core.outcome import DONE, Outcome, Phase, done, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.baremetalserver.identity import (
    RecordIdentity,
    known_as,
    plan_identity,
    recorded,
    service_name_of,
)
from sovereigncloud.kinds.baremetalserver.network.private_interface import (
    ASKED,
    DETACH_ASKED,
    LOOK_AGAIN,
    AttachInterface,
    DetachInterface,
    plan_interface,
)
from sovereigncloud.kinds.baremetalserver.observation import Observed, look_closer, observe_server
from sovereigncloud.kinds.baremetalserver.ordering.observation import shop_of
from sovereigncloud.kinds.baremetalserver.ordering.plan import OrderStep, order_status, perform_purchase, plan_purchase
from sovereigncloud.kinds.baremetalserver.power import (
    ForgetFenced,
    PowerSeen,
    Reboot,
    RecordFenced,
    SetBoot,
    looks_again,
    perform_power,
    plan_power,
    power_status,
)
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import PinHostKey, plan_host_key, read_pin
from sovereigncloud.kinds.baremetalserver.reinstall.plan import (
    RecordReinstall,
    ReinstallServer,
    Situation,
    plan_reinstall,
    system_drift,
)
from sovereigncloud.kinds.baremetalserver.reinstall.records import Stage, carried_out, is_open, read_record
from sovereigncloud.kinds.baremetalserver.reinstall.steps import perform_reinstall
from sovereigncloud.kinds.baremetalserver.release import EndServer, UntagServer, perform_release, plan_release
from sovereigncloud.kinds.contract.controller import Context, SecretUse, Uses
from sovereigncloud.kinds.endpoint import endpoint
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.planning.pending_writes import Asked, answered, asked, pending
from sovereigncloud.ports.ovh.account import Ovh, ServerSummary, VrackView

_NAME_PATH = "spec.name"
_RENAME_ASKED = "renamed"
_RENAME_WITHIN = 900.0  # a display name shows up after up to ten minutes (Terraform provider, services.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkServer(Step):
    only_marks: ClassVar[bool] = True
    urn: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameServer(Step):
    name: str
    change: str


class BareMetalServerController:
    """What a BareMetalServer does."""

    resource = BareMetalServer

    def uses(self, resource: BareMetalServer) -> Uses:
        owner = endpoint.owner_of(resource)
        ovh = resource.spec.ovh
        refs = [ovh.credentials_secret_ref, ovh.order.credentials_secret_ref if ovh.order else None] if ovh else []
        return Uses(
            objects=(owner,) if owner else (),
            secrets=tuple(SecretUse(name) for name in dict.fromkeys(ref.name for ref in refs if ref)),
        )

    async def observe(self, resource: BareMetalServer, context: Context) -> Observed:
        return await observe_server(resource, context)

    # -- planning

    def plan(self, resource: BareMetalServer, observed: Observed, now: datetime) -> Plan:
        identity = plan_identity(resource, observed.identity.name)
        resource = known_as(resource, observed.identity.name)
        if resource.deleting:
            return plan_release(resource, observed, now)
        ovh, summary = resource.spec.ovh, observed.summary
        if ovh is None:
            return Plan(outcome=stalled(Reason.NO_PROVIDER, "spec has no provider; set spec.ovh"))
        if observed.identity.problem is not None:
            return Plan(outcome=observed.identity.problem)
        if summary is None:
            return _absent(resource, observed, now)
        return _of_server(resource, observed, summary, now, identity)

    # -- performing

    async def perform(self, step: Step, resource: BareMetalServer, context: Context) -> Outcome:
        ovh = resource.spec.ovh
        if ovh is None:
            return DONE
        if isinstance(step, RecordIdentity):
            return recorded(step, resource.metadata.name)
        if isinstance(step, OrderStep):
            return await perform_purchase(step, await shop_of(resource, context), context.now)
        client = await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
        name = service_name_of(resource)
        match step:
            case UntagServer() | EndServer():
                return await perform_release(step, client)
            case _:
                return await self._change(step, resource, client, name, context)

    async def _change(self, step: Step, resource: BareMetalServer, client: Ovh, name: str, context: Context) -> Outcome:
        """What is done to a server that stays."""
        match step:
            case MarkServer():
                await client.tag(step.urn, step.mark.for_ovh())
                return done(Reason.MARKED, f"server {name} carries the mark of this installation")
            case RenameServer():
                await client.rename(name, step.name)
                return done(
                    Reason.RENAMED,
                    f"server {name} is called {step.name}",
                    **{_RENAME_ASKED: asked(step.change, context.now)},
                )
            case AttachInterface():
                await client.attach_interface(step.vrack, step.uuid)
                message = f"interface {step.uuid} is being attached to vRack {step.vrack}"
                fact = {ASKED: asked(f"{step.vrack} {step.uuid}", context.now)}
                return _under_way(Reason.ATTACHING_INTERFACE, message, fact, LOOK_AGAIN, available=resource.settled)
            case DetachInterface():
                await client.detach_interface(step.vrack, step.uuid)
                message = f"interface {step.uuid} is being detached from vRack {step.vrack}"
                return _under_way(
                    Reason.DETACHING_INTERFACE, message, {DETACH_ASKED: asked(step.uuid, context.now)}, LOOK_AGAIN
                )
            case RecordFenced() | SetBoot() | Reboot() | ForgetFenced():
                return await perform_power(step, client, name, context.now)
            case ReinstallServer() | RecordReinstall() | PinHostKey():
                return await perform_reinstall(client, name, step)
            case _:
                raise TypeError(f"not a step of a BareMetalServer: {type(step).__name__}")

    # -- telling

    def status(self, resource: BareMetalServer, observed: Observed) -> Mapping[str, object]:
        before, details = resource.status, observed.details
        record = read_record(observed.summary.tags) if observed.summary else None
        reinstalled = record.token if record and record.stage is Stage.DONE else before.reinstalled
        # What is delivered to an object that is being deleted is not written down: without a mark only its order tells.
        found = "" if resource.deleting and observed.purchase else observed.identity.name
        name = found or service_name_of(resource) or None
        order = before.order.model_dump(by_alias=True, exclude_none=True) if before.order else None
        if observed.purchase is not None:
            order = order_status(observed.purchase, order or {})
        elif order and observed.identity.name:
            order["state"] = "Delivered"
        power = power_status(resource, *_power_of(observed))
        if details is None:
            interfaces = [i.model_dump(by_alias=True, exclude_none=True) for i in before.interfaces or ()]
            return {
                "serviceName": name,
                "order": order,
                "address": before.address,
                "region": before.region,
                "operatingSystem": before.operating_system,
                "reinstalled": reinstalled,
                "installStep": None,
                "installStepSince": None,
                **_host_key(observed),
                "monitoring": before.monitoring,
                "power": power,
                "interfaces": _with_vrack(interfaces, observed.vrack) or None,
            }
        return {
            "serviceName": name,
            "order": order,
            "address": details.server.ip or None,
            "region": details.server.region or None,
            "operatingSystem": details.server.os or None,
            "reinstalled": reinstalled,
            "installStep": details.install_step,
            "installStepSince": _since(before, details.install_step, observed.now),
            **_host_key(observed),
            "monitoring": details.server.monitoring,
            "power": power,
            "interfaces": [
                {"uuid": i.uuid, "mode": i.mode, "macs": list(i.macs)} | ({"vrack": i.vrack} if i.vrack else {})
                for i in details.interfaces
            ]
            or None,
        }


# --- planning --------------------------------------------------------------------------------------------------------


def _of_server(
    resource: BareMetalServer, observed: Observed, summary: ServerSummary, now: datetime, identity: Plan
) -> Plan:
    """What to do about the machine that it is. One that is somebody else's is not written down as this object's."""
    found = mark_from_ovh(summary.tags)
    differences = _differences(resource, observed, now)
    match ownership(found, observed.mark):
        case Ownership.FOREIGN if found is not None:
            return Plan(drift=differences.drift, outcome=_foreign(summary.service_name, found))
        case Ownership.SIBLING if observed.holder:
            message = (
                f"server {summary.service_name} belongs to {observed.holder} of this installation; one server has one"
                " object: delete one of the two"
            )
            return Plan(drift=differences.drift, outcome=stalled(Reason.OWNED_BY_ANOTHER_OBJECT, message, after=60.0))
        case Ownership.OURS:
            marking = Plan()
        case _:
            marking = Plan(steps=(_marking(summary.service_name, summary, observed.mark),))
    cloud, looked = observed.cloud, Plan(outcome=looks_again(observed.cloud))
    if cloud is not None:
        power = plan_power(resource, cloud, summary.urn, summary.tags, observed.power, now)
        if power is not None:
            return join((identity, marking, power))
    return join((identity, marking, differences, looked))


def _absent(resource: BareMetalServer, observed: Observed, now: datetime) -> Plan:
    """The machine is not there: it is to be bought, it is on its way, or nobody knows it."""
    name, purchase = observed.identity.name, observed.purchase
    if purchase is None:
        return Plan(outcome=_no_such_server(name))
    if not name:
        return plan_purchase(resource, purchase, now)
    message = f"server {name} was delivered with order {purchase.order}; waiting until the account shows it"
    return Plan(outcome=waiting(Reason.DELIVERING, message, after=60.0))


def _no_such_server(name: str) -> Outcome:
    message = (
        f"the account has no server {name}, or the credential may not see it; check ovh.serviceName and the rights of"
        " the credential"
    )
    return stalled(Reason.SERVER_NOT_FOUND, message, after=300.0)


def _foreign(service: str, found: Mark) -> Outcome:
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f"server {service} carries the mark of installation {found.installation} ({found.object}); nothing is written"
        f" there. Remove the tags {OVH_INSTALLATION}, {OVH_OBJECT} and {OVH_UID} from it if that installation is gone",
        after=300.0,
    )


def _marking(service: str, summary: ServerSummary, mark: Mark) -> MarkServer:
    """Action Mark says that it is taken over from a predecessor: what differs then is drift, not work."""
    action = Action.UPDATE if mark_from_ovh(summary.tags) is None else Action.MARK
    return MarkServer(action=action, target=f"mark of server {service}", urn=summary.urn, mark=mark)


def _differences(resource: BareMetalServer, observed: Observed, now: datetime) -> Plan:
    """Everything but whose it is. A reinstallation under way comes first: nothing else is touched meanwhile."""
    summary, details = observed.summary, observed.details
    if summary is None:
        return Plan()
    interfaces = details.interfaces if details else None
    interface = plan_interface(resource, observed.vrack, interfaces, now, observed.joining)
    name = _plan_name(resource, summary, now)
    key = plan_host_key(resource, summary.urn, read_pin(summary.tags), observed.heard, now)
    drift = interface.drift + name.drift
    if details is None and look_closer(resource, summary, observed.vrack):
        return Plan(drift=drift, outcome=_no_such_server(summary.service_name))
    if details is None:
        return join((key, interface, name, Plan(drift=_system(resource, summary, resource.status.operating_system))))
    if interface.outcome.phase is Phase.STALLED:
        return Plan(drift=drift, outcome=interface.outcome)
    situation = Situation(
        resource, summary.urn, summary.tags, details, now, observed.mark, observed.ssh_key, observed.proof_key
    )
    reinstall = plan_reinstall(situation)
    if reinstall.outcome.phase is not Phase.DONE:
        return Plan(drift=drift, outcome=reinstall.outcome)
    system = Plan(drift=_system(resource, summary, details.server.os))
    return join((reinstall, key, interface, name, system))


def _system(resource: BareMetalServer, summary: ServerSummary, system: str | None) -> tuple[Drift, ...]:
    over = carried_out(resource, summary.tags) and not is_open(summary.tags)
    return system_drift(resource, system) if over else ()


def _plan_name(resource: BareMetalServer, summary: ServerSummary, now: datetime) -> Plan:
    """The display name, where spec declares one."""
    wanted = resource.spec.name
    if not wanted or summary.display_name == wanted:
        return answered(resource, _RENAME_ASKED)
    drift = (Drift(_NAME_PATH, wanted, summary.display_name),)
    # The name that is shown still is part of what was asked: another one is a new difference.
    change = f"{summary.display_name} to {wanted}"
    if pending(resource, Asked(_RENAME_ASKED, change, "", _RENAME_WITHIN), now):
        # Cosmetic, and up to ten minutes late: nothing is held up by it, and the usual sweep is quick enough to see it.
        message = f"{summary.service_name} was renamed to {wanted}, which OVHcloud shows after up to ten minutes"
        return Plan(drift=drift, outcome=Outcome(reason=Reason.RENAMING, message=message))
    step = RenameServer(
        action=Action.UPDATE,
        target=f"display name of server {summary.service_name}",
        fields=(_NAME_PATH,),
        cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
        name=wanted,
        change=change,
    )
    return Plan(drift=drift, steps=(step,))


# --- performing ------------------------------------------------------------------------------------------------------


def _under_way(
    reason: Reason, message: str, facts: Mapping[str, str], after: float, *, available: bool = False
) -> Outcome:
    outcome = waiting(reason, message, after=after, available=available)
    return replace(outcome, facts=facts, events=((reason, message),))


def _power_of(observed: Observed) -> tuple[str | None, Mapping[str, str] | None, PowerSeen | None]:
    cloud, summary = observed.cloud, observed.summary
    return cloud.status.lost_since if cloud else None, summary.tags if summary else None, observed.power


def _since(before: BareMetalServerStatus, step: str | None, now: datetime | None) -> str | None:
    """When the installation came to its step."""
    if step is None or now is None:
        return None
    return before.install_step_since if step == before.install_step else timestamp(now)


def _host_key(observed: Observed) -> dict[str, object]:
    pin = read_pin(observed.summary.tags) if observed.summary else None
    if pin is None or pin.awaited:
        return {"hostKey": None, "hostKeyTrust": None}
    return {"hostKey": pin.host_key, "hostKeyTrust": pin.trust.word}


def _with_vrack(interfaces: list[dict[str, object]], vrack: VrackView | None) -> list[dict[str, object]]:
    """The recorded interfaces, with the membership that the view shows."""
    for interface in interfaces:
        if vrack is not None and str(interface.get("mode", "")).startswith("vrack"):
            inside = interface.get("uuid") in vrack.interfaces
            if inside:
                interface["vrack"] = vrack.name
            elif interface.get("vrack") == vrack.name:
                interface.pop("vrack")
    return interfaces
