"""Whether a machine should be somewhere else than it is: what its spec excludes, and what a policy wants it to leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Consent, Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.plan import Drift
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import Whereabouts
from sovereigncloud.sovereignty.countries import expanded

NEEDS_MOVE = "spec.updatePolicy.move: Allow"


@dataclass(frozen=True, slots=True)
class Leaving:
    """It should.

    Attributes:
        drift: what spec asks for and is not so; none: a policy asks.
        to: the cloud that spec names; None: any that it may be in.
        because: what a policy says; empty: spec says it.
        by_itself: it goes there by itself: spec lets it, or the policy that wants it says so and spec does not say no.
        remedy: what in spec, or in the policy, would let it stay.
    """

    drift: tuple[Drift, ...]
    to: Key | None
    because: str
    by_itself: bool
    remedy: str


def leaving(resource: HostedInstance, cloud: Key, wanted: Key | None, there: Whereabouts) -> Leaving | None:
    """None: it is where it may be. The named cloud first, then what else is asked for, then policies.

    Args:
        resource: whose machine it is, without a placement that an exit overrode.
        cloud: in which it is.
        wanted: that spec names; None: none.
        there: where in it.
    """
    policy = resource.spec.update_policy
    consent = policy.move if policy is not None else None
    named = wanted if resource.spec.placement is not None else None
    if named is not None and named != cloud:
        drift = Drift("spec.placement.cloudRef", where(named), where(cloud))
        stay = f"spec.placement.cloudRef.name: {cloud.name}"
        return Leaving((drift,), named, "", consent is Consent.ALLOW, stay)
    excluded = _excluded(resource, cloud, there)
    if excluded:
        stay = f"{excluded[0].path} so that it allows {excluded[0].observed}"
        return Leaving(excluded, named, "", consent is Consent.ALLOW, stay)
    if there.leave:
        return Leaving((), named, there.leave[0], consent is not Consent.DENY, "an exception in the policy")
    return None


def _excluded(resource: HostedInstance, cloud: Key, there: Whereabouts) -> tuple[Drift, ...]:
    wish = resource.spec.placement
    if wish is None or not (wish.countries or wish.labels):
        return ()
    return tuple(filter(None, (_abroad(resource, there), _otherwise_labelled(resource, cloud, there))))


def _abroad(resource: HostedInstance, there: Whereabouts) -> Drift | None:
    wish = resource.spec.placement
    if wish is None or not wish.countries or not there.places:
        return None
    allowed = expanded(wish.countries)
    outside = [place for place in there.places if place.country not in allowed]
    if not outside:
        return None
    told = ", ".join(f"{place.country or 'an unknown country'} ({place.what})" for place in outside)
    return Drift("spec.placement.countries", ", ".join(wish.countries), told)


def _otherwise_labelled(resource: HostedInstance, cloud: Key, there: Whereabouts) -> Drift | None:
    wish = resource.spec.placement
    if wish is None or not wish.labels:
        return None
    if all(there.labels.get(name) == value for name, value in wish.labels.items()):
        return None
    told = ",".join(f"{name}={there.labels[name]}" for name in sorted(wish.labels) if name in there.labels)
    wanted = ",".join(f"{name}={value}" for name, value in sorted(wish.labels.items()))
    return Drift("spec.placement.labels", wanted, f"{told or 'none of them'} on {where(cloud)}")
