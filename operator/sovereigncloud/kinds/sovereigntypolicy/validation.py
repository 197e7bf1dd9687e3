"""What is wrong with the spec of a SovereigntyPolicy that the API server does not see. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sovereigncloud.api.sovereigntypolicy import LabelOperator, PolicyException, SovereigntyPolicy
from sovereigncloud.sovereignty.countries import why_no_country
from sovereigncloud.sovereignty.facts import Part
from sovereigncloud.sovereignty.rules import day_of, rules_of_demands

_TOLD = 5
_JURISDICTION = tuple(f"jurisdiction.{what}" for what in ("legalEntity", "ultimateParent", "foreignAffiliates"))
_WITH_VALUES = frozenset({LabelOperator.IN, LabelOperator.NOT_IN})


def why_unusable(policy: SovereigntyPolicy) -> str:
    """Empty: nothing is wrong with it."""
    problems = [*_countries(policy), *_selector(policy), *_exceptions(policy)]
    more = f" and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    return "; ".join(problems[:_TOLD]) + more


def _countries(policy: SovereigntyPolicy) -> Iterator[str]:
    spec = policy.spec
    lists = {
        "spec.residency.allowedCountries": spec.residency.allowed_countries if spec.residency else (),
        "spec.jurisdiction.allowed": spec.jurisdiction.allowed if spec.jurisdiction else (),
    }
    for path, names in lists.items():
        yield from (f"{path}: {why}" for name in names if (why := why_no_country(name)))


def _selector(policy: SovereigntyPolicy) -> Iterator[str]:
    applies_to = policy.spec.applies_to
    selector = applies_to.namespace_selector if applies_to is not None else None
    for one in (selector.match_expressions or ()) if selector is not None else ():
        path = f"spec.appliesTo.namespaceSelector.matchExpressions of {one.key}"
        if one.operator in _WITH_VALUES and not one.values:
            yield f"{path}: {one.operator} needs values"
        if one.operator not in _WITH_VALUES and one.values:
            yield f"{path}: {one.operator} takes no values"


def _exceptions(policy: SovereigntyPolicy) -> Iterator[str]:
    known = {*(f"residency.{part}" for part in Part), *_JURISDICTION, *rules_of_demands(policy), "exit.rehearsal"}
    for number, one in enumerate(policy.spec.exceptions or ()):
        path = f"spec.exceptions[{number}]"
        if one.rule not in known:
            yield f"{path}.rule: no rule is called {one.rule}; there are {', '.join(sorted(known))}"
        if not _is_day(one):
            yield f"{path}.expires: {one.expires} is no day of the calendar"


def _is_day(exception: PolicyException) -> bool:
    return day_of(exception.expires) is not None
