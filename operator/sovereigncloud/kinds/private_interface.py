"""The private interface of a server and the vRack that it is to be in.

Attach the enabled virtual network interface of mode vrack or vrack_aggregation (facts: a Scale or High Grade server has
one); an interface sits in at most one vRack, and moving it is detach, wait, attach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.pending import Asked, answered, pending
from sovereigncloud.kinds.ports import Interface, VrackView
from sovereigncloud.kinds.server_identity import service_name_of

PRIVATE_MODES = frozenset({"vrack", "vrack_aggregation"})
PATH = "spec.ovh.vrack"
ASKED = "attachAsked"
DETACH_ASKED = "detachAsked"

_WITHIN = 600.0  # vRack tasks take minutes; afterwards the request is made again
LOOK_AGAIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachInterface(Step):
    vrack: str
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachInterface(Step):
    vrack: str
    uuid: str


def attached(resource: BareMetalServer, vrack: VrackView | None) -> bool:
    """Whether the view alone shows the server in its vRack."""
    return bool(members(resource, vrack))


def members(resource: BareMetalServer, vrack: VrackView | None) -> tuple[str, ...]:
    """Uuids of the server's interfaces in the vRack: those that status knows, else any that the view says are its."""
    if vrack is None or resource.spec.ovh is None:
        return ()
    known = {i.uuid for i in resource.status.interfaces or () if i.uuid and i.mode in PRIVATE_MODES}
    service = service_name_of(resource)
    return tuple(sorted(u for u, owner in vrack.interfaces.items() if u in known or (owner and owner == service)))


def plan_interface(
    resource: BareMetalServer, vrack: VrackView | None, interfaces: Iterable[Interface] | None, now: datetime
) -> Plan:
    """Bring the private interface into the declared vRack. `interfaces`: None when they were not read."""
    ovh = resource.spec.ovh
    if ovh is None or not ovh.vrack:
        return Plan()
    if vrack is None:
        message = f"the account has no vRack {ovh.vrack}, or the credential may not see it; check ovh.vrack"
        return Plan(outcome=stalled(Reason.NO_SUCH_VRACK, message, after=300.0))
    service = service_name_of(resource)
    found = tuple(interfaces) if interfaces is not None else None
    if found is not None and not found:
        return Plan(outcome=_incompatible(service, "it has no virtual network interface"))
    if attached(resource, vrack):
        return answered(resource, ASKED)
    drift = (Drift(PATH, ovh.vrack, "not attached"),)
    if found is None:
        return Plan(drift=drift, outcome=waiting(Reason.READING_INTERFACES, f"reading the interfaces of {service}"))
    private = sorted((i for i in found if i.enabled and i.mode in PRIVATE_MODES), key=lambda i: i.uuid)
    if not private:
        return Plan(outcome=_incompatible(service, "it has no enabled private interface"))
    if any(i.vrack == ovh.vrack for i in private):
        return Plan()  # the interface itself is newer than the view
    free = [i for i in private if not i.vrack]
    if not free:
        return Plan(drift=(Drift(PATH, ovh.vrack, private[0].vrack),), outcome=_elsewhere(private[0], ovh.vrack))
    uuid = free[0].uuid
    if pending(resource, Asked(ASKED, f"{ovh.vrack} {uuid}", PATH, _WITHIN), now):
        message = f"interface {uuid} is being attached to vRack {ovh.vrack}"
        available = resource.settled
        return Plan(
            drift=drift, outcome=waiting(Reason.ATTACHING_INTERFACE, message, after=LOOK_AGAIN, available=available)
        )
    step = AttachInterface(
        action=Action.ATTACH,
        target=f"interface {uuid} of {service} to vRack {ovh.vrack}",
        fields=(PATH,),
        cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
        vrack=ovh.vrack,
        uuid=uuid,
    )
    return Plan(drift=drift, steps=(step,))


def plan_detach(resource: BareMetalServer, vrack: VrackView | None, now: datetime) -> Plan:
    """Take the server out of its vRack, since it is deleted with deletionPolicy Delete."""
    ovh = resource.spec.ovh
    inside = members(resource, vrack)
    if ovh is None or vrack is None or not inside:
        return Plan()
    waits, steps = [], []
    for uuid in inside:
        what, _, at = resource.external.get(DETACH_ASKED, "").rpartition("@")
        if what == uuid and at.isdigit() and now.timestamp() - int(at) < _WITHIN:
            waits.append(uuid)
        else:
            steps.append(
                DetachInterface(
                    action=Action.DETACH,
                    target=f"interface {uuid} of {service_name_of(resource)} from vRack {vrack.name}",
                    fields=("spec.deletionPolicy",),
                    vrack=vrack.name,
                    uuid=uuid,
                )
            )
    if waits:
        message = f"interface {waits[0]} is being detached from vRack {vrack.name}"
        return Plan(outcome=waiting(Reason.DETACHING_INTERFACE, message, after=LOOK_AGAIN))
    return Plan(steps=tuple(steps[:1]))


def _incompatible(service: str, why: str) -> Outcome:
    message = f"{service} cannot join a vRack: {why} (Eco ranges have none); choose another server"
    return stalled(Reason.VRACK_INCOMPATIBLE, message, after=300.0)


def _elsewhere(interface: Interface, wanted: str) -> Outcome:
    message = (
        f"interface {interface.uuid} is in vRack {interface.vrack}, which is not declared; detach it there, or set"
        f" ovh.vrack to {interface.vrack} instead of {wanted}"
    )
    return stalled(Reason.INTERFACE_IN_OTHER_VRACK, message, after=60.0)
