"""The plan of a VirtualNetwork."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, blocked, merge, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.identity.identification import Identified, foreign, looked_for_again, written
from sovereigncloud.kinds.identity.name_resolution import Coming
from sovereigncloud.kinds.securitygroup.names import Place, named_groups, names_of
from sovereigncloud.kinds.virtualnetwork.address_ranges import ranges
from sovereigncloud.kinds.virtualnetwork.adoption import adoption, is_let_go
from sovereigncloud.kinds.virtualnetwork.adoption import release as let_go
from sovereigncloud.kinds.virtualnetwork.held_addresses import holds, release
from sovereigncloud.kinds.virtualnetwork.leases import on_hold
from sovereigncloud.kinds.virtualnetwork.reservation import is_just_made, mark, parent_of, reserve
from sovereigncloud.kinds.virtualnetwork.steps import (
    CreateNetwork,
    DeleteNetwork,
    MarkNetwork,
    RecordNetwork,
    UpdateNetwork,
)
from sovereigncloud.kinds.virtualnetwork.template import Wanted, is_the_same, wanted, was_adopted
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.views import CloudView, Network

_READY = 1
_BEING_DELETED = frozenset({3, 4})
_ERROR = 5
_UPDATE_FAILURE = 6
_SHOWN = 10
_GROUPS = "spec.securityGroups"


@dataclass(frozen=True, slots=True)
class NetworkObservation:
    """What was seen.

    Attributes:
        mark: what the network carries.
        cloud: where it is; None: nothing is to be looked at.
        problem: why nothing can be looked at.
        view: of the cloud.
        found: the network.
        namesake: another network of that name under the same owner: no second one can be made.
        adopting: whether the cloud was built by a person, so that a namesake is what spec means.
        admitted: whether an absence in the view may be taken as a fact.
        named_by: the instances whose spec names it.
    """

    mark: Mark
    cloud: Key | None = None
    problem: Outcome | None = None
    view: CloudView | None = None
    found: Identified[Network] = field(default_factory=Identified)
    namesake: Network | None = None
    adopting: bool = False
    admitted: bool = False
    named_by: tuple[str, ...] = ()
    on_their_way: tuple[Coming, ...] = ()
    """Custom resources that are to bring what spec names and the view lacks."""


def is_left_alone(resource: VirtualNetwork) -> bool:
    """Whether it goes without anything being done outside."""
    return resource.deleting and resource.deletion_policy is DeletionPolicy.RETAIN and not resource.adopted


def plan(resource: VirtualNetwork, observed: NetworkObservation) -> Plan:
    """All differences, the steps, and what the network's state says."""
    if is_left_alone(resource):
        return Plan()
    if is_let_go(resource):
        return let_go(observed.problem, observed.found, observed.cloud)
    problem = observed.problem or observed.found.problem
    if problem is not None:
        return Plan(outcome=problem)
    cloud, network = observed.cloud, observed.found.thing
    if cloud is None:
        return Plan()
    if observed.found.missing is not None and not observed.admitted:
        return looked_for_again(f"network {observed.found.missing} in {where(cloud)}")
    if resource.deleting:
        return Plan() if network is None else _deletion(resource, observed, cloud, network)
    try:
        asked = wanted(resource.spec, adopted=was_adopted(resource, network))
        if network is not None:
            return _keeping(resource, observed, cloud, network, asked)
        return _making(resource, observed, cloud, asked)
    except ValueError as error:
        return Plan(outcome=stalled(Reason.INVALID_SPEC, str(error)))


