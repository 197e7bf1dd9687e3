"""Whether a provider has the certificates that a policy asks for, where something is, and today. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.sovereignty.facts import Certificate, Facts, Part, Provider
from sovereigncloud.sovereignty.jurisdiction import nobody_known, source_of
from sovereigncloud.sovereignty.result import Result, Verdict
from sovereigncloud.sovereignty.rules import Demand, Rules

SOON = timedelta(days=60)
_PROCESSED = (Part.COMPUTE, Part.STORAGE)
"""What a certificate of the provider is about. Images and backups may be with somebody else, whose certificates nobody told."""


def certifications(rules: Rules, facts: Facts) -> Iterator[Result]:
    for demand in rules.demands:
        if facts.provider is None:
            yield nobody_known(rules, demand.rule)
        elif not demand.per_datacenter:
            yield _certified(rules, demand, facts.provider, None)
        else:
            where = dict.fromkeys(p.datacenter for part in _PROCESSED for p in facts.places.get(part, ()))
            found = [_certified(rules, demand, facts.provider, one) for one in where or ("",)]
            yield max(found, key=lambda r: r.verdict)


def _certified(rules: Rules, demand: Demand, provider: Provider, datacenter: str | None) -> Result:
    """In a datacenter, empty: nobody knows in which; None: of the provider as a whole."""
    wanted = " or ".join(demand.any_of)
    there = "" if datacenter is None else f" for {datacenter or 'a datacenter that nobody knows'}"
    schemes = [c for c in provider.certificates if c.scheme in demand.any_of]
    if datacenter == "" and schemes:
        fact = f"nobody knows in which datacenter it is, so no certificate of {wanted} can be named"
        return _result(rules, demand, provider, Verdict.UNKNOWN, Reason.LOCATION_UNKNOWN, fact)
    if not schemes:
        fact = f"the ProviderProfile lists no certificate of {wanted}"
        return _result(rules, demand, provider, Verdict.FAIL, Reason.CERTIFICATE_MISSING, fact)
    listed = [c for c in schemes if datacenter is None or _lists(c, datacenter)]
    if not listed:
        fact = f"no certificate of {wanted} lists {datacenter}"
        return _result(rules, demand, provider, Verdict.FAIL, Reason.CERTIFICATE_OUT_OF_SCOPE, fact)
    valid = [c for c in listed if c.valid_until is None or rules.today <= c.valid_until]
    if not valid:
        last = max(listed, key=_end)
        fact = f"{last.scheme}{there} expired on {last.valid_until}"
        return _result(rules, demand, provider, Verdict.FAIL, Reason.CERTIFICATE_EXPIRED, fact, last)
    known = [c for c in valid if c.grade >= demand.min_grade]
    if not known:
        best = max(valid, key=lambda c: c.grade)
        fact = f"{best.scheme}{there} is only {best.grade.word}, and the policy asks for {demand.min_grade.word}"
        return _result(rules, demand, provider, Verdict.UNKNOWN, Reason.EVIDENCE_TOO_WEAK, fact, best)
    longest = max(known, key=_end)
    if longest.valid_until is not None and longest.valid_until - rules.today <= SOON:
        fact = f"{longest.scheme}{there} expires on {longest.valid_until}: enter its successor in the ProviderProfile"
        return _result(rules, demand, provider, Verdict.WARN, Reason.CERTIFICATE_EXPIRING, fact, longest)
    until = f" until {longest.valid_until}" if longest.valid_until else ""
    return _result(
        rules, demand, provider, Verdict.PASS, Reason.POLICIES_MET, f"{longest.scheme}{there} holds{until}", longest
    )


def _end(certificate: Certificate) -> tuple[bool, str]:
    """What holds longest is the largest."""
    return certificate.valid_until is None, str(certificate.valid_until or "")


def _lists(certificate: Certificate, datacenter: str) -> bool:
    """A certificate lists sites (RBX), OVHcloud numbers the buildings in them (rbx8)."""
    listed = {name.upper() for name in certificate.datacenters}
    return datacenter.upper() in listed or datacenter.upper().rstrip("0123456789") in listed


def _result(
    rules: Rules,
    demand: Demand,
    provider: Provider,
    verdict: Verdict,
    reason: Reason,
    fact: str,
    certificate: Certificate | None = None,
) -> Result:
    source = certificate.source if certificate is not None and certificate.source else source_of(provider)
    return Result(rules.policy, demand.rule, verdict, reason, fact, source)
