"""From a plan to what may be done now: management, consent, drift policy and pause, in one pure function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import PAUSED, DriftAction, DriftPolicy, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, Phase, approval, held, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Drift, Plan, Step, is_part_of, plan_hash


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """A difference and what is done about it.

    Attributes:
        drift: the difference.
        action: Correcting, Reported or Ignored.
        remedy: for what is only reported: what a person can do to have it mended.
    """

    drift: Drift
    action: str
    remedy: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the loop may do.

    Attributes:
        steps: to be performed now, in order.
        published: what `status.plan` shows: the steps outside that are not simply being done.
        hash: of what is published; `spec.approvedPlan` with it lets it go on.
        approved: the approval under which the steps are done, empty where none was needed.
        drift: for `status.drift`.
        outcome: what to say when no step is performed, or beside those that are.
        release: the object is being deleted and nothing is left to do outside: its finalizer may go.
    """

    steps: tuple[Step, ...]
    published: tuple[Step, ...]
    drift: tuple[DriftVerdict, ...]
    outcome: Outcome
    release: bool = False
    hash: str = ""
    approved: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What spec and annotations say about acting.

    Attributes:
        management: the stricter of the object's own and its cloud's.
        approved_plan: `spec.approvedPlan`.
        salt: what an approval holds for beside the steps: this spec, and approvals not used before. So an approval
            counts once, and not for a spec that was changed after it.
        begun: the steps of the approved plan, while it is being carried out: what is left of it after a step, or after
            one that failed, needs no further approval.
        settled: this generation was reality once, so a difference is drift.
        deleting: the object is being deleted.
        adopting: it takes over what was there before and was never as declared yet: what differs waits for an approval,
            only the mark is set without one.
    """

    management: Management = Management.MANAGE
    approved_plan: str = ""
    salt: str = ""
    begun: tuple[Step, ...] = ()
    paused: bool = False
    settled: bool = False
    deleting: bool = False
    adopting: bool = False
    drift_policy: DriftPolicy | None = None


_NAMED = 3
_MAKES = frozenset({Action.CREATE, Action.REPLACE, Action.INSTALL, Action.REINSTALL})
_ABSENT_BEFORE = frozenset({Action.CREATE, Action.INSTALL})
_STRICTNESS = {Management.MANAGE: 0, Management.APPROVE: 1, Management.OBSERVE: 2}


def stricter(*wishes: Management | None) -> Management:
    """The strictest of several wishes; Manage where none is said."""
    return max(filter(None, wishes), key=_STRICTNESS.__getitem__, default=Management.MANAGE)


def decide(plan: Plan, policy: Policy) -> Decision:
    """What may be done now, what is only shown, and what to say. Steps beside what is declared come last."""
    beside = tuple(s for s in plan.steps if s.beside) if plan.steps else ()
    if beside:
        plan = replace(plan, steps=tuple(s for s in plan.steps if not s.beside))
    decision = _of_what_is_declared(plan, policy)
    acts = not (policy.management is Management.OBSERVE or policy.paused or policy.deleting)
    return replace(decision, steps=beside, approved="") if beside and acts and not decision.steps else decision


def _of_what_is_declared(plan: Plan, policy: Policy) -> Decision:
    if not (plan.steps or plan.drift or policy.paused or policy.management is Management.OBSERVE):
        release = policy.deleting and plan.outcome.phase is Phase.DONE
        return Decision((), (), (), plan.outcome, release=release)
    # A take-over after a rebuilt cluster has no status yet, but what it finds was reality before: drift, not work.
    takes_over = any(s.takes_over for s in plan.steps)
    settled = policy.settled or takes_over
    drift = _judge_drift(plan.drift, policy, settled=settled)
    left_alone = frozenset(v.drift.path for v in drift if v.action != "Correcting") if settled else frozenset()
    wanted = tuple(s for s in plan.steps if not (s.fields and left_alone.issuperset(s.fields)))
    outside = tuple(s for s in wanted if not s.inside)
    if policy.management is Management.OBSERVE or policy.paused:
        return _only_look(plan, policy, drift)
    decision = Decision((), (), drift, plan.outcome)
    if (policy.management is Management.APPROVE or (policy.adopting and not takes_over)) and outside:
        digest = plan_hash(outside, plan.drift, salt=policy.salt)
        if digest != policy.approved_plan and not all(is_part_of(s, policy.begun) for s in outside):
            wait = approval(
                f"waits for approval of {_listed(outside)}: set spec.approvedPlan: {digest} to carry it out"
            )
            inside = tuple(s for s in wanted if s.inside)
            return replace(decision, steps=inside, published=outside, outcome=plan.outcome.merge(wait), hash=digest)
        decision = replace(decision, approved=policy.approved_plan)
    if takes_over:
        return _take_over(decision, wanted, policy)
    decision = _with_consent(decision, plan, policy, wanted)
    absent = [s for s in plan.steps if s not in wanted and s.action in _ABSENT_BEFORE and not s.part]
    if absent:
        decision = replace(decision, outcome=decision.outcome.merge(_not_made_anew(absent)))
    release = policy.deleting and not wanted and plan.outcome.phase is Phase.DONE
    return replace(decision, release=True) if release else decision


def _not_made_anew(absent: list[Step]) -> Outcome:
    """What was taken away and is only reported is not there, so nothing that says Ready may say so of it."""
    paths = ", ".join(dict.fromkeys(path for step in absent for path in step.fields))
    return stalled(
        Reason.EXTERNALLY_DELETED,
        f"not done: {_listed(tuple(absent))}, since driftPolicy only reports it: set it to Correct for {paths} to have it"
        " made anew, or delete this object",
    )


def _listed(steps: tuple[Step, ...]) -> str:
    """What would be done, in short."""
    more = f" and {len(steps) - _NAMED} more" if len(steps) > _NAMED else ""
    return ", ".join(map(_named, steps[:_NAMED])) + more


def _named(step: Step) -> str:
    fields = f" ({', '.join(step.fields)})" if step.fields and step.action is Action.UPDATE else ""
    return f"{step.action} {step.target}{fields}"


def _take_over(decision: Decision, wanted: tuple[Step, ...], policy: Policy) -> Decision:
    """What differs at a take-over is written down as drift before the mark says that it is taken over; else a crash
    between the two would turn it into work, which neither driftPolicy nor the brakes would hold.
    """
    if not policy.settled and any(v.action != "Ignored" for v in decision.drift):
        note = "what differs is written down before it is taken over"
        return replace(decision, outcome=waiting(Reason.TAKING_OVER, note, after=0.05, available=True), approved="")
    return replace(decision, steps=tuple(s for s in wanted if s.inside or s.takes_over))


def _only_look(plan: Plan, policy: Policy, drift: tuple[DriftVerdict, ...]) -> Decision:
    """Observe or paused: nothing outside is written. A deletion in Observe leaves everything; paused, it waits."""
    inside = tuple(s for s in plan.steps if s.inside)
    outside = tuple(s for s in plan.steps if not s.inside)
    outcome = _undone(plan.outcome) if outside else plan.outcome
    observes = policy.management is Management.OBSERVE
    shown = tuple(s for s in outside if not (observes and s.only_marks))
    digest = plan_hash(shown, plan.drift, salt=policy.salt)
    if policy.deleting:
        leaves = observes or not outside
        if not leaves:
            outcome = held(Reason.PAUSED_DELETION, f"deletion waits: remove the annotation {PAUSED}")
        release = leaves and not inside and outcome.phase is Phase.DONE
        return Decision(inside, shown, drift, outcome, release=release, hash=digest)
    # While it is paused a change of spec does not become reality, and nothing may say that it did: it is no drift either,
    # else driftPolicy would speak about it afterwards. To observe is to compare: what differs there is drift.
    undone = shown if policy.paused and not policy.settled else tuple(s for s in shown if s.action in _MAKES)
    if undone and outcome.phase is Phase.DONE:
        why = "management is Observe: set it to Manage" if observes else f"it is paused: remove the annotation {PAUSED}"
        there = all(s.action not in _ABSENT_BEFORE for s in undone)
        outcome = held(Reason.NOT_ACTING, f"not done: {_listed(undone)}, since {why}", available=there)
    return Decision(inside, shown, drift, outcome, hash=digest)


def _undone(outcome: Outcome) -> Outcome:
    """What a plan says beside steps that nobody does: "is being made" is not true then."""
    if outcome.phase is Phase.WAITING:
        return replace(outcome, phase=Phase.DONE, reason="", message="")
    return outcome


def _with_consent(decision: Decision, plan: Plan, policy: Policy, wanted: tuple[Step, ...]) -> Decision:
    """Steps up to the first that needs a consent which spec does not give."""
    if not plan.steps:
        return decision
    first = next((i for i, s in enumerate(wanted) if s.needs), len(wanted))
    if first == len(wanted):
        # Without any step left a plan may still speak of one that driftPolicy leaves alone.
        outcome = plan.outcome if wanted or not plan.steps else _undone(plan.outcome)
        return replace(decision, steps=wanted, outcome=outcome)
    asks = wanted[first]
    # Several small steps may need one consent; the one that somebody notices is worth naming.
    noticed = [s for s in wanted[first:] if s.needs == asks.needs and s.disruption is not Disruption.NONE]
    named = (noticed or [asks])[0]
    fields = f" for {', '.join(named.fields)}" if named.fields else ""
    effect = f" ({named.disruption})" if noticed else ""
    wait = approval(f"{named.action} {named.target}{effect}{fields} waits for consent: set {asks.needs}")
    outside = tuple(s for s in wanted if not s.inside)
    return replace(
        decision,
        steps=wanted[:first],
        published=outside,
        outcome=plan.outcome.merge(wait),
        hash=plan_hash(outside, plan.drift, salt=policy.salt),
    )


def _judge_drift(found: tuple[Drift, ...], policy: Policy, *, settled: bool) -> tuple[DriftVerdict, ...]:
    if not settled and policy.management is not Management.OBSERVE:
        return ()
    return tuple(_verdict(d, policy) for d in found)


def _verdict(drift: Drift, policy: Policy) -> DriftVerdict:
    wish = (policy.drift_policy or DriftPolicy()).action_for(drift.path)
    if wish is DriftAction.IGNORE:
        return DriftVerdict(drift, "Ignored")
    if policy.paused:
        return DriftVerdict(drift, "Reported", f"remove the annotation {PAUSED} to have it mended")
    if policy.management is Management.OBSERVE:
        return DriftVerdict(drift, "Reported", "management is Observe, set it to Manage to have it mended")
    if not drift.mendable:
        return DriftVerdict(drift, "Reported")  # what its kind says of it names the remedy
    if wish is DriftAction.REPORT:
        return DriftVerdict(drift, "Reported", "driftPolicy says Report, set it to Correct to have it mended")
    return DriftVerdict(drift, "Correcting")
