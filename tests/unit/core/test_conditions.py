"""The status as kstatus and Argo CD read it, and the patch that writes it."""

from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.conditions import (
    MAX_DRIFT,
    conditions,
    drift_count,
    drift_entries,
    merge_patch,
    plain,
    plan_status,
    says,
    timestamp,
)
from sovereigncloud.core.outcome import DONE, Outcome, Phase, approval, blocked, held, retry, stalled, waiting
from sovereigncloud.core.plan import Action, Drift, Step
from sovereigncloud.core.policy import DriftVerdict

T0, T1 = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
MEMORY = Drift("spec.memory", "4Gi", "2Gi")
CORRECTED = (DriftVerdict(MEMORY, "Correcting"),)
REPORTED = (DriftVerdict(MEMORY, "Reported"),)
IGNORED = (DriftVerdict(MEMORY, "Ignored"),)


def kstatus(generation, status):
    """The generic path of cli-utils (pkg/kstatus/status/{generic,status}.go), in its order."""
    observed = status.get("observedGeneration")
    if observed is not None and observed != generation:
        return "InProgress"
    for condition in status.get("conditions", []):
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    ready = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), None)
    return "Current" if ready is None or ready["status"] == "True" else "InProgress"


def argo(generation, status):
    """The rules of the health.lua that the project ships."""
    found = {c["type"]: c["status"] for c in status.get("conditions", [])}
    if not found or status.get("observedGeneration") != generation:
        return "Progressing"
    for kind, health in (("Paused", "Suspended"), ("Stalled", "Degraded"), ("Reconciling", "Progressing")):
        if found.get(kind) == "True":
            return health
    return "Healthy" if found.get("Ready") == "True" else "Progressing"


def status_of(outcome, drift=(), previous=None, *, generation=1, paused=False, now=T0):
    previous = previous or {}
    written = conditions(outcome, drift, previous, generation=generation, paused=paused, now=now)
    return {"observedGeneration": generation, "conditions": written}


def by_type(status):
    return {c["type"]: c for c in status["conditions"]}


READY = status_of(DONE)
DRIFTED = status_of(DONE, REPORTED)


@pytest.mark.parametrize(
    ("why", "status", "ready", "extra", "judged"),
    [
        (
            "creating",
            status_of(waiting("Creating", "VM web")),
            "False",
            {"Reconciling": "Creating"},
            ("InProgress", "Progressing"),
        ),
        ("ready", READY, "True", {}, ("Current", "Healthy")),
        (
            "an API error that passes leaves Ready as it was",
            status_of(retry("timeout"), None, READY),
            "True",
            {"Reconciling": "RetryingAfterError"},
            ("InProgress", "Progressing"),
        ),
        (
            "an API error before it was ever ready",
            status_of(retry("timeout"), None),
            "False",
            {"Reconciling": "RetryingAfterError"},
            ("InProgress", "Progressing"),
        ),
        (
            "an invalid spec needs a person",
            status_of(stalled("InvalidSpec", "spec.memory"), None, READY),
            "False",
            {"Stalled": "InvalidSpec"},
            ("Failed", "Degraded"),
        ),
        (
            "waiting for what it refers to",
            status_of(blocked("cloud x does not exist"), None),
            "False",
            {"Reconciling": "WaitingForDependency"},
            ("InProgress", "Progressing"),
        ),
        (
            "waiting for consent while it works",
            status_of(approval("set spec.updatePolicy"), (), READY),
            "True",
            {"Reconciling": "ApprovalRequired"},
            ("InProgress", "Progressing"),
        ),
        (
            "paused",
            status_of(DONE, (), READY, paused=True),
            "True",
            {"Paused": "PausedByAnnotation"},
            ("Current", "Suspended"),
        ),
        (
            "a paused deletion says so",
            status_of(held("PausedDeletion", "remove the annotation"), (), READY, paused=True),
            "True",
            {"Reconciling": "PausedDeletion", "Paused": "PausedByAnnotation"},
            ("InProgress", "Suspended"),
        ),
        ("drift that is only reported", DRIFTED, "True", {}, ("Current", "Healthy")),
        (
            "drift that is being corrected while it works",
            status_of(waiting("Updating", "rename", available=True), CORRECTED, READY),
            "True",
            {"Reconciling": "Updating"},
            ("InProgress", "Progressing"),
        ),
        (
            "drift that keeps it from its job",
            status_of(waiting("Starting", "it is off"), CORRECTED, READY),
            "False",
            {"Reconciling": "Starting"},
            ("InProgress", "Progressing"),
        ),
        (
            "a new spec is not ready because the one before was",
            status_of(waiting("Updating", "resize", available=True), (), READY, generation=2),
            "False",
            {"Reconciling": "Updating"},
            ("InProgress", "Progressing"),
        ),
    ],
)
def test_situations_as_kstatus_and_argo_read_them(why, status, ready, extra, judged):
    generation = status["observedGeneration"]
    found = by_type(status)
    assert found["Ready"]["status"] == ready, why
    assert {k: c["reason"] for k, c in found.items() if k not in {"Ready", "Drifted"}} == extra, why
    assert (kstatus(generation, status), argo(generation, status)) == judged, why
    assert kstatus(generation + 1, status) == "InProgress", f"{why}: a spec that nobody has seen yet"


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("previous", [{}, READY, DRIFTED])
def test_reconciling_and_stalled_are_there_only_while_true_and_never_both(phase, previous):
    found = by_type(status_of(Outcome(phase, "Why" if phase else "", "text"), (), previous))
    assert ("Stalled" in found) == (phase is Phase.STALLED)
    assert ("Reconciling" in found) == (phase not in {Phase.DONE, Phase.STALLED})
    assert all(c["reason"] for c in found.values())
    assert all("observedGeneration" not in c for c in found.values()), "kubectl wait would prefer a stale one"