def _making(resource: VirtualNetwork, observed: NetworkObservation, cloud: Key, asked: Wanted) -> Plan:
    """Make it, or adopt what a person made; a name can be taken once per owner."""
    parent = parent_of(resource, observed.view, observed.on_their_way, cloud)
    groups = _groups(resource, observed, cloud)
    if observed.namesake is not None:
        if isinstance(parent, Network) and is_just_made(resource, parent, observed.namesake):
            return mark(cloud, observed.namesake)
        return _namesake(resource, observed, cloud, observed.namesake, parent)
    trouble = merge(one for one in (parent, groups) if isinstance(one, Outcome))
    if trouble is not DONE or isinstance(parent, Outcome) or isinstance(groups, Outcome):
        return Plan(outcome=trouble)
    lost = observed.found.missing
    if parent is not None:
        cause = Cause.DECLARED if lost is None else Cause.OBSERVED
        return reserve(resource, parent, asked, cloud, observed.view, cause)
    name = f'network "{resource.outside_name}"'
    step = CreateNetwork(
        action=Action.CREATE,
        target=f"{name} in {where(cloud)}",
        cause=Cause.DECLARED if lost is None else Cause.OBSERVED,
        # driftPolicy decides about a network that was lost, never about one that was not made yet.
        fields=() if lost is None else (LOST_PATH,),
        cloud=cloud,
        groups=tuple(sorted(group.id for group in groups)),
    )
    drift = () if lost is None else (Drift(LOST_PATH, name, f"network {lost} is gone"),)
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _groups(resource: VirtualNetwork, observed: NetworkObservation, cloud: Key) -> tuple[SecurityGroup, ...] | Outcome:
    """The security groups that new cards are to have."""
    if observed.view is None or resource.spec.security_groups is None:
        return ()
    return named_groups(
        resource.spec.security_groups, Place(cloud, observed.view, observed.mark, observed.on_their_way)
    )


def _namesake(
    resource: VirtualNetwork,
    observed: NetworkObservation,
    cloud: Key,
    found: Network,
    parent: Network | Outcome | None,
) -> Plan:
    what = f'network {found.id} "{found.name}" in {where(cloud)}'
    match ownership(found.mark, observed.mark):
        case Ownership.FOREIGN:
            return Plan(outcome=foreign(found, "network"))
        case Ownership.NONE if observed.adopting and (
            is_the_same(resource.spec, found) or (isinstance(parent, Network) and found.parent == parent.id)
        ):
            step = adoption(found, cloud)
            asked = wanted(resource.spec, adopted=True)
            drift = _attributes(resource, found, asked, cloud)[0]
            return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.ADOPTING, f"{what} is to be adopted"))
        case Ownership.NONE if observed.adopting:
            remedy = (
                "it has another VLAN or bridge, or other addresses than spec says, so it is not the one that spec means"
            )
        case Ownership.NONE:
            remedy = f"if it is the one that spec means, add to its template: {written(observed.mark)}"
        case _:
            remedy = f"it belongs to {found.mark.object.replace('/', ' ', 1) if found.mark else 'nobody'}"
    message = f"{what} has the name already; {remedy}; else set another spec.name, or rename it there"
    return Plan(outcome=stalled(Reason.NAME_TAKEN, message))


def _keeping(
    resource: VirtualNetwork, observed: NetworkObservation, cloud: Key, network: Network, asked: Wanted
) -> Plan:
    what = f'network {network.id} "{network.name}" in {where(cloud)}'
    if network.state in _BEING_DELETED:
        return Plan(outcome=waiting(Reason.DELETING, f"{what} is being deleted"))
    if network.state == _ERROR:
        return Plan(
            outcome=stalled(
                Reason.NETWORK_ERROR, f"{what} is in state Error; recover it there (onevnet recover {network.id})"
            )
        )
    if network.state not in {_READY, _UPDATE_FAILURE}:
        return Plan(outcome=waiting(Reason.NETWORK_NOT_READY, f"{what} is not ready yet"))
    outcome = _machines_updated(network, observed.view, what)
    first: tuple[Step, ...] = ()
    if observed.found.adoptable:
        first = (adoption(network, cloud),)
    elif observed.found.predecessor:
        first = (MarkNetwork(action=Action.MARK, target=what, cloud=cloud, network=network.id),)
    elif _is_unrecorded(resource, network):
        owner = network.owner if was_adopted(resource, network) else None
        record = RecordNetwork(action=Action.UPDATE, target=what, inside=True, cloud=cloud, network=network.id)
        first = (replace(record, adopted=owner),)
    drift, updates = _attributes(resource, network, asked, cloud)
    parts = [
        _filtered(resource, observed, network, cloud, what),
        _ranged(resource, observed, network, cloud, asked),
        holds(resource, network, asked, cloud, observed.view),
        _renamed(resource, network, what),
    ]
    return Plan(
        drift=(*drift, *(entry for part in parts for entry in part.drift)),
        steps=(*first, *updates, *(step for part in parts for step in part.steps)),
        outcome=merge((outcome, *(part.outcome for part in parts))),
    )


