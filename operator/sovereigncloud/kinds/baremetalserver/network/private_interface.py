"""The private interface of a server and the vRack that it is to be in.

Attach the enabled virtual network interface of mode vrack_aggregation or vrack (facts: a Scale or High Grade server has
one); an interface sits in at most one vRack, and moving it is detach, wait, attach. It is taken out of another vRack only
where that is ours to do: the server is ours and so is that vRack, or it was declared before, or spec consents by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import OVH_INSTALLATION, Mark, Ownership, mark_from_ovh, ownership
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.baremetalserver.identity import service_name_of
from sovereigncloud.kinds.planning.pending_writes import Asked, pending
from sovereigncloud.ports.ovh.account import Interface, Ovh, VrackView
from sovereigncloud.ports.ovh.vrack import Eligibility

PRIVATE_MODES = ("vrack_aggregation", "vrack")
PATH = "spec.ovh.vrack"
ASKED = "attachAsked"
DETACH_ASKED = "detachAsked"
HELD = "vrack"
"""The fact that remembers the vRack in which the server was as declared: what spec said before is ours to change."""

_WITHIN = 600.0  # vRack tasks take minutes; afterwards the request is made again
LOOK_AGAIN = 5.0
_POLL = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachInterface(Step):
    vrack: str
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachInterface(Step):
    vrack: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Joining:
    """What says whether an interface may be moved and may join.

    Attributes:
        mark: that of the object at hand; None: not looked at.
        tags: of the server.
        vracks: tags of every vRack of the account, by its name.
        eligibility: None: not asked, since nothing is to join.
    """

    mark: Mark | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    vracks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    eligibility: Eligibility | None = None


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


def private_interfaces(found: Iterable[Interface]) -> tuple[Interface, ...]:
    """Those that lead to a vRack, an aggregation before a single card."""
    usable = (i for i in found if i.enabled and i.mode in PRIVATE_MODES)
    return tuple(sorted(usable, key=lambda i: (PRIVATE_MODES.index(i.mode), i.uuid)))


async def look_who_may_join(
    resource: BareMetalServer, client: Ovh, interfaces: Iterable[Interface], joining: Joining, now: datetime
) -> Joining:
    """Ask what may join the vRack, while a free interface is about to."""
    wanted = resource.spec.ovh.vrack if resource.spec.ovh else None
    private = private_interfaces(interfaces)
    free = next((i for i in private if not i.vrack), None)
    if not wanted or wanted not in joining.vracks or free is None or any(i.vrack == wanted for i in private):
        return joining
    if pending(resource, _attaching(wanted, free.uuid), now):
        return joining
    return replace(joining, eligibility=await client.vracks.eligible(wanted))


def plan_interface(
    resource: BareMetalServer,
    vrack: VrackView | None,
    interfaces: Iterable[Interface] | None,
    now: datetime,
    joining: Joining = Joining(),
) -> Plan:
    """Bring the private interface into the declared vRack. `interfaces`: None when they were not read."""
    ovh = resource.spec.ovh
    if ovh is None or not ovh.vrack:
        return Plan()
    if vrack is None:
        message = f"the account has no vRack {ovh.vrack}, or the credential may not see it; check ovh.vrack"
        return Plan(outcome=stalled(Reason.VRACK_NOT_FOUND, message, after=300.0))
    found = tuple(interfaces) if interfaces is not None else None
    if found is not None and not found:
        return Plan(outcome=_incompatible(resource, "it has no virtual network interface (Eco ranges have none)"))
    if attached(resource, vrack):
        return _as_declared(resource, ovh.vrack)
    drift = (Drift(PATH, ovh.vrack, "not attached"),)
    if found is None:
        message = f"reading the interfaces of {service_name_of(resource)}"
        return Plan(drift=drift, outcome=waiting(Reason.READING_INTERFACES, message))
    private = private_interfaces(found)
    if not private:
        return Plan(outcome=_incompatible(resource, _why_none(found)))
    if any(i.vrack == ovh.vrack for i in private):
        return Plan()  # the interface itself is newer than the view
    free = next((i for i in private if not i.vrack), None)
    if free is None:
        return _move_out(resource, private[0], joining, now)
    return replace(_join(resource, free, joining, now), drift=drift)


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


# --- joining ---------------------------------------------------------------------------------------------------------


def _join(resource: BareMetalServer, free: Interface, joining: Joining, now: datetime) -> Plan:
    vrack = resource.spec.ovh.vrack if resource.spec.ovh else None
    if not vrack:
        return Plan()
    if pending(resource, _attaching(vrack, free.uuid), now):
        message = f"interface {free.uuid} is being attached to vRack {vrack}"
        available = resource.settled
        return Plan(outcome=waiting(Reason.ATTACHING_INTERFACE, message, after=LOOK_AGAIN, available=available))
    refused = _not_eligible(resource, free, vrack, joining.eligibility)
    if refused is not None:
        return Plan(outcome=refused)
    step = AttachInterface(
        action=Action.ATTACH,
        target=f"interface {free.uuid} of {service_name_of(resource)} to vRack {vrack}",
        fields=(PATH,),
        cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
        vrack=vrack,
        uuid=free.uuid,
    )
    return Plan(steps=(step,))


def _not_eligible(
    resource: BareMetalServer, free: Interface, vrack: str, eligibility: Eligibility | None
) -> Outcome | None:
    """What OVHcloud itself says about this interface and this vRack; None: it may join, or nobody asked."""
    if eligibility is None or (eligibility.interfaces is not None and free.uuid in eligibility.interfaces):
        return None
    if eligibility.interfaces is None:
        message = f"OVHcloud is looking whether interface {free.uuid} may join vRack {vrack}"
        return waiting(Reason.CHECKING_ELIGIBILITY, message, after=_POLL, available=resource.settled)
    if eligibility.errors:
        names = ", ".join(sorted(eligibility.errors)[:5])
        message = f"OVHcloud could not look at all that may join vRack {vrack} ({names}); it is asked again"
        return waiting(Reason.CHECKING_ELIGIBILITY, message, after=60.0, available=resource.settled)
    return _incompatible(resource, f"OVHcloud does not list its interface {free.uuid} as eligible for vRack {vrack}")


# --- leaving another vRack --------------------------------------------------------------------------------------------


def _move_out(resource: BareMetalServer, inside: Interface, joining: Joining, now: datetime) -> Plan:
    """It sits in another vRack: taken out where that is ours to do, attached once it is out."""
    wanted = resource.spec.ovh.vrack if resource.spec.ovh else None
    if not wanted:
        return Plan()
    drift = (Drift(PATH, wanted, inside.vrack),)
    if not _ours_to_move(resource, inside.vrack, joining):
        return Plan(drift=drift, outcome=_elsewhere(inside, wanted))
    if pending(resource, Asked(DETACH_ASKED, inside.uuid, PATH, _WITHIN), now):
        message = f"interface {inside.uuid} is being detached from vRack {inside.vrack}, then it joins {wanted}"
        available = resource.settled
        return Plan(
            drift=drift, outcome=waiting(Reason.DETACHING_INTERFACE, message, after=LOOK_AGAIN, available=available)
        )
    step = DetachInterface(
        action=Action.DETACH,
        target=f"interface {inside.uuid} of {service_name_of(resource)} from vRack {inside.vrack}, which cuts its machines off"
        f" from that network until it is in {wanted}",
        fields=(PATH,),
        disruption=Disruption.RESTART,
        cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
        vrack=inside.vrack,
        uuid=inside.uuid,
    )
    return Plan(drift=drift, steps=(step,))


def _ours_to_move(resource: BareMetalServer, other: str, joining: Joining) -> bool:
    """Whether the membership is ours to end: by consent, or since the server is ours and the vRack is, or was declared."""
    if resource.spec.ovh is not None and resource.spec.ovh.move_from == other:
        return True
    if joining.mark is None:
        return False
    found = mark_from_ovh(joining.tags)
    if ownership(found, joining.mark) not in {Ownership.OURS, Ownership.PREDECESSOR}:
        return False
    declared = resource.external.get(HELD) == other
    return declared or joining.vracks.get(other, {}).get(OVH_INSTALLATION) == joining.mark.installation


def _elsewhere(interface: Interface, wanted: str) -> Outcome:
    message = (
        f"interface {interface.uuid} is in vRack {interface.vrack}, which is not this installation's: what it does there"
        f" would be cut off. Set moveFrom: {interface.vrack} beside the server's name to consent, detach it there, or set"
        f" ovh.vrack to {interface.vrack} instead of {wanted}"
    )
    return stalled(Reason.INTERFACE_IN_OTHER_VRACK, message, after=60.0)


# --- words -----------------------------------------------------------------------------------------------------------


def _attaching(vrack: str, uuid: str) -> Asked:
    return Asked(ASKED, f"{vrack} {uuid}", PATH, _WITHIN)


def _as_declared(resource: BareMetalServer, vrack: str) -> Plan:
    """Nothing to do, since it is seen there. What was asked for is forgotten, and where it is as declared is remembered."""
    facts = {key: "" for key in (ASKED, DETACH_ASKED) if resource.external.get(key)}
    if resource.external.get(HELD) != vrack:
        facts[HELD] = vrack
    return Plan(outcome=DONE.with_facts(**facts) if facts else DONE)


def _why_none(found: Iterable[Interface]) -> str:
    private = sorted(i.uuid for i in found if i.mode in PRIVATE_MODES)
    if private:
        return f"its private interface {private[0]} is disabled, which only OVHcloud's support can change"
    modes = ", ".join(sorted({i.mode for i in found}))
    return f"none of its interfaces leads to a vRack (modes: {modes})"


def _incompatible(resource: BareMetalServer, why: str) -> Outcome:
    message = f"{service_name_of(resource)} cannot join a vRack: {why}; choose another server"
    return stalled(Reason.VRACK_INCOMPATIBLE, message, after=300.0)
