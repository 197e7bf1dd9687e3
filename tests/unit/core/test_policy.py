from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from sovereigncloud.api.common.base import DriftAction, DriftPolicy, FieldDriftPolicy, Management
from sovereigncloud.core.outcome import DONE, Phase, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Disruption, Drift, Plan, Step
from sovereigncloud.core.policy import Policy, decide, stricter

MEMORY = Drift("spec.memory", "4Gi", "2Gi")
POWER = Drift("spec.power", "Running", "PoweredOff")


def step(action=Action.UPDATE, target="VM web", **more):
    return Step(action=action, target=target, **more)


RESIZE = step(fields=("spec.memory",), target="VM web: resize")
RESUME = step(fields=("spec.power",), target="VM web: resume")
CREATE = step(Action.CREATE, 'VM "web"')
DELETE = step(Action.DELETE, disruption=Disruption.DATA_LOSS)
MARK = step(Action.MARK, "VM 12")
CHILD = step(Action.CREATE, "BareMetalServer a", inside=True)
LOST = Drift(LOST_PATH, 'VM "web"', "VM 3 was terminated")
AGAIN = replace(CREATE, fields=(LOST_PATH,), cause=Cause.OBSERVED)
ASKS = replace(RESIZE, disruption=Disruption.RESTART, needs="spec.updatePolicy.powerCycle: Allow")


def report(*paths, default=None):
    fields = [FieldDriftPolicy(path=path, action=DriftAction.REPORT) for path in paths]
    return DriftPolicy(default=default, fields=fields or None)


def ignore(*paths):
    return DriftPolicy(fields=[FieldDriftPolicy(path=path, action=DriftAction.IGNORE) for path in paths])


SETTLED = Policy(settled=True)
FRESH = Policy()
OBSERVE = Policy(management=Management.OBSERVE)
PAUSED = Policy(paused=True, settled=True)