def _machines_updated(network: Network, view: CloudView | None, what: str) -> Outcome:
    """OpenNebula brings a change of the network to the machines that are on it."""
    if network.state == _UPDATE_FAILURE or network.failed:
        names = ", ".join(_vm_name(number, view) for number in network.failed[:_SHOWN])
        told = f"{what}: an update of machines failed" + (f": {names}" if names else "")
        message = f"{told}; see their logs on the front-end, then onevnet recover --retry {network.id}"
        return stalled(Reason.UPDATE_FAILURE, message)
    if network.outdated:
        message = f"{what}: {len(network.outdated)} of {len(network.vms)} machines are not updated yet"
        return waiting(Reason.UPDATING, message, available=True)
    return DONE


def _vm_name(number: int, view: CloudView | None) -> str:
    vm = view.vms.get(number) if view is not None else None
    return f'VM {number} "{vm.name}"' if vm is not None else f"VM {number}"


def _ranged(
    resource: VirtualNetwork, observed: NetworkObservation, network: Network, cloud: Key, asked: Wanted
) -> Plan:
    """Of a reservation the network that it is from is known by its id: spec names it, and it may have another name now."""
    view = observed.view
    parent = parent_of(resource, view, observed.on_their_way, cloud)
    known = view.networks.get(network.parent) if view is not None else None
    if parent is None or known is None:
        return Plan(outcome=parent) if isinstance(parent, Outcome) else ranges(resource, network, asked, cloud, view)
    plan = ranges(resource, network, asked, cloud, view, known)
    if isinstance(parent, Network) and parent.id == known.id:
        return plan
    named = resource.spec.reservation.from_ if resource.spec.reservation is not None else ""
    message = (
        f'network {network.id} is reserved from network {known.id}, which is called "{known.name}" and not "{named}"'
    )
    return Plan(
        drift=(Drift("spec.reservation.from", named, known.name, mendable=False), *plan.drift),
        steps=plan.steps,
        outcome=plan.outcome.merge(stalled(Reason.RENAMED, f"{message}; rename it there (onevnet rename {known.id})")),
    )


def _filtered(resource: VirtualNetwork, observed: NetworkObservation, network: Network, cloud: Key, what: str) -> Plan:
    """The security groups that new cards get; those that are there keep theirs."""
    if resource.spec.security_groups is None or observed.view is None:
        return Plan()
    groups = _groups(resource, observed, cloud)
    there = {int(one) for one in network.attributes.get("SECURITY_GROUPS", "").split(",") if one.strip().isdigit()}
    shown = names_of(there, observed.view)
    if isinstance(groups, Outcome):
        desired = ",".join(sorted(resource.spec.security_groups))
        return Plan(drift=(Drift(_GROUPS, desired, shown),), outcome=groups)
    aim = {group.id for group in groups}
    if aim == there:
        return Plan()
    step = UpdateNetwork(
        action=Action.UPDATE,
        target=f"{what}: security groups",
        fields=(_GROUPS,),
        cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
        cloud=cloud,
        network=network.id,
        attributes=(("SECURITY_GROUPS", ",".join(map(str, sorted(aim)))),),
    )
    return Plan(drift=(Drift(_GROUPS, names_of(aim, observed.view), shown),), steps=(step,))


