"""Whether what is known meets what a policy asks for: one result a rule, never a guess. Pure.

What nobody knows does not meet a rule. Nothing here looks at a clock: the day stands in the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.sovereignty.certification import certifications
from sovereigncloud.sovereignty.facts import Facts
from sovereigncloud.sovereignty.jurisdiction import jurisdiction
from sovereigncloud.sovereignty.residency import residency
from sovereigncloud.sovereignty.result import Result, Verdict
from sovereigncloud.sovereignty.rules import Rules, day_of

__all__ = ["COMPLIANT", "Result", "Verdict", "broken_policies", "compliance", "evaluate", "refusals"]

COMPLIANT = "Compliant"
_BREAKS, _UNSURE = "breaks SovereigntyPolicy ", "not known to meet SovereigntyPolicy "
_TOLD = 8


def evaluate(rules: Rules, facts: Facts, *, namespace: str, name: str) -> tuple[Result, ...]:
    """One result for each rule of the policy, those first that are about where things are.

    Args:
        rules: of one policy that binds the object.
        facts: what is known of it.
        namespace: of the object, for its exceptions.
        name: of the object. Empty: nothing in particular, whatever of the namespace may come; only exceptions of the whole
            namespace hold for it.
    """
    found = (*residency(rules, facts), *jurisdiction(rules, facts), *certifications(rules, facts), *_exit(rules, facts))
    return tuple(_excepted(rules, result, namespace, name) for result in found)


def refusals(rules: Iterable[Rules], facts: Facts, *, namespace: str, name: str, cloud: Key) -> tuple[str, ...]:
    """Why nothing of the namespace may be placed there; none: it may. Only what is enforced refuses.

    Args:
        rules: of the policies that bind the namespace in that cloud.
        facts: of the place: a cluster, or a host in it.
        namespace: of what is to be placed.
        name: of what is to be placed.
        cloud: in which the place is.
    """
    found: list[str] = []
    for one in rules:
        if not one.enforced:
            continue
        results = evaluate(one, facts, namespace=namespace, name=name)
        found += [f"SovereigntyPolicy {one.policy}, {r}" for r in results if r.gates and r.verdict >= Verdict.UNKNOWN]
        if one.holds and cloud in one.held:
            found.append(
                f"SovereigntyPolicy {one.policy} holds {cloud.namespace}/{cloud.name}: a machine there breaks it, and nothing"
                " new is placed there until that is over"
            )
    return tuple(found)


def compliance(results: Sequence[Result]) -> dict[str, str] | None:
    """The condition Compliant, as a kind's own condition; None where no policy asks for anything."""
    if not results:
        return None
    failed = [r for r in results if r.verdict is Verdict.FAIL]
    unknown = [r for r in results if r.verdict is Verdict.UNKNOWN]
    if failed:
        return _condition("False", failed[0].reason, _BREAKS, failed, [*failed, *unknown])
    if unknown:
        return _condition("Unknown", unknown[0].reason, _UNSURE, unknown, unknown)
    warned = [r for r in results if r.verdict is Verdict.WARN]
    policies = _listed(r.policy for r in results)
    told = f", with a warning: {_told(warned)}" if warned else ""
    return {
        "type": COMPLIANT,
        "status": "True",
        "reason": warned[0].reason if warned else Reason.POLICIES_MET,
        "message": f"meets SovereigntyPolicy {policies}{told}",
    }


def broken_policies(message: str) -> tuple[str, ...]:
    """The policies that a condition Compliant of status False says are broken."""
    return tuple(message.removeprefix(_BREAKS).partition(":")[0].split(", ")) if message.startswith(_BREAKS) else ()


def _condition(status: str, reason: Reason, how: str, by: Iterable[Result], told: Sequence[Result]) -> dict[str, str]:
    # The names come first and whole, since they are read again: see `broken_policies`.
    return {
        "type": COMPLIANT,
        "status": status,
        "reason": reason,
        "message": f"{how}{_listed(r.policy for r in by)}: {_told(told)}",
    }


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _told(results: Sequence[Result]) -> str:
    several = len({r.policy for r in results}) > 1
    shown = [f"{r.policy}, {r}" if several else str(r) for r in results[:_TOLD]]
    more = f" and {len(results) - _TOLD} more" if len(results) > _TOLD else ""
    return "; ".join(dict.fromkeys(shown)) + more


def _excepted(rules: Rules, result: Result, namespace: str, name: str) -> Result:
    """What an exception lets be, with who approved it; where the last one expired, that is said."""
    if result.verdict < Verdict.UNKNOWN:
        return result
    written = [e for e in rules.exceptions if e.names(result.rule, namespace, name)]
    live = [e for e in written if rules.today <= e.expires]
    if live:
        longest = max(live, key=lambda e: e.expires)
        told = f"{result.fact}; let be until {longest.expires} by {longest.approved_by}"
        return replace(result, verdict=Verdict.WARN, reason=Reason.EXCEPTION_GRANTED, fact=told)
    if written:
        last = max(written, key=lambda e: e.expires)
        told = f"{result.fact}; the exception that {last.approved_by} approved expired on {last.expires}"
        return replace(result, reason=Reason.EXCEPTION_EXPIRED, fact=told)
    return result


def _exit(rules: Rules, facts: Facts) -> Iterator[Result]:
    if rules.rehearsal_max_age is None or facts.exit_rehearsed is None:
        return
    rehearsed, verdict, reason = day_of(facts.exit_rehearsed[:10]), Verdict.PASS, Reason.POLICIES_MET
    fact = f"an exit was rehearsed on {rehearsed}"
    if rehearsed is None:
        verdict, reason, fact = Verdict.UNKNOWN, Reason.REHEARSAL_OVERDUE, "no rehearsal of an exit is recorded"
    elif rules.today - rehearsed > rules.rehearsal_max_age:
        verdict, reason = Verdict.FAIL, Reason.REHEARSAL_OVERDUE
        fact = f"an exit was last rehearsed on {rehearsed}, more than {rules.rehearsal_max_age.days} days ago"
    elif rules.exit_max_duration is not None and (facts.exit_took or 0) > rules.exit_max_duration:
        verdict, reason = Verdict.FAIL, Reason.EXIT_TOO_SLOW
        fact += f" and took {facts.exit_took} s, more than the {int(rules.exit_max_duration)} s that it may take"
    yield Result(rules.policy, "exit.rehearsal", verdict, reason, fact, since=facts.exit_rehearsed)