@pytest.mark.parametrize(
    ("why", "plan", "policy", "done", "published", "drift"),
    [
        ("nothing differs: nothing is done", Plan(), SETTLED, (), (), []),
        ("a difference from a new spec is work, no drift", Plan((MEMORY,), (RESIZE,)), FRESH, (RESIZE,), (), []),
        (
            "a difference after it was reality once is drift, and corrected by default",
            Plan((MEMORY,), (RESIZE,)),
            SETTLED,
            (RESIZE,),
            (),
            ["Correcting"],
        ),
        (
            "reported only: said, not done",
            Plan((MEMORY,), (RESIZE,)),
            replace(SETTLED, drift_policy=report("spec.memory")),
            (),
            (),
            ["Reported"],
        ),
        (
            "ignored: said as ignored, not done",
            Plan((MEMORY,), (RESIZE,)),
            replace(SETTLED, drift_policy=ignore("spec.memory")),
            (),
            (),
            ["Ignored"],
        ),
        (
            "driftPolicy speaks of drift: what spec asks for anew is done all the same",
            Plan((MEMORY,), (RESIZE,)),
            replace(FRESH, drift_policy=report("spec.memory")),
            (RESIZE,),
            (),
            [],
        ),
        (
            "a step that also serves a field that is corrected is done",
            Plan((MEMORY, POWER), (replace(RESIZE, fields=("spec.memory", "spec.power")),)),
            replace(SETTLED, drift_policy=report("spec.memory")),
            (replace(RESIZE, fields=("spec.memory", "spec.power")),),
            (),
            ["Reported", "Correcting"],
        ),
        (
            "report by default with one exception corrects that one",
            Plan((MEMORY, POWER), (RESIZE, RESUME)),
            replace(
                SETTLED,
                drift_policy=DriftPolicy(
                    default=DriftAction.REPORT,
                    fields=[FieldDriftPolicy(path="spec.power", action=DriftAction.CORRECT)],
                ),
            ),
            (RESUME,),
            (),
            ["Reported", "Correcting"],
        ),
        (
            "a prefix of a path covers what is below, the longest wins",
            Plan((Drift("spec.disks[root].size", "20Gi", "10Gi"),)),
            replace(
                SETTLED,
                drift_policy=DriftPolicy(
                    fields=[
                        FieldDriftPolicy(path="spec.disks", action=DriftAction.IGNORE),
                        FieldDriftPolicy(path="spec.disks[root]", action=DriftAction.REPORT),
                    ]
                ),
            ),
            (),
            (),
            ["Reported"],
        ),
        (
            "a prefix ends at a dot or bracket: spec.mem is not spec.memory",
            Plan((MEMORY,), (RESIZE,)),
            replace(SETTLED, drift_policy=report("spec.mem")),
            (RESIZE,),
            (),
            ["Correcting"],
        ),
        (
            "a step without fields cannot be left alone by driftPolicy",
            Plan((MEMORY,), (CREATE,)),
            replace(SETTLED, drift_policy=report(default=DriftAction.REPORT)),
            (CREATE,),
            (),
            ["Reported"],
        ),
        (
            "a take-over after a rebuilt cluster has no status: what it finds was reality, and is written down as drift first",
            Plan((MEMORY,), (MARK, RESIZE)),
            FRESH,
            (),
            (),
            ["Correcting"],
        ),
        (
            "once written down it is marked, and nothing else is done with the same look",
            Plan((MEMORY,), (MARK, RESIZE)),
            SETTLED,
            (MARK,),
            (),
            ["Correcting"],
        ),
        ("a take-over without a difference is marked at once", Plan((), (MARK,)), FRESH, (MARK,), (), []),
        (
            "ignored differences need not be written down",
            Plan((MEMORY,), (MARK, RESIZE)),
            replace(FRESH, drift_policy=ignore("spec.memory")),
            (MARK,),
            (),
            ["Ignored"],
        ),
        (
            "children are composed all the same",
            Plan((), (CHILD, MARK, RESIZE)),
            FRESH,
            (CHILD, MARK),
            (),
            [],
        ),
        (
            "a note on behalf of a field is no take-over: a new spec stays work",
            Plan((MEMORY,), (replace(MARK, fields=("spec.memory",)), RESIZE)),
            replace(FRESH, drift_policy=report("spec.memory")),
            (replace(MARK, fields=("spec.memory",)), RESIZE),
            (),
            [],
        ),
        (
            "Observe shows the plan and calls everything drift, also what is new",
            Plan((MEMORY,), (RESIZE,)),
            OBSERVE,
            (),
            (RESIZE,),
            ["Reported"],
        ),
        (
            "Observe still writes what stays inside Kubernetes",
            Plan((), (CHILD, RESIZE)),
            OBSERVE,
            (CHILD,),
            (RESIZE,),
            [],
        ),
        ("paused shows the plan and reports drift", Plan((MEMORY,), (RESIZE,)), PAUSED, (), (RESIZE,), ["Reported"]),
        (
            "paused before it was ever reality: no drift, only a plan",
            Plan((MEMORY,), (RESIZE,)),
            Policy(paused=True),
            (),
            (RESIZE,),
            [],
        ),
        (
            "Approve without the hash: only what stays inside is done",
            Plan((), (CHILD, CREATE)),
            Policy(management=Management.APPROVE),
            (CHILD,),
            (CREATE,),
            [],
        ),
        (
            "what somebody took away is not made anew where drift is only reported",
            Plan((LOST,), (AGAIN,), waiting("Creating", "it is to be made")),
            replace(SETTLED, drift_policy=DriftPolicy(default=DriftAction.REPORT)),
            (),
            (),
            ["Reported"],
        ),
        (
            "a change of spec while paused is no drift: driftPolicy has no say in it afterwards",
            Plan((MEMORY,), (RESIZE,)),
            replace(PAUSED, settled=False),
            (),
            (RESIZE,),
            [],
        ),
        (
            "a step that asks for consent stops it and those after it, not those before",
            Plan((), (RESUME, ASKS, CREATE)),
            SETTLED,
            (RESUME,),
            (RESUME, ASKS, CREATE),
            [],
        ),
        ("the first step asks: nothing is done", Plan((), (ASKS, RESUME)), SETTLED, (), (ASKS, RESUME), []),
    ],
)
def test_what_is_done_what_is_shown_and_what_is_drift(why, plan, policy, done, published, drift):
    decision = decide(plan, policy)
    assert decision.steps == done, why
    assert decision.published == published, why
    assert [v.action for v in decision.drift] == drift, why


