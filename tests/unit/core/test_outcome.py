"""Outcomes are merged from many places in any grouping: what matters must not depend on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereigncloud.core.outcome import (
    DONE,
    Outcome,
    Phase,
    approval,
    blocked,
    done,
    held,
    merge,
    retry,
    stalled,
    waiting,
)

outcomes = st.builds(
    Outcome,
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(["A", "B", "C"]),
    message=st.sampled_from(["", "one", "two", "three"]),
    after=st.one_of(st.none(), st.floats(0, 100)),
    available=st.booleans(),
    facts=st.dictionaries(st.sampled_from("xy"), st.sampled_from(["", "1", "2"]), max_size=2),
    events=st.lists(st.tuples(st.just("E"), st.sampled_from("ab")), max_size=2).map(tuple),
)


@given(outcomes, outcomes, outcomes)
def test_grouping_does_not_matter(a, b, c):
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    for name in ("phase", "reason", "after", "facts", "events"):
        assert getattr(left, name) == getattr(right, name), name
    if left.phase is not Phase.DONE:
        assert left.available == right.available


@given(outcomes, outcomes)
def test_order_does_not_decide_how_bad_it_is(a, b):
    one, other = a.merge(b), b.merge(a)
    assert (one.phase, one.after) == (other.phase, other.after)
    if one.phase is not Phase.DONE:
        assert one.available == other.available
    if a.phase != b.phase:
        assert (one.reason, one.message) == (other.reason, other.message)


@given(outcomes)
def test_done_changes_nothing(a):
    assert DONE.merge(a) == a or a.phase is Phase.DONE
    merged = a.merge(DONE)
    assert (merged.phase, merged.reason, merged.message, merged.after) == (a.phase, a.reason, a.message, a.after)
    assert (merged.facts, merged.events) == (a.facts, a.events)


@given(outcomes, outcomes)
def test_nothing_that_was_learnt_is_lost(a, b):
    merged = a.merge(b)
    assert merged.facts == {**a.facts, **b.facts}, "the later fact wins"
    assert merged.events == a.events + b.events


@pytest.mark.parametrize(
    ("why", "parts", "phase", "reason", "after", "available"),
    [
        ("nothing at all is done", [], Phase.DONE, "", None, False),
        ("the worse names the reason", [waiting("Booting", "x"), stalled("Foreign", "y")], Phase.STALLED, "Foreign", None, False),
        ("the first of equals names the reason", [waiting("A", "x"), waiting("B", "y")], Phase.WAITING, "A", None, False),
        ("the earlier time wins, also of the better", [stalled("S", "x", after=300), waiting("W", "y", after=5)], Phase.STALLED, "S", 5, False),
        ("a retry is worse than a missing reference", [blocked("x"), retry("y")], Phase.RETRY, "RetryingAfterError", None, False),
        ("works meanwhile only if all of it does", [waiting("W", "", available=True), waiting("V", "")], Phase.WAITING, "W", None, False),
        ("what is done does not take from it", [done("E", "made"), approval("set it")], Phase.APPROVAL, "ApprovalRequired", None, True),
        ("a person's word before what ends by itself", [held("PausedDeletion", "x"), waiting("W", "")], Phase.APPROVAL, "PausedDeletion", None, False),
    ],
)  # fmt: skip
def test_merging(why, parts, phase, reason, after, available):
    merged = merge(parts)
    assert (merged.phase, merged.reason, merged.after) == (phase, reason, after), why
    assert merged.available is available, why


def test_messages_of_equals_are_joined_once():
    assert waiting("A", "one").merge(waiting("B", "two")).message == "one; two"
    assert waiting("A", "one").merge(waiting("B", "one")).message == "one"
    assert stalled("S", "bad").merge(waiting("W", "slow")).message == "bad"
