"""Whether things are in one of the countries that a policy allows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.sovereignty.facts import Facts, Part, Place
from sovereigncloud.sovereignty.result import Result, Verdict
from sovereigncloud.sovereignty.rules import Rules


def residency(rules: Rules, facts: Facts) -> Iterator[Result]:
    if rules.countries is None:
        return
    for part in Part:
        if part in rules.covers and part in facts.places:
            yield _worst([_placed(rules, part, place) for place in facts.places[part]]) or _nowhere(rules, part)


def _nowhere(rules: Rules, part: Part) -> Result:
    return Result(
        rules.policy,
        f"residency.{part}",
        Verdict.UNKNOWN,
        Reason.LOCATION_UNKNOWN,
        "nobody knows where it is",
    )


def _placed(rules: Rules, part: Part, place: Place) -> Result:
    verdict, reason = Verdict.PASS, Reason.POLICIES_MET
    fact = f"{place.what} is in {place.country}" + (f", {place.datacenter}" if place.datacenter else "")
    allowed = ", ".join(rules.written_countries)
    if not place.country:
        verdict, reason = Verdict.UNKNOWN, Reason.LOCATION_UNKNOWN
        fact = f"nobody knows in which country {place.what} is, and only {allowed} is allowed"
    elif place.country not in (rules.countries or ()):
        verdict, reason = Verdict.FAIL, Reason.RESIDENCY_VIOLATION
        fact += f", and only {allowed} is allowed"
    elif place.grade < rules.min_grade:
        verdict, reason = Verdict.UNKNOWN, Reason.EVIDENCE_TOO_WEAK
        fact += f", which is {_known(place)}, and the policy asks for {rules.min_grade.word}"
    return Result(rules.policy, f"residency.{part}", verdict, reason, fact, place.source, place.since)


def _known(place: Place) -> str:
    return f"only {place.grade.word}" if place.grade else "known from nobody"


def _worst(results: Sequence[Result]) -> Result | None:
    """The worst of them, of several the first; how many more are as bad is said."""
    if not results:
        return None
    worst = max(results, key=lambda r: r.verdict)
    if worst.verdict is Verdict.PASS:
        return worst
    more = sum(1 for r in results if r.verdict is worst.verdict) - 1
    return replace(worst, fact=f"{worst.fact}; {more} more like it") if more else worst