@pytest.mark.parametrize(
    ("why", "plan", "policy", "phase", "reason", "available"),
    [
        ("done is done", Plan(), SETTLED, Phase.DONE, "", None),
        (
            "Observe of something that is missing: it is not acted upon, and it is not there",
            Plan((), (CREATE,)),
            OBSERVE,
            Phase.APPROVAL,
            "NotActing",
            False,
        ),
        (
            "Observe: 'is to be made' is not true where nobody makes it, and nothing is polled",
            Plan((), (CREATE,), waiting("Creating", "it is to be made")),
            OBSERVE,
            Phase.APPROVAL,
            "NotActing",
            False,
        ),
        (
            "paused before a replacement: what is there still works",
            Plan((), (step(Action.REPLACE),)),
            PAUSED,
            Phase.APPROVAL,
            "NotActing",
            True,
        ),
        (
            "Observe with mere drift: Ready, the difference is in Drifted",
            Plan((MEMORY,), (RESIZE,), waiting("Resizing", "it is to be resized")),
            OBSERVE,
            Phase.DONE,
            "",
            None,
        ),
        (
            "drift that is only reported leaves it Ready",
            Plan((MEMORY,), (RESIZE,), waiting("Resizing", "it is to be resized")),
            replace(SETTLED, drift_policy=report("spec.memory")),
            Phase.DONE,
            "",
            None,
        ),
        (
            "what is under way without a step of ours is waited for also in Observe",
            Plan((), (), waiting("Booting", "it boots")),
            OBSERVE,
            Phase.WAITING,
            "Booting",
            False,
        ),
        (
            "what only a person can mend stays said in Observe",
            Plan((), (RESIZE,), stalled("MultipleMatches", "ids 1, 2")),
            OBSERVE,
            Phase.STALLED,
            "MultipleMatches",
            False,
        ),
        (
            "Approve waits for the hash",
            Plan((), (CREATE,)),
            Policy(management=Management.APPROVE),
            Phase.APPROVAL,
            "ApprovalRequired",
            True,
        ),
        (
            "Approve of what is not there yet: it is not available while it waits",
            Plan((), (CREATE,), waiting("Creating", "it is to be made")),
            Policy(management=Management.APPROVE),
            Phase.APPROVAL,
            "ApprovalRequired",
            False,
        ),
        ("consent waits for its field", Plan((), (ASKS,)), SETTLED, Phase.APPROVAL, "ApprovalRequired", True),
        (
            "paused with drift: Ready, the difference is in Drifted",
            Plan((MEMORY,), (RESIZE,), waiting("Resizing", "it is to be resized")),
            PAUSED,
            Phase.DONE,
            "",
            None,
        ),
        (
            "paused, then spec was changed: it does not follow, and nothing says that it did",
            Plan((MEMORY,), (RESIZE,), waiting("Resizing", "it is to be resized")),
            replace(PAUSED, settled=False),
            Phase.APPROVAL,
            "NotActing",
            True,
        ),
        (
            "what was taken away and is only reported is not Ready: a person must act",
            Plan((LOST,), (AGAIN,), waiting("Creating", "it is to be made")),
            replace(SETTLED, drift_policy=report("spec")),
            Phase.STALLED,
            "ExternallyDeleted",
            False,
        ),
        (
            "a part that was taken away and is only reported leaves the whole Ready",
            Plan((LOST,), (replace(AGAIN, part=True),), waiting("Creating", "it is to be made")),
            replace(SETTLED, drift_policy=report("spec")),
            Phase.DONE,
            "",
            None,
        ),
        (
            "what was taken away and is made anew is waited for",
            Plan((LOST,), (AGAIN,), waiting("Creating", "it is to be made")),
            SETTLED,
            Phase.WAITING,
            "Creating",
            False,
        ),
        (
            "a paused deletion says so at once",
            Plan((), (DELETE,)),
            Policy(paused=True, deleting=True),
            Phase.APPROVAL,
            "PausedDeletion",
            True,
        ),
    ],
)
def test_what_is_said(why, plan, policy, phase, reason, available):
    outcome = decide(plan, policy).outcome
    assert (outcome.phase, outcome.reason) == (phase, reason), why
    if available is not None:
        assert outcome.available is available, why


