"""What status says of where a machine runs, and of what was considered when it was placed."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_placement import MAX_CONSIDERED
from sovereigncloud.core.conditions import Json
from sovereigncloud.core.placement import Decision
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.ports.opennebula.views import Vm

_MAX_REASON = 1024


def placement_status(resource: HostedInstance, observed: InstanceObservation, vm: Vm) -> Json:
    """Of a machine that is there: where it is now, and what was considered then."""
    there = observed.whereabouts
    # Before anybody has looked where each host is, the cloud as a whole may tell.
    country = there.country if there.places else observed.site.country
    return {
        "cloud": where(observed.cloud) if observed.cloud is not None else None,
        "cluster": there.cluster or None,
        "host": vm.host or None,
        "zone": observed.site.zone or None,
        "country": country or None,
        "datacenter": there.datacenter or None,
        "considered": _kept(resource),
    }


def placement_to_be(resource: HostedInstance, observed: InstanceObservation) -> Json | None:
    """Of one that is not there: where it is to be made, or why nowhere. None: there was nothing to choose."""
    chosen = observed.chosen
    if chosen is None:
        return None
    before = _kept(resource)
    fresh = _considered(chosen.decision)
    if chosen.cloud is None or chosen.decision.chosen is None:
        return {"considered": fresh}
    place = chosen.decision.chosen
    known = resource.status.placement
    # As it was decided: how much room there is now is no news.
    decided = known is not None and (known.cloud, known.cluster or "") == (place.cloud, place.cluster)
    return {
        "cloud": place.cloud,
        "cluster": place.cluster or None,
        "considered": before if decided and before else fresh,
    }


def compliant(observed: InstanceObservation) -> tuple[Mapping[str, str], ...]:
    """The condition, where a policy binds the machine."""
    found = observed.whereabouts.compliant
    return () if found is None else (found,)


def _kept(resource: HostedInstance) -> list[Json] | None:
    known = resource.status.placement
    if known is None or known.considered is None:
        return None
    return [one.model_dump(by_alias=True, exclude_none=True) for one in known.considered]


def _considered(decision: Decision) -> list[Json]:
    """The first, which are the chosen one and the best, and the refused ones as far as there is room."""
    return [
        {
            "cloud": one.cloud,
            "cluster": one.cluster or None,
            "verdict": str(one.verdict),
            "score": one.score,
            "reason": one.reason[:_MAX_REASON],
        }
        for one in decision.considered[:MAX_CONSIDERED]
    ]
