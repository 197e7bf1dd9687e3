"""The condition Compliant of a cloud: whether the policies that bind it are met by where its parts are and who provides it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.kinds.location.facts import facts_of_cloud
from sovereigncloud.sovereignty.evaluation import COMPLIANT, compliance, evaluate
from sovereigncloud.sovereignty.rules import Rules

_AS_LAST_SEEN = "; as last seen, since the cloud does not answer"


def judged(
    cloud: SovereignCloud, policies: Iterable[Rules], profile: ProviderProfile | None, *, answers: bool
) -> Mapping[str, str] | None:
    """The condition; None where no policy binds the cloud.

    Args:
        cloud: with the locations that its status will have.
        policies: that bind it.
        profile: that it names, if that is there.
        answers: whether its parts could be looked at just now.
    """
    facts, where = facts_of_cloud(cloud, profile), cloud.metadata
    results = [r for rules in policies for r in evaluate(rules, facts, namespace=where.namespace, name=where.name)]
    found = compliance(results)
    if found is None or answers or not cloud.status.locations:
        return found
    return {**found, "message": f"{found['message']}{_AS_LAST_SEEN}"}


def judged_before(cloud: SovereignCloud) -> Mapping[str, str] | None:
    """The condition as status has it."""
    found = cloud.status.condition(COMPLIANT)
    if found is None:
        return None
    return {"type": COMPLIANT, "status": str(found.status), "reason": found.reason, "message": found.message}