@pytest.mark.parametrize(
    ("why", "plan", "policy", "release"),
    [
        ("deleting, nothing left: it may go", Plan(), Policy(deleting=True), True),
        ("not deleting: never", Plan(), Policy(), False),
        ("deleting, something to take away", Plan((), (DELETE,)), Policy(deleting=True), False),
        (
            "deleting, the thing outside is still ending",
            Plan((), (), waiting("Terminating", "")),
            Policy(deleting=True),
            False,
        ),
        ("deleting, but not ours to delete", Plan((), (), stalled("Foreign", "")), Policy(deleting=True), False),
        (
            "Observe leaves what is there",
            Plan((), (DELETE,), waiting("Terminating", "it is to be terminated")),
            Policy(deleting=True, management=Management.OBSERVE),
            True,
        ),
        (
            "Observe first undoes what it wrote inside Kubernetes",
            Plan((), (replace(CHILD, action=Action.DELETE),)),
            Policy(deleting=True, management=Management.OBSERVE),
            False,
        ),
        ("paused waits for what would be taken away", Plan((), (DELETE,)), Policy(deleting=True, paused=True), False),
        ("paused with nothing to take away (Retain): it may go", Plan(), Policy(deleting=True, paused=True), True),
        (
            "paused and Observe leaves, since nothing is written",
            Plan((), (DELETE,)),
            Policy(deleting=True, paused=True, management=Management.OBSERVE),
            True,
        ),
        (
            "Approve asks before it deletes",
            Plan((), (DELETE,)),
            Policy(deleting=True, management=Management.APPROVE),
            False,
        ),
    ],
)
def test_when_the_finalizer_may_go(why, plan, policy, release):
    assert decide(plan, policy).release is release, why


PLAN = Plan((MEMORY,), (RESIZE, RESUME), waiting("Updating", "is to be changed"))
APPROVE = Policy(management=Management.APPROVE, salt="spec A")


def digest(plan=PLAN, policy=APPROVE):
    return decide(plan, policy).hash


@pytest.mark.parametrize(
    ("why", "plan", "policy"),
    [
        ("another value was found", replace(PLAN, drift=(replace(MEMORY, observed="1Gi"),)), APPROVE),
        ("another value is declared", replace(PLAN, drift=(replace(MEMORY, desired="8Gi"),)), APPROVE),
        ("a further step", replace(PLAN, steps=(RESIZE, RESUME, CREATE)), APPROVE),
        ("other order", replace(PLAN, steps=(RESUME, RESIZE)), APPROVE),
        ("more disruption", replace(PLAN, steps=(replace(RESIZE, disruption=Disruption.RESTART), RESUME)), APPROVE),
        ("it costs something", replace(PLAN, steps=(replace(RESIZE, cost="10 EUR"), RESUME)), APPROVE),
        ("spec was changed after the approval", PLAN, replace(APPROVE, salt="spec B")),
    ],
)
def test_an_approval_is_void_when_the_plan_is_another(why, plan, policy):
    approved = replace(policy, approved_plan=digest())
    decision = decide(plan, approved)
    assert decision.steps == (), why
    assert decision.outcome.reason == "ApprovalRequired", why
    assert decision.hash not in {"", digest()}, why
    assert decision.hash in decision.outcome.message, why


def test_an_approved_plan_is_carried_out_and_names_its_approval():
    decision = decide(PLAN, replace(APPROVE, approved_plan=digest()))
    assert decision.steps == (RESIZE, RESUME)
    assert decision.published == ()
    assert decision.approved == digest()


def test_the_rest_of_an_approved_plan_needs_no_second_approval():
    begun = PLAN.steps
    rest = replace(PLAN, steps=(RESUME,), drift=())
    decision = decide(rest, replace(APPROVE, approved_plan=digest(), begun=begun))
    assert decision.steps == (RESUME,)
    more = decide(replace(rest, steps=(RESUME, CREATE)), replace(APPROVE, approved_plan=digest(), begun=begun))
    assert more.steps == (), "a step that was not in the approved plan is another plan"


def test_an_approved_step_may_still_need_its_consent():
    plan = Plan((), (ASKS,))
    decision = decide(plan, replace(APPROVE, approved_plan=digest(plan)))
    assert decision.steps == ()
    assert "powerCycle" in decision.outcome.message