@pytest.mark.parametrize(
    "outcome",
    [
        retry("timeout"),
        waiting("Observing", "reading", available=True),
        approval("set it"),
        held("TooManyChanges", "waits"),
    ],
)
def test_ready_does_not_flap_during_routine_checks(outcome):
    again = by_type(status_of(outcome, None, READY, now=T1))
    for field in ("status", "lastTransitionTime"):
        assert again["Ready"][field] == by_type(READY)["Ready"][field]
    told = [again[kind][field] for kind in ("Ready", "Reconciling") for field in ("reason", "message")]
    assert told[:2] == told[2:], "the one line of `kubectl get` tells what is going on meanwhile"


@pytest.mark.parametrize(
    ("why", "drift", "status", "reason"),
    [
        ("in sync", (), "False", "InSync"),
        ("ignored does not count", IGNORED, "False", "InSync"),
        ("reported", REPORTED, "True", "ReportOnly"),
        ("corrected", CORRECTED, "True", "Correcting"),
        ("one of two is corrected", REPORTED + CORRECTED, "True", "Correcting"),
    ],
)
def test_drifted_is_always_there_once_observed(why, drift, status, reason):
    found = by_type(status_of(DONE, drift))["Drifted"]
    assert (found["status"], found["reason"]) == (status, reason), why


def test_drifted_stays_as_it_was_while_nobody_can_look():
    assert by_type(status_of(retry("timeout"), None, DRIFTED, now=T1))["Drifted"] == by_type(DRIFTED)["Drifted"]
    assert "Drifted" not in by_type(status_of(retry("timeout"), None))


def test_drift_of_the_spec_before_says_nothing_of_a_new_one():
    """Else a new spec that could not be looked at yet would count as settled, and its differences as drift."""
    found = by_type(status_of(retry("timeout"), None, DRIFTED, generation=2))["Drifted"]
    assert (found["status"], found["reason"]) == ("Unknown", "NotObserved")


@pytest.mark.parametrize(
    ("why", "first", "second", "kind", "moved"),
    [
        ("another reason is no transition", waiting("Creating", "a"), waiting("Booting", "b"), "Reconciling", False),
        ("another message is no transition", waiting("Creating", "a"), blocked("b"), "Ready", False),
        ("True to False is one", DONE, stalled("InvalidSpec", "x"), "Ready", True),
        ("what came anew begins now", DONE, retry("x"), "Reconciling", True),
    ],
)
def test_last_transition_time_is_honest(why, first, second, kind, moved):
    before = status_of(first, now=T0)
    after = by_type(status_of(second, (), before, now=T1))[kind]
    assert after["lastTransitionTime"] == (T1 if moved else T0), why


def test_a_condition_that_was_gone_begins_anew():
    before = status_of(retry("x"), None, READY, now=T0)
    between = status_of(DONE, (), before, now=T0)
    assert by_type(status_of(retry("x"), None, between, now=T1))["Reconciling"]["lastTransitionTime"] == T1


def test_texts_are_cut_to_what_the_schema_takes():
    found = by_type(status_of(stalled(Reason.REJECTED, "m" * 5000)))["Stalled"]
    assert (found["reason"], len(found["message"])) == ("Rejected", 4096)


def test_drift_entries_keep_since_when():
    first = drift_entries(REPORTED, {}, T0)
    again = drift_entries(
        (*CORRECTED, DriftVerdict(Drift("spec.power", "Running", "Off"), "Correcting")), {"drift": first}, T1
    )
    assert [(e["path"], e["since"], e["action"]) for e in again] == [
        ("spec.memory", T0, "Correcting"),
        ("spec.power", T1, "Correcting"),
    ]


