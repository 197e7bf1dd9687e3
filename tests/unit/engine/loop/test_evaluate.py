"""What is written of an object: the patch from the status before to what is true now, or nothing at all."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes import objects
from tests.fakes.objects import CLOUD, NAMESPACE, instance, key

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, retry, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.core.policy import Decision, DriftVerdict
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.evaluate import TAKEN_OVER, Evaluation, Subject, gate, policy_of, said, status_patch
from sovereigncloud.kinds.contract.controller import Uses

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 11, tzinfo=UTC)
SUBJECT = Subject(generation=1, paused=False, asked="", external={})
RESIZE = Step(action=Action.UPDATE, target="VM 12", fields=("spec.memory",), cause=Cause.OBSERVED)
MEMORY = Drift("spec.memory", "4Gi", "2Gi")


def seen(*, drift=(), published=(), digest="", outcome=DONE, steps=(), **fields):
    verdicts = tuple(DriftVerdict(d, "Reported") for d in drift)
    return Evaluation(Plan(drift, steps, outcome), Decision(steps, published, verdicts, outcome, hash=digest), fields)


def merged(status, patch):
    out = dict(status)
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, dict):
            out[name] = merged(out.get(name) or {}, value)
        else:
            out[name] = value
    return out


def written(outcome=DONE, previous=None, examination=None, *, subject=SUBJECT, now=NOW, **more):
    previous = {"observedGeneration": -1} if previous is None else previous
    patch = status_patch(subject, previous, outcome, now=now, examination=examination, **more)
    return merged(previous, patch)


FULL = {"state": "Running", "addresses": ("192.0.2.1",), "placement": {"cloud": "ns/paris", "host": None}, "id": None}


@pytest.mark.parametrize(
    ("why", "outcome", "examination", "more"),
    [
        ("ready", DONE, seen(**FULL), {}),
        ("ready with ids", DONE, seen(**FULL), {"facts": {"vm": "12", "old": ""}}),
        ("drift and a plan", DONE, seen(drift=(MEMORY,), published=(RESIZE,), digest="d", **FULL), {}),
        ("nobody could look", retry("timeout"), None, {}),
        ("stalled", stalled("ExternallyDeleted", "VM 12"), seen(**FULL), {}),
        ("asked to look", DONE, seen(), {"subject": Subject(1, paused=False, asked="t1", external={})}),
        ("an approval used up", DONE, seen(), {"approved": "abc"}),
        ("nothing but holes", DONE, seen(placement={"host": None}, hosts=[], notes={}), {}),
    ],
)
def test_what_is_as_it_was_is_not_written_again(why, outcome, examination, more):
    once = written(outcome, None, examination, **more)
    subject = more.pop("subject", SUBJECT)
    subject = Subject(subject.generation, subject.paused, subject.asked, once.get("external") or {})
    for _ in range(3):
        patch = status_patch(subject, once, outcome, now=LATER, examination=examination, **more)
        assert patch == {}, f"{why}: a PATCH at rest"


def test_the_generation_that_was_looked_at_is_in_every_write():
    assert written(retry("x"), subject=Subject(7, paused=False, asked="", external={}))["observedGeneration"] == 7


def test_a_status_does_not_claim_to_speak_of_a_spec_that_nobody_read():
    store = Store()
    store.put(instance(generation=1))
    looked_at = store.get(key("web"))
    store.put(instance(generation=2, version=2, annotations={"sovereigncloud.io/reconcile-requested-at": "later"}))
    subject = Subject.looked_at(looked_at, {"external": {"vm": "12"}})
    assert (subject.generation, subject.asked, subject.external) == (1, "", {"vm": "12"})


def test_keys_that_went_are_null():
    before = written(
        examination=seen(drift=(MEMORY,), published=(RESIZE,), digest="d", id="12", addresses=["192.0.2.1"])
    )
    patch = status_patch(SUBJECT, before, DONE, now=LATER, examination=seen(id=None, addresses=None))
    gone = {name for name, value in patch.items() if value is None}
    assert gone == {"drift", "driftCount", "plan", "id", "addresses"}


def test_without_a_look_all_that_was_seen_stays():
    before = written(examination=seen(drift=(MEMORY,), published=(RESIZE,), digest="d", id="12"))
    after = written(retry("timeout"), before, None, now=LATER)
    assert {k: after[k] for k in ("drift", "driftCount", "plan", "id")} == {
        k: before[k] for k in ("drift", "driftCount", "plan", "id")
    }


def test_ids_come_and_go():
    status = written(waiting("Creating", "x", available=False).with_facts(vm="12", cloud="ns/paris"), None, seen())
    assert status["external"] == {"vm": "12", "cloud": "ns/paris"}
    subject = Subject(1, paused=False, asked="", external=status["external"])
    status = written(DONE, status, seen(), subject=subject, facts={"vm": ""})
    assert status["external"] == {"cloud": "ns/paris"}
    subject = Subject(1, paused=False, asked="", external=status["external"])
    assert "external" not in written(DONE, status, seen(), subject=subject, facts={"cloud": ""})


def test_ids_that_an_observation_brought_are_written():
    """A machine found by its mark after its record was lost: no step was performed, and yet there is an id to keep."""
    assert written(DONE.with_facts(vm="12"), None, seen())["external"] == {"vm": "12"}


def test_a_request_to_look_is_acknowledged():
    status = written(subject=Subject(1, paused=False, asked="2026-11-24", external={}))
    assert status["lastHandledReconcileAt"] == "2026-11-24"
    assert written(previous=status)["lastHandledReconcileAt"] == "2026-11-24", "it stays when the annotation goes"


def test_an_approval_that_was_used_is_remembered():
    status = written(approved="abc")
    assert status["lastApprovedPlan"] == "abc"
    assert written(previous=status)["lastApprovedPlan"] == "abc"


def test_the_plan_carries_the_hash_that_approves_it():
    status = written(examination=seen(published=(RESIZE,), digest="0123456789abcdef"))
    assert status["plan"]["hash"] == "0123456789abcdef"
    assert status["plan"]["steps"] == [
        {"action": "Update", "target": "VM 12", "disruption": "None", "fields": ["spec.memory"]}
    ]


def test_an_absence_that_is_not_confirmed_leaves_what_was_said_of_drift():
    """Else the object would look as if it had never been there: made anew, although driftPolicy only reports."""
    before = written(DONE, None, seen(drift=(MEMORY,)))
    absent = seen(outcome=waiting("ConfirmingAbsence", "asked for"))
    absent = replace(absent, plan=replace(absent.plan, absent=True))
    after = written(absent.decision.outcome, before, absent)
    assert after["drift"] == before["drift"]
    assert next(c for c in after["conditions"] if c["type"] == "Drifted")["status"] == "True"


def test_reported_drift_is_named_while_all_is_well():
    examination = seen(drift=(MEMORY,))
    outcome = said(examination)
    assert (outcome.phase, outcome.reason) == (Phase.DONE, "Drifted")
    assert "spec.memory is" in outcome.message
    bad = seen(drift=(MEMORY,), outcome=stalled("X", "y"))
    assert said(bad) == stalled("X", "y")


# --- the gate --------------------------------------------------------------------------------------------------------

IN_CLOUD = Uses(cloud=CLOUD)
DELETED = {"deletionTimestamp": "2026-11-24T10:00:00Z"}
OURS = {"finalizers": ["sovereigncloud.io/finalizer"]}


def gated(resource, *others, uses=IN_CLOUD, users=()):
    store = Store()
    for other in (resource, *others):
        store.put(other)
    for user, used in users:
        store.set_uses(user, Uses(objects=(used,)))
    found, _ = store.put(resource)
    return gate(store.get(found), uses, store)


@pytest.mark.parametrize(
    ("why", "resource", "others", "phase", "says"),
    [
        ("the cloud answers", instance(), [objects.cloud()], Phase.DONE, ""),
        ("it needs no cloud", instance(), [], Phase.BLOCKED, "does not exist: create it"),
        ("the cloud has not answered yet", instance(), [objects.cloud(endpoint=None)], Phase.BLOCKED, "to answer"),
        (
            "and it says why",
            instance(),
            [
                objects.cloud(
                    endpoint=None, status={"conditions": [objects.condition("Ready", "False", "Installing", "2 of 3")]}
                )
            ],
            Phase.BLOCKED,
            "(Installing: 2 of 3)",
        ),
        (
            "the cloud's spec cannot be read",
            instance(),
            [objects.cloud(spec={"existing": "what"})],
            Phase.BLOCKED,
            "cannot be read",
        ),
        (
            "nothing new is made in a cloud that goes",
            instance(),
            [objects.cloud(**DELETED)],
            Phase.BLOCKED,
            "being deleted",
        ),
        (
            "what is there already is kept as long as it goes",
            instance(**OURS),
            [objects.cloud(**DELETED)],
            Phase.DONE,
            "",
        ),
        ("who goes needs no cloud that answers", instance(**OURS, **DELETED), [], Phase.DONE, ""),
    ],
)
def test_what_lets_it_be_looked_at(why, resource, others, phase, says):
    outcome = gated(resource, *others)
    assert outcome.phase is phase, why
    assert says in outcome.message, why


def test_without_a_reference_nothing_is_waited_for():
    assert gated(instance(), uses=Uses()).phase is Phase.DONE


@pytest.mark.parametrize(
    ("why", "user", "held"),
    [
        ("somebody uses it", instance(), True),
        ("who goes, but has something outside, still uses it", instance(**DELETED, **OURS), True),
        ("who goes and has nothing outside does not", instance(**DELETED), False),
        ("what it composed goes with it", instance(ownerReferences=[{"uid": "uid-SovereignCloud-paris"}]), False),
        ("who belongs to another owner uses it", instance(ownerReferences=[{"uid": "another"}]), True),
        ("whose spec cannot be read may still need it", instance(spec={"memory": ["much"]}), True),
    ],
)
def test_what_is_used_stays(why, user, held):
    going = objects.cloud(**DELETED, **OURS)
    outcome = gated(going, user, uses=Uses(), users=[(key("web"), CLOUD)])
    assert (outcome.phase, outcome.reason) == ((Phase.BLOCKED, "InUse") if held else (Phase.DONE, "")), why
    if held:
        assert "HostedInstance prefecture/web" in outcome.message


def test_many_users_are_named_in_part():
    many = [instance(f"web-{i:03}") for i in range(25)]
    users = [(key(f"web-{i:03}"), CLOUD) for i in range(25)]
    outcome = gated(objects.cloud(**DELETED), *many, uses=Uses(), users=users)
    assert "web-009 and 15 more" in outcome.message


# --- policy ----------------------------------------------------------------------------------------------------------


def policy(resource, *others, uses=IN_CLOUD):
    store = Store()
    for other in others:
        store.put(other)
    found, _ = store.put(resource)
    return policy_of(store.get(found), uses, store)


def test_management_of_the_cloud_holds_for_everything_in_it():
    observed = objects.cloud(spec={"management": "Observe"})
    assert policy(instance(), observed).management == "Observe"
    assert policy(instance(spec={"management": "Manage"}), observed).management == "Observe"
    assert policy(instance(spec={"management": "Observe"}), objects.cloud()).management == "Observe"
    assert policy(instance(), objects.cloud()).management == "Manage"


def test_management_of_the_owner_holds_for_what_it_composed():
    owner = objects.cloud("lyon", spec={"management": "Approve"})

    def owned(uid):
        return {"apiVersion": "v1", "kind": "SovereignCloud", "name": "lyon", "uid": uid, "controller": True}

    child = instance(ownerReferences=[owned("uid-SovereignCloud-lyon")])
    assert policy(child, owner, uses=Uses()).management == "Approve"
    stranger = instance(ownerReferences=[owned("uid-of-one-before")])
    assert policy(stranger, owner, uses=Uses()).management == "Manage", "an owner of that name, made anew, is another"


def composed_by(owner, **more):
    reference = {"apiVersion": "v1", "kind": "SovereignCloud", "name": owner["metadata"]["name"], "controller": True}
    return objects.server(ownerReferences=[{**reference, "uid": owner["metadata"]["uid"]}], **more)


def test_what_a_cloud_says_of_drift_holds_for_what_it_composed():
    report = {"driftPolicy": {"default": "Report"}}
    owner = objects.cloud("lyon", spec=report)
    assert policy(composed_by(owner), owner, uses=Uses()).drift_policy.default == "Report"
    assert policy(composed_by(objects.cloud("lyon")), objects.cloud("lyon"), uses=Uses()).drift_policy is None
    assert policy(instance(), objects.cloud(spec=report)).drift_policy is None, "a tenant's own business"


def hosted(mode):
    adopt = {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "admin"}}
    modes = {"adopt": adopt, "install": {"architecture": "Basic", "version": "7.0"}}
    return objects.body("SovereignCloud", "lyon", {"hosted": {"openNebula": {mode: modes[mode]}}})


@pytest.mark.parametrize(
    ("why", "mode", "external", "settled"),
    [
        ("what a person built stood before its manifest: what differs is drift", "adopt", {}, True),
        ("once it was taken over, a change of spec is work to do", "adopt", {TAKEN_OVER: "yes"}, False),
        ("what is built from its manifest is work to do", "install", {}, False),
    ],
)
def test_an_adopted_cloud_differs_by_drift_from_the_first_look_on(why, mode, external, settled):
    cloud = hosted(mode)
    child = composed_by(cloud, status={"observedGeneration": -1, "external": external})
    assert policy(child, cloud, uses=Uses()).settled is settled, why
    cloud["status"]["external"] = external
    assert policy(cloud, uses=Uses()).settled is settled, why


def test_an_approval_depends_on_spec_and_on_the_approvals_before():
    def salt(approved="", last="", management="Approve", **spec):
        status = {"lastApprovedPlan": last} if last else {}
        more = {"approvedPlan": approved} if approved else {}
        return policy(instance(spec={"management": management, **more, **spec}, status=status), objects.cloud()).salt

    assert salt() == salt(approved="abc"), "to approve is no other spec"
    assert salt() == salt(management="Observe"), "a plan that was observed can be approved"
    assert salt() != salt(memory="8Gi")
    assert salt() != salt(last="abc")


def test_keys_are_those_of_kubernetes():
    assert str(Key("HostedInstance", NAMESPACE, "web")) == "HostedInstance prefecture/web"
    assert str(Key("Tenant", "", "prefecture")) == "Tenant prefecture"
    assert str(blocked("x").phase.name) == "BLOCKED"
    assert Outcome() == DONE
