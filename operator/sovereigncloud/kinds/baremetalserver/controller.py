"""BareMetalServer controller: adoption, reinstallation, vRack membership, power and release.

At rest the controller makes no call per server: the account view (tags, display name, vRack members) and the facts in
status are enough. It reads a single server in detail only while an operation on it is open.
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
from sovereigncloud.kinds.baremetalserver.observation import ServerObservation, needs_details, observe_server
from sovereigncloud.kinds.baremetalserver.ordering.observation import shop_of
from sovereigncloud.kinds.baremetalserver.ordering.plan import OrderStep, order_status, perform_purchase, plan_purchase
from sovereigncloud.kinds.baremetalserver.power import (
    ForgetFenced,
    PowerState,
    Reboot,
    RecordFenced,
    SetBoot,
    perform_power,
    plan_power,
    poll_while_lost,
    power_status,
)
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import PinHostKey, plan_host_key, read_pin
from sovereigncloud.kinds.baremetalserver.reinstall.plan import (
    RecordReinstall,
    ReinstallContext,
    ReinstallServer,
    plan_reinstall,
    system_drift,
)
from sovereigncloud.kinds.baremetalserver.reinstall.records import Stage, carried_out, is_open, read_record
from sovereigncloud.kinds.baremetalserver.reinstall.steps import perform_reinstall
from sovereigncloud.kinds.baremetalserver.release import StopRenewal, UntagServer, perform_release, plan_release
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
    """Write this installation's ownership tags on the server."""

    only_marks: ClassVar[bool] = True
    urn: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameServer(Step):
    """Set the display name of the server at OVHcloud."""

    name: str
    change: str


class BareMetalServerController:
    """Reconcile BareMetalServer resources."""

    resource = BareMetalServer

    def uses(self, resource: BareMetalServer) -> Uses:
        owner = endpoint.owner_of(resource)
        ovh = resource.spec.ovh
        refs = [ovh.credentials_secret_ref, ovh.order.credentials_secret_ref if ovh.order else None] if ovh else []
        return Uses(
            objects=(owner,) if owner else (),
            secrets=tuple(SecretUse(name) for name in dict.fromkeys(ref.name for ref in refs if ref)),
        )

    async def observe(self, resource: BareMetalServer, context: Context) -> ServerObservation:
        return await observe_server(resource, context)

    # -- planning

    def plan(self, resource: BareMetalServer, observed: ServerObservation, now: datetime) -> Plan:
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
            return _plan_missing_server(resource, observed, now)
        return _plan_server(resource, observed, summary, now, identity)

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
            case UntagServer() | StopRenewal():
                return await perform_release(step, client)
            case _:
                return await self._change(step, resource, client, name, context)

    async def _change(self, step: Step, resource: BareMetalServer, client: Ovh, name: str, context: Context) -> Outcome:
        """Perform a step on a server that is not being released."""
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

    def status(self, resource: BareMetalServer, observed: ServerObservation) -> Mapping[str, object]:
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


def _plan_server(
    resource: BareMetalServer, observed: ServerObservation, summary: ServerSummary, now: datetime, identity: Plan
) -> Plan:
    """Plan the changes to an existing server.

    A server that belongs to another object is not recorded as this object's.
    """
    found = mark_from_ovh(summary.tags)
    differences = _differences(resource, observed, now)
    match ownership(found, observed.mark):
        case Ownership.FOREIGN if found is not None:
            return Plan(drift=differences.drift, outcome=_foreign_outcome(summary.service_name, found))
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
    cloud, looked = observed.cloud, Plan(outcome=poll_while_lost(observed.cloud))
    if cloud is not None:
        power = plan_power(resource, cloud, summary.urn, summary.tags, observed.power, now)
        if power is not None:
            return join((identity, marking, power))
    return join((identity, marking, differences, looked))


def _plan_missing_server(resource: BareMetalServer, observed: ServerObservation, now: datetime) -> Plan:
    """Plan for a server that the account does not show: order it, wait for delivery, or report it."""
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


def _foreign_outcome(service: str, found: Mark) -> Outcome:
    return stalled(
        Reason.OWNED_BY_ANOTHER_INSTALLATION,
        f"server {service} carries the mark of installation {found.installation} ({found.object}); nothing is written"
        f" there. Remove the tags {OVH_INSTALLATION}, {OVH_OBJECT} and {OVH_UID} from it if that installation is gone",
        after=300.0,
    )


def _marking(service: str, summary: ServerSummary, mark: Mark) -> MarkServer:
    """Build the step that writes the ownership tags.

    Action Mark means a takeover from a predecessor: the differences found then are drift, not work.
    """
    action = Action.UPDATE if mark_from_ovh(summary.tags) is None else Action.MARK
    return MarkServer(action=action, target=f"mark of server {service}", urn=summary.urn, mark=mark)


def _differences(resource: BareMetalServer, observed: ServerObservation, now: datetime) -> Plan:
    """Plan everything except ownership.

    A reinstallation in progress comes first: nothing else is changed meanwhile.
    """
    summary, details = observed.summary, observed.details
    if summary is None:
        return Plan()
    interfaces = details.interfaces if details else None
    interface = plan_interface(resource, observed.vrack, interfaces, now, observed.vrack_facts)
    name = _plan_name(resource, summary, now)
    key = plan_host_key(resource, summary.urn, read_pin(summary.tags), observed.host_key_scan, now)
    drift = interface.drift + name.drift
    if details is None and needs_details(resource, summary, observed.vrack):
        return Plan(drift=drift, outcome=_no_such_server(summary.service_name))
    if details is None:
        return join((key, interface, name, Plan(drift=_system(resource, summary, resource.status.operating_system))))
    if interface.outcome.phase is Phase.STALLED:
        return Plan(drift=drift, outcome=interface.outcome)
    situation = ReinstallContext(
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


def _power_of(observed: ServerObservation) -> tuple[str | None, Mapping[str, str] | None, PowerState | None]:
    cloud, summary = observed.cloud, observed.summary
    return cloud.status.lost_since if cloud else None, summary.tags if summary else None, observed.power


def _since(before: BareMetalServerStatus, step: str | None, now: datetime | None) -> str | None:
    """Return when the installation reached its current step."""
    if step is None or now is None:
        return None
    return before.install_step_since if step == before.install_step else timestamp(now)


def _host_key(observed: ServerObservation) -> dict[str, object]:
    pin = read_pin(observed.summary.tags) if observed.summary else None
    if pin is None or pin.awaited:
        return {"hostKey": None, "hostKeyTrust": None}
    return {"hostKey": pin.host_key, "hostKeyTrust": pin.trust.word}


def _with_vrack(interfaces: list[dict[str, object]], vrack: VrackView | None) -> list[dict[str, object]]:
    """Update the recorded interfaces with the vRack membership that the account view shows."""
    for interface in interfaces:
        if vrack is not None and str(interface.get("mode", "")).startswith("vrack"):
            inside = interface.get("uuid") in vrack.interfaces
            if inside:
                interface["vrack"] = vrack.name
            elif interface.get("vrack") == vrack.name:
                interface.pop("vrack")
    return interfaces
