"""The plan of a VirtualNetwork."""

from __future__ import annotations

from dataclasses import dataclass, field

from sovereigncloud.api.base import DeletionPolicy, Key
from sovereigncloud.api.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, blocked, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.identification import Identified, foreign, written
from sovereigncloud.kinds.network_ranges import ranges
from sovereigncloud.kinds.network_steps import CreateNetwork, DeleteNetwork, MarkNetwork, RecordNetwork, UpdateNetwork
from sovereigncloud.kinds.network_template import Wanted, is_the_same, wanted, was_adopted
from sovereigncloud.kinds.ports import CloudView, Network

_READY = 1
_BEING_DELETED = frozenset({3, 4})
_ERROR = 5
_UPDATE_FAILURE = 6
_SHOWN = 10


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


def is_left_alone(resource: VirtualNetwork) -> bool:
    """Whether it goes without anything being done outside; what was adopted stays unless spec says otherwise."""
    policy = resource.spec.deletion_policy or (
        DeletionPolicy.RETAIN if was_adopted(resource, None) else resource.default_deletion_policy
    )
    return resource.deleting and policy is DeletionPolicy.RETAIN


def plan(resource: VirtualNetwork, observed: NetworkObservation) -> Plan:
    """All differences, the steps, and what the network's state says."""
    if resource.deleting and is_left_alone(resource):
        return Plan()
    problem = observed.problem or observed.found.problem
    if problem is not None:
        return Plan(outcome=problem)
    cloud, network = observed.cloud, observed.found.thing
    if cloud is None:
        return Plan()
    if observed.found.missing is not None and not observed.admitted:
        what = f"network {observed.found.missing} in {where(cloud)}"
        outcome = waiting(
            Reason.CONFIRMING_ABSENCE, f"{what} is missing in the last view; it is looked for again", available=True
        )
        return Plan(absent=True, outcome=outcome)
    if resource.deleting:
        return Plan() if network is None else _deletion(resource, observed, cloud, network)
    try:
        asked = wanted(resource.spec, adopted=was_adopted(resource, network))
        if network is not None:
            return _keeping(resource, observed, cloud, network, asked)
        return _making(resource, observed, cloud)
    except ValueError as error:
        return Plan(outcome=stalled(Reason.INVALID_SPEC, str(error)))


def _making(resource: VirtualNetwork, observed: NetworkObservation, cloud: Key) -> Plan:
    """Make it, or adopt what a person made; a name can be taken once per owner."""
    if observed.namesake is not None:
        return _namesake(resource, observed, cloud, observed.namesake)
    lost = observed.found.missing
    name = f'network "{resource.outside_name}"'
    step = CreateNetwork(
        action=Action.CREATE,
        target=f"{name} in {where(cloud)}",
        cause=Cause.DECLARED if lost is None else Cause.OBSERVED,
        # driftPolicy decides about a network that was lost, never about one that was not made yet.
        fields=() if lost is None else (LOST_PATH,),
        cloud=cloud,
    )
    drift = () if lost is None else (Drift(LOST_PATH, name, f"network {lost} is gone"),)
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _namesake(resource: VirtualNetwork, observed: NetworkObservation, cloud: Key, found: Network) -> Plan:
    what = f'network {found.id} "{found.name}" in {where(cloud)}'
    match ownership(found.mark, observed.mark):
        case Ownership.FOREIGN:
            return Plan(outcome=foreign(found, "network"))
        case Ownership.NONE if observed.adopting and is_the_same(resource.spec, found):
            step = MarkNetwork(action=Action.MARK, target=what, cloud=cloud, network=found.id, adopting=True)
            asked = wanted(resource.spec, adopted=True)
            drift = _attributes(resource, found, asked, cloud)[0]
            return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.ADOPTING, f"{what} is to be adopted"))
        case Ownership.NONE if observed.adopting:
            remedy = "it has another VLAN or other addresses than spec says, so it is not the one that spec means"
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
    outcome = DONE
    if network.state == _UPDATE_FAILURE:
        outcome = stalled(Reason.UPDATE_FAILURE, f"{what}: an update of machines failed (onevnet recover {network.id})")
    first: tuple[Step, ...] = ()
    if observed.found.predecessor:
        first = (MarkNetwork(action=Action.MARK, target=what, cloud=cloud, network=network.id),)
    elif resource.external.get("network") != str(network.id):
        first = (RecordNetwork(action=Action.UPDATE, target=what, inside=True, cloud=cloud, network=network.id),)
    drift, updates = _attributes(resource, network, asked, cloud)
    changed = ranges(resource, network, asked, cloud, observed.view)
    renamed = _renamed(resource, network, what)
    outcome = outcome.merge(changed.outcome).merge(renamed.outcome)
    return Plan(
        drift=(*drift, *changed.drift, *renamed.drift),
        steps=(*first, *updates, *changed.steps),
        outcome=outcome,
    )


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
    if network.name == name:
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
        return Plan()
    users = (*observed.named_by, *_machines(observed, network))
    if users or network.used_leases:
        named = ", ".join(users[:_SHOWN]) or f"{network.used_leases} addresses held or reserved there"
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        return Plan(outcome=blocked(f"{what} is in use by {named}{more}", reason=Reason.IN_USE))
    step = DeleteNetwork(action=Action.DELETE, target=what, cloud=cloud, network=network.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{what} is to be deleted"))


def _machines(observed: NetworkObservation, network: Network) -> tuple[str, ...]:
    vms = observed.view.vms.values() if observed.view is not None else ()
    return tuple(f'VM {vm.id} "{vm.name}"' for vm in vms if any(nic.network_id == network.id for nic in vm.nics))
