"""Whether the disks of a machine may lie where they are on their way to another cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.location.facts import facts_of_marketplace
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.sovereignty.evaluation import Verdict, evaluate
from sovereigncloud.sovereignty.facts import Place


def lying_abroad(
    markets: Iterable[Marketplace], instance: Key, clouds: tuple[Key, Key], there: tuple[Place, ...], context: Context
) -> Mapping[str, str]:
    """The marketplaces in which an enforced policy does not let the disks lie, each with why not. One in a country where the
    machine is anyway takes nothing anywhere, so that a machine can leave a place in which it should not be.

    Args:
        markets: of the cloud that is left.
        instance: that moves.
        clouds: that is left, and that it goes to: policies of either bind what goes from one to the other.
        there: where the machine is.
        context: to ask in.
    """
    source = context.get(clouds[0])
    if not isinstance(source, SovereignCloud):
        return {}
    every = {rules.policy: rules for cloud in clouds for rules in context.policies(instance.namespace, cloud)}
    enforced = [rules for rules in every.values() if rules.enforced]
    known = {place.country for place in there if place.country}
    found: dict[str, str] = {}
    for market in markets if enforced else ():
        facts = facts_of_marketplace(source, market.name)
        if all(place.country in known for places in facts.places.values() for place in places):
            continue
        why = [
            f"SovereigntyPolicy {rules.policy}, {result}"
            for rules in enforced
            for result in evaluate(rules, facts, namespace=instance.namespace, name=instance.name)
            if result.rule.startswith("residency.") and result.verdict >= Verdict.UNKNOWN
        ]
        if why:
            found[market.name] = why[0]
    return found
