"""Eviction: whether a VM has to leave its cloud because of spec.placement or a policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.api.common.base import Consent, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.plan import Drift
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation, VmLocation
from sovereigncloud.kinds.movement.placement_override import PLACEMENT_OVERRIDDEN, overridden_by
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.sovereignty.countries import expanded

NEEDS_MOVE = "spec.updatePolicy.move: Allow"


@dataclass(frozen=True, slots=True)
class Eviction:
    """Reason and terms of an eviction.

    Attributes:
        drift: fields of spec that the current cloud violates; none if a policy evicts.
        to: the cloud that spec names; None: any allowed one.
        because: result of the policy that evicts; empty if spec does.
        by_itself: whether the operator may move the VM without further consent.
        remedy: change of spec or policy that would let the VM stay.
    """

    drift: tuple[Drift, ...]
    to: Key | None
    because: str
    by_itself: bool
    remedy: str


def find_eviction(resource: HostedInstance, cloud: Key, wanted: Key | None, there: VmLocation) -> Eviction | None:
    """Decide whether a VM has to leave its cloud; None if it may stay.

    Checked in this order: the named cloud, other fields of spec.placement, policies.

    Args:
        resource: its instance, without a placement that an exit overrides.
        cloud: that the VM is in.
        wanted: the cloud that spec names; None: none.
        there: location of the VM in its cloud.
    """
    policy = resource.spec.update_policy
    consent = policy.move if policy is not None else None
    named = wanted if resource.spec.placement is not None else None
    if named is not None and named != cloud:
        drift = Drift("spec.placement.cloudRef", where(named), where(cloud))
        stay = f"spec.placement.cloudRef.name: {cloud.name}"
        return Eviction((drift,), named, "", consent is Consent.ALLOW, stay)
    excluded = _excluded(resource, cloud, there)
    if excluded:
        stay = f"{excluded[0].path} so that it allows {excluded[0].observed}"
        return Eviction(excluded, named, "", consent is Consent.ALLOW, stay)
    if there.leave:
        return Eviction((), named, there.leave[0], consent is not Consent.DENY, "an exception in the policy")
    return None


def _excluded(resource: HostedInstance, cloud: Key, there: VmLocation) -> tuple[Drift, ...]:
    wish = resource.spec.placement
    if wish is None or not (wish.countries or wish.labels):
        return ()
    return tuple(filter(None, (_country_drift(resource, there), _label_drift(resource, cloud, there))))


def _country_drift(resource: HostedInstance, there: VmLocation) -> Drift | None:
    wish = resource.spec.placement
    if wish is None or not wish.countries or not there.places:
        return None
    allowed = expanded(wish.countries)
    outside = [place for place in there.places if place.country not in allowed]
    if not outside:
        return None
    told = ", ".join(f"{place.country or 'an unknown country'} ({place.what})" for place in outside)
    return Drift("spec.placement.countries", ", ".join(wish.countries), told)


def _label_drift(resource: HostedInstance, cloud: Key, there: VmLocation) -> Drift | None:
    wish = resource.spec.placement
    if wish is None or not wish.labels:
        return None
    if all(there.labels.get(name) == value for name, value in wish.labels.items()):
        return None
    told = ",".join(f"{name}={there.labels[name]}" for name in sorted(wish.labels) if name in there.labels)
    wanted = ",".join(f"{name}={value}" for name, value in sorted(wish.labels.items()))
    return Drift("spec.placement.labels", wanted, f"{told or 'none of them'} on {where(cloud)}")


def placement_overridden(
    resource: HostedInstance, observed: InstanceObservation, vm: Vm
) -> tuple[Mapping[str, str], ...]:
    """Condition PlacementOverridden, while spec.placement excludes the cloud that the VM is in."""
    plan = overridden_by(resource, vm)
    says = _excluded_by_spec(resource, observed) if plan else ""
    if not says or observed.cloud is None:
        return ()
    message = (
        f"ExitPlan {plan} moved it to {where(observed.cloud)}, and {says}: this is not drift, and nothing moves it back. Update"
        " spec.placement to allow the current cloud, or create an InstanceMigration to move it back"
    )
    return ({"type": PLACEMENT_OVERRIDDEN, "status": "True", "reason": Reason.PLACED_BY_EXIT, "message": message},)


def reported_override(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """Keep the reported condition while the VM cannot be observed."""
    found = resource.status.condition(PLACEMENT_OVERRIDDEN)
    if found is None:
        return ()
    return ({"type": found.type, "status": str(found.status), "reason": found.reason, "message": found.message},)


def _excluded_by_spec(resource: HostedInstance, observed: InstanceObservation) -> str:
    """Part of spec.placement that excludes the current cloud; empty: none."""
    if observed.cloud is None:
        return ""
    why = find_eviction(resource, observed.cloud, observed.wanted, observed.vm_location)
    return f"{why.drift[0].path} says {why.drift[0].desired}" if why is not None and why.drift else ""
