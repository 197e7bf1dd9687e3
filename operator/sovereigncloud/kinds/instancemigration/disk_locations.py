"""Sovereignty check of the marketplaces that a migration may transfer disks through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.location.facts import facts_of_marketplace
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.sovereignty.evaluation import Verdict, evaluate
from sovereigncloud.sovereignty.facts import Place


def forbidden_marketplaces(
    markets: Iterable[Marketplace], instance: Key, clouds: tuple[Key, Key], there: tuple[Place, ...], context: Context
) -> Mapping[str, str]:
    """Marketplaces that an enforced residency policy forbids for the disks, with the reason.

    A marketplace in a country where the VM already runs is always allowed, so that a VM can leave a place that
    policies forbid.

    Args:
        markets: of the source cloud.
        instance: that is migrated.
        clouds: source and target; the policies of both apply to the transfer.
        there: places of the host that runs the VM.
        context: the reconcile context.
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