def test_drift_is_a_map_by_path_and_bounded():
    twice = (DriftVerdict(Drift("spec.networks[a]", "absent", "card 1"), "Reported"),) * 2
    assert [e["observed"] for e in drift_entries(twice, {}, T0)] == ["card 1; card 1"], "the API server refuses two"
    many = tuple(DriftVerdict(Drift(f"spec.f{i}", "a" * 2000, "b" * 2000), "Reported") for i in range(100))
    entries = drift_entries(many, {}, T0)
    assert len(entries) == MAX_DRIFT
    assert {len(e["desired"]) for e in entries} == {1024}
    assert drift_count(many) == 100, "the column tells the truth, also where the list has no room"


def test_ignored_drift_is_listed_and_not_counted():
    assert [e["action"] for e in drift_entries(IGNORED, {}, T0)] == ["Ignored"]
    assert drift_count(IGNORED) == 0


def test_plan_status_is_cut_to_what_the_schema_takes():
    long = Step(action=Action.UPDATE, target="t" * 300, fields=("f" * 300,) * 100, cost="c" * 300, needs="n" * 300)
    shown = plan_status((long,) * 100, "digest")
    assert shown["hash"] == "digest"
    assert len(shown["steps"]) == 64
    first = shown["steps"][0]
    assert (len(first["target"]), len(first["fields"]), len(first["fields"][0])) == (253, 64, 253)
    assert (len(first["cost"]), len(first["needs"])) == (128, 253)
    assert plan_status((), "") is None


def test_timestamps_are_utc_to_the_second():
    assert timestamp(datetime(2026, 11, 24, 10, 0, 0, 999999, tzinfo=UTC)) == T0


class Word(StrEnum):
    ON = "on"


def test_plain_is_what_the_api_server_stores():
    kept = plain({"a": (1, Word.ON), "b": None, "c": {"d": None, "e": Word.ON}, "f": [{"g": None}, None], "h": {}})
    assert kept == {"a": [1, "on"], "c": {"e": "on"}, "f": [{}], "h": {}}
    assert type(kept["c"]["e"]) is str


def apply(target, patch):
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    out = dict(target)
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = apply(out.get(name), value)
    return out


def exactly(one, other):
    """Equal as JSON: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(exactly(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(exactly(a, b) for a, b in zip(one, other, strict=True))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


scalars = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "b"]))
values = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from("xyz"), below, max_size=3)),
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(objects, objects)
def test_a_merge_patch_turns_old_into_new(old, new):
    assert exactly(apply(old, merge_patch(old, new)), new)


@given(objects)
def test_nothing_changed_is_no_patch(old):
    assert merge_patch(old, old) == {}


@given(objects, objects)
def test_a_patch_is_needed_once(old, new):
    assert merge_patch(apply(old, merge_patch(old, new)), new) == {}


@pytest.mark.parametrize(
    ("why", "old", "new", "patch"),
    [
        ("a key that went is null", {"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ("a nested key that went is null", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, {"a": {"b": None}}),
        ("lists go whole", {"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ("true is not 1", {"a": 1}, {"a": True}, {"a": True}),
        ("an empty object is not an absent one", {}, {"a": {}}, {"a": {}}),
    ],
)
def test_merge_patches(why, old, new, patch):
    assert merge_patch(old, new) == patch, why


said_values = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, "a", Reason.AS_DECLARED]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
said = st.dictionaries(st.sampled_from("abc"), said_values, max_size=3)


def turned(told, wanted):
    return merge_patch(told, {**{k: v for k, v in told.items() if k not in wanted and v is not None}, **plain(wanted)})


@given(said, said)
def test_what_is_said_already_needs_no_patch(told, wanted):
    assert not says(told, wanted) or turned(told, wanted) == {}


@pytest.mark.parametrize(
    ("why", "told", "wanted", "same"),
    [
        ("nothing stands for a key that is not there", {"a": "x"}, {"a": "x", "b": None}, True),
        ("a key that is to go", {"a": "x", "b": "y"}, {"a": "x", "b": None}, False),
        ("a key that nobody speaks of stays", {"a": "x", "b": "y"}, {"a": "x"}, True),
        ("a nested key that nobody speaks of goes", {"a": {"b": "x", "c": "y"}}, {"a": {"b": "x"}}, False),
        ("true is not 1", {"a": [1]}, {"a": [True]}, False),
        (
            "a word of an enumeration is a text, a tuple a list",
            {"a": ["AsDeclared"]},
            {"a": (Reason.AS_DECLARED,)},
            True,
        ),
    ],
)
def test_what_a_status_says(why, told, wanted, same):
    assert says(told, wanted) is same, why
