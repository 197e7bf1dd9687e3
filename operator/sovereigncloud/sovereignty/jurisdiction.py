"""Whether who runs a cloud is under a law that a policy allows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigntypolicy import ForeignAffiliates
from sovereigncloud.sovereignty.facts import Entity, Facts, Provider
from sovereigncloud.sovereignty.result import Result, Verdict
from sovereigncloud.sovereignty.rules import Rules

_TOLD = 8


def jurisdiction(rules: Rules, facts: Facts) -> Iterator[Result]:
    if rules.jurisdiction is None:
        return
    provider = facts.provider
    if provider is None:
        yield nobody_known(rules, "jurisdiction.legalEntity")
        return
    yield _under(rules, "jurisdiction.legalEntity", "the legal entity", provider.legal_entity, provider)
    if provider.ultimate_parent is not None:
        yield _under(rules, "jurisdiction.ultimateParent", "the ultimate parent", provider.ultimate_parent, provider)
    yield _affiliates(rules, provider)


def nobody_known(rules: Rules, rule: str) -> Result:
    fact = (
        "the SovereignCloud names no ProviderProfile that is there, so nobody knows who runs it: set spec.providerRef"
    )
    return Result(rules.policy, rule, Verdict.UNKNOWN, Reason.PROVIDER_UNKNOWN, fact)


def _under(rules: Rules, rule: str, role: str, entity: Entity, provider: Provider) -> Result:
    fact = f"{role} {entity.name} is under the law of {entity.country}"
    if entity.country in (rules.jurisdiction or ()):
        return Result(rules.policy, rule, Verdict.PASS, Reason.POLICIES_MET, fact, source_of(provider))
    fact += f", and only {', '.join(rules.written_jurisdiction)} is allowed"
    return Result(rules.policy, rule, Verdict.FAIL, Reason.JURISDICTION_VIOLATION, fact, source_of(provider))


def _affiliates(rules: Rules, provider: Provider) -> Result:
    rule = "jurisdiction.foreignAffiliates"
    foreign = [e for e in provider.affiliates if e.country not in (rules.jurisdiction or ())]
    named = ", ".join(f"{e.name} ({e.country})" for e in foreign[:_TOLD])
    if not foreign or rules.affiliates is ForeignAffiliates.ALLOW:
        fact = f"affiliates under another law: {named or 'none'}"
        return Result(rules.policy, rule, Verdict.PASS, Reason.POLICIES_MET, fact, source_of(provider))
    fact = f"{named} of the same group may be ordered under another law to hand over data"
    if rules.affiliates is ForeignAffiliates.FORBID:
        return Result(rules.policy, rule, Verdict.FAIL, Reason.JURISDICTION_VIOLATION, fact, source_of(provider))
    return Result(rules.policy, rule, Verdict.WARN, Reason.FOREIGN_AFFILIATE, fact, source_of(provider))


def source_of(provider: Provider) -> str:
    return f"ProviderProfile {provider.name}, {provider.grade.word}"