@pytest.mark.parametrize(
    ("why", "wishes", "wanted"),
    [
        ("nothing said", (), Management.MANAGE),
        ("only absent wishes", (None, None), Management.MANAGE),
        ("the cloud observes, whatever the object says", (Management.MANAGE, Management.OBSERVE), Management.OBSERVE),
        ("Approve is stricter than Manage", (None, Management.APPROVE, Management.MANAGE), Management.APPROVE),
        ("Observe is stricter than Approve", (Management.OBSERVE, Management.APPROVE), Management.OBSERVE),
    ],
)
def test_the_stricter_management_wins(why, wishes, wanted):
    assert stricter(*wishes) is wanted, why


@pytest.mark.parametrize(
    ("why", "it", "dangerous"),
    [
        ("making what was lost", replace(CREATE, cause=Cause.OBSERVED), True),
        ("making what spec asks for", CREATE, False),
        ("deleting on request", DELETE, False),
        ("restarting because of what was observed", replace(ASKS, cause=Cause.OBSERVED), True),
        ("renaming because of what was observed", replace(RESIZE, cause=Cause.OBSERVED), False),
        ("taking over", replace(MARK, cause=Cause.OBSERVED), False),
    ],
)
def test_what_the_brakes_count(why, it, dangerous):
    assert it.dangerous is dangerous, why


def test_facts_of_an_adoption_survive_observing():
    plan = Plan((), (RESIZE,), DONE.with_facts(vm="12"))
    assert decide(plan, OBSERVE).outcome.facts == {"vm": "12"}


@pytest.mark.parametrize(
    ("why", "plan", "policy", "words"),
    [
        (
            "of several steps that need one consent the one that somebody notices is named, with what asks for it",
            Plan((), (replace(ASKS, target="VM 3: note", disruption=Disruption.NONE), ASKS)),
            SETTLED,
            f"Update {ASKS.target} (Restart) for spec.memory waits for consent: set spec.updatePolicy.powerCycle: Allow",
        ),
        (
            "a plan that waits for approval says what it is and what to set",
            Plan((), (CREATE, RESIZE, RESUME, DELETE)),
            replace(SETTLED, management=Management.APPROVE),
            (
                f"waits for approval of {CREATE.action} {CREATE.target}, Update VM web: resize (spec.memory),"
                " Update VM web: resume (spec.power) and 1 more: set spec.approvedPlan: "
            ),
        ),
        (
            "paused: which annotation",
            Plan((), (RESIZE,)),
            replace(PAUSED, settled=False),
            "since it is paused: remove the annotation sovereigncloud.io/paused",
        ),
        ("Observe: which field", Plan((), (CREATE,)), OBSERVE, "since management is Observe: set it to Manage"),
        (
            "lost: which field",
            Plan((LOST,), (AGAIN,)),
            replace(SETTLED, drift_policy=report("spec")),
            "set it to Correct for spec to have it made anew",
        ),
    ],
)
def test_what_waits_says_what_to_do(why, plan, policy, words):
    assert words in decide(plan, policy).outcome.message, why


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (replace(SETTLED, drift_policy=report("spec.memory")), "driftPolicy says Report, set it to Correct"),
        (PAUSED, "remove the annotation sovereigncloud.io/paused"),
        (OBSERVE, "management is Observe, set it to Manage"),
        (SETTLED, ""),
    ],
)
def test_drift_that_is_only_reported_says_what_would_mend_it(policy, words):
    (verdict,) = decide(Plan((MEMORY,), (RESIZE,)), policy).drift
    assert words in verdict.remedy
    assert bool(words) == bool(verdict.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Step):
    only_marks: ClassVar[bool] = True


NOTE = Note(action=Action.UPDATE, target="mark of server ns1")


def test_to_who_only_looks_a_mark_that_is_not_there_is_nothing_to_be_done():
    seen = decide(Plan((MEMORY,), (NOTE, RESIZE), waiting("Observing", "it is marked")), OBSERVE)
    assert (seen.steps, seen.published) == ((), (RESIZE,))
    alone = decide(Plan(steps=(NOTE,), outcome=waiting("Observing", "it is marked")), OBSERVE)
    assert (alone.steps, alone.published, alone.outcome.phase) == ((), (), Phase.DONE)


def test_who_manages_marks_and_who_pauses_is_told_of_it():
    assert decide(Plan(steps=(NOTE,)), FRESH).steps == (NOTE,)
    assert decide(Plan(steps=(NOTE,)), replace(PAUSED, settled=False)).published == (NOTE,)