def _is_unrecorded(resource: VirtualNetwork, network: Network) -> bool:
    """Its number, or whose it is where spec names it by that, is not in status."""
    adopt = resource.spec.adopt
    lacks_owner = adopt is not None and adopt.id == str(network.id) and OWNER_FACT not in resource.external
    return resource.external.get("network") != str(network.id) or lacks_owner


def _attributes(
    resource: VirtualNetwork, network: Network, asked: Wanted, cloud: Key
) -> tuple[tuple[Drift, ...], tuple[Step, ...]]:
    """One entry and one step per field of spec, since each field may have its own drift policy."""
    drift: list[Drift] = []
    steps: list[Step] = []
    for path, values in asked.attributes.items():
        different = {key: value for key, value in values.items() if network.attributes.get(key, "") != value}
        if not different:
            continue
        observed = {key: network.attributes.get(key, "") for key in different}
        alone = len(values) == 1
        drift.append(Drift(path, _shown(different, alone=alone), _shown(observed, alone=alone)))
        steps.append(
            UpdateNetwork(
                action=Action.UPDATE,
                target=f'network {network.id} "{network.name}" in {where(cloud)}',
                fields=(path,),
                cause=Cause.OBSERVED if resource.settled else Cause.DECLARED,
                cloud=cloud,
                network=network.id,
                attributes=tuple(different.items()),
            )
        )
    return tuple(drift), tuple(steps)


def _shown(values: dict[str, str], *, alone: bool) -> str:
    if alone:
        return next(iter(values.values()))
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _renamed(resource: VirtualNetwork, network: Network, what: str) -> Plan:
    """Instances find a network by its name, so that a renamed one is lost to new ones."""
    name = resource.outside_name
    if network.name == name or (resource.adopted and resource.spec.name is None and resource.spec.adopt is not None):
        return Plan()
    return Plan(
        drift=(Drift("spec.name", name, network.name),),
        outcome=stalled(
            Reason.RENAMED,
            f'{what} should be called "{name}"; rename it there (onevnet rename {network.id}), or set spec.name',
        ),
    )


def _deletion(resource: VirtualNetwork, observed: NetworkObservation, cloud: Key, network: Network) -> Plan:
    """It waits until nobody uses it, then it goes."""
    what = f'network {network.id} "{network.name}" in {where(cloud)}'
    if network.state in _BEING_DELETED:
        return Plan(outcome=waiting(Reason.DELETING, f"{what} is being deleted"))
    if was_adopted(resource, network) and resource.spec.deletion_policy is None:
        return let_go(None, observed.found, cloud)  # noted on it; the status was lost
    users = (*observed.named_by, *_machines(observed, network), *_reservations(observed, network))
    ours = sorted(on_hold(network) & set(resource.spec.held or ()))
    if users or network.used_leases > len(ours):
        named = ", ".join(users[:_SHOWN]) or f"{network.used_leases - len(ours)} addresses held or reserved there"
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        return Plan(outcome=blocked(f"{what} is in use by {named}{more}", reason=Reason.IN_USE))
    if ours:
        return Plan(
            steps=tuple(release(cloud, network, ip, Cause.DECLARED) for ip in ours),
            outcome=waiting(Reason.DELETING, f"{what}: addresses on hold are freed first"),
        )
    step = DeleteNetwork(action=Action.DELETE, target=what, cloud=cloud, network=network.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{what} is to be deleted"))


def _machines(observed: NetworkObservation, network: Network) -> tuple[str, ...]:
    vms = observed.view.vms.values() if observed.view is not None else ()
    return tuple(f'VM {vm.id} "{vm.name}"' for vm in vms if any(nic.network_id == network.id for nic in vm.nics))


def _reservations(observed: NetworkObservation, network: Network) -> tuple[str, ...]:
    networks = observed.view.networks.values() if observed.view is not None else ()
    return tuple(f'reservation {other.id} "{other.name}"' for other in networks if other.parent == network.id)
