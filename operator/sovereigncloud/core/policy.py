"""From a plan to what may be done now: management, consent, drift policy and pause, in one pure function."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sovereigncloud.api.base import PAUSED, DriftAction, DriftPolicy, Management
from sovereigncloud.core.outcome import Outcome, Phase, approval, waiting
from sovereigncloud.core.plan import Action, Drift, Plan, Step, plan_hash


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """A difference and what is done about it: Correcting, Reported or Ignored."""

    drift: Drift
    action: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the loop may do.

    Attributes:
        steps: to be performed now, in order.
        published: what `status.plan` shows: the steps outside that are not simply being done.
        drift: for `status.drift`.
        outcome: what to say when no step is performed, or beside those that are.
        release: the object is being deleted and nothing is left to do outside: its finalizer may go.
    """

    steps: tuple[Step, ...]
    published: tuple[Step, ...]
    drift: tuple[DriftVerdict, ...]
    outcome: Outcome
    release: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What spec and annotations say about acting.

    Attributes:
        management: the stricter of the object's own and its cloud's.
        settled: this generation was reality once, so a difference is drift.
        deleting: the object is being deleted.
    """

    management: Management = Management.MANAGE
    approved_plan: str = ""
    paused: bool = False
    settled: bool = False
    deleting: bool = False
    drift_policy: DriftPolicy | None = None


_MAKES = frozenset({Action.CREATE, Action.REPLACE, Action.INSTALL, Action.REINSTALL})
_STRICTNESS = {Management.MANAGE: 0, Management.APPROVE: 1, Management.OBSERVE: 2}


def stricter(*wishes: Management | None) -> Management:
    """The strictest of several wishes; Manage where none is said."""
    return max((w for w in wishes if w is not None), key=_STRICTNESS.__getitem__, default=Management.MANAGE)


def decide(plan: Plan, policy: Policy) -> Decision:
    """What may be done now, what is only shown, and what to say."""
    # A take-over after a rebuilt cluster has no status yet, but what it finds was reality before: drift, not work.
    settled = policy.settled or any(s.action is Action.MARK for s in plan.steps)
    drift = _judge_drift(plan.drift, policy, settled=settled)
    left_alone = frozenset(v.drift.path for v in drift if v.action != "Correcting") if settled else frozenset()
    wanted = tuple(s for s in plan.steps if not (s.fields and left_alone.issuperset(s.fields)))
    inside = tuple(s for s in wanted if s.inside)
    outside = tuple(s for s in wanted if not s.inside)
    if policy.management is Management.OBSERVE or policy.paused:
        return _only_look(plan, policy, inside, drift)
    if policy.management is Management.APPROVE and outside and plan_hash(outside) != policy.approved_plan:
        wait = approval(f"plan {plan_hash(outside)} waits: set spec.approvedPlan to its hash to carry it out")
        return Decision(inside, outside, drift, plan.outcome.merge(wait))
    decision = _with_consent(wanted, drift, plan.outcome)
    return replace(decision, release=policy.deleting and not wanted and plan.outcome.phase is Phase.DONE)


def _only_look(plan: Plan, policy: Policy, inside: tuple[Step, ...], drift: tuple[DriftVerdict, ...]) -> Decision:
    """Observe or paused: nothing outside is written. A deletion in Observe leaves everything; paused, it waits."""
    shown = tuple(s for s in plan.steps if not s.inside)
    outcome = plan.outcome
    if policy.deleting:
        leaves = policy.management is Management.OBSERVE or not shown
        if not leaves:
            outcome = waiting("PausedDeletion", f"deletion waits: remove the annotation {PAUSED}")
        return Decision(inside, shown, drift, outcome, release=leaves and not inside and outcome.phase is Phase.DONE)
    missing = [s for s in shown if s.action in _MAKES]
    if missing and outcome.phase is Phase.DONE:
        why = "management is Observe" if policy.management is Management.OBSERVE else "it is paused"
        first = missing[0]
        outcome = waiting("NotActing", f"{first.action} {first.target} would be done, but {why}", available=True)
    return Decision(inside, shown, drift, outcome)


def _with_consent(wanted: tuple[Step, ...], drift: tuple[DriftVerdict, ...], outcome: Outcome) -> Decision:
    """Steps up to the first that needs a consent which spec does not give."""
    held = next((i for i, s in enumerate(wanted) if s.needs), len(wanted))
    if held == len(wanted):
        return Decision(wanted, (), drift, outcome)
    first = wanted[held]
    wait = approval(f"{first.action} {first.target} ({first.disruption}) waits for consent: set {first.needs}")
    return Decision(wanted[:held], tuple(s for s in wanted if not s.inside), drift, outcome.merge(wait))


def _judge_drift(found: tuple[Drift, ...], policy: Policy, *, settled: bool) -> tuple[DriftVerdict, ...]:
    if not settled and policy.management is not Management.OBSERVE:
        return ()
    return tuple(DriftVerdict(d, _drift_action(d, policy)) for d in found)


def _drift_action(drift: Drift, policy: Policy) -> str:
    wish = (policy.drift_policy or DriftPolicy()).action_for(drift.path)
    if wish is DriftAction.IGNORE:
        return "Ignored"
    if not drift.mendable or wish is DriftAction.REPORT or policy.paused or policy.management is Management.OBSERVE:
        return "Reported"
    return "Correcting"
