"""The condition Compliant of a cloud.

Its locations and provider evaluated against the policies that bind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.kinds.location.facts import facts_of_cloud
from sovereigncloud.sovereignty.evaluation import COMPLIANT, compliance, evaluate
from sovereigncloud.sovereignty.rules import Rules

_STALE = "; as last seen, since the cloud does not answer"


def compliant_condition(
    cloud: SovereignCloud, policies: Iterable[Rules], profile: ProviderProfile | None, *, answers: bool
) -> Mapping[str, str] | None:
    """Return the condition Compliant; None if no policy binds the cloud.

    Args:
        cloud: with the locations that its status will have.
        policies: the rules that bind it.
        profile: the ProviderProfile that it references, if it exists.
        answers: whether the locations are current; otherwise the message says that they are as last seen.
    """
    facts, where = facts_of_cloud(cloud, profile), cloud.metadata
    results = [r for rules in policies for r in evaluate(rules, facts, namespace=where.namespace, name=where.name)]
    found = compliance(results)
    if found is None or answers or not cloud.status.locations:
        return found
    return {**found, "message": f"{found['message']}{_STALE}"}


def last_compliant_condition(cloud: SovereignCloud) -> Mapping[str, str] | None:
    """Return the condition Compliant as status has it; None: none."""
    found = cloud.status.condition(COMPLIANT)
    if found is None:
        return None
    return {"type": COMPLIANT, "status": str(found.status), "reason": found.reason, "message": found.message}
