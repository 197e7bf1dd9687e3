import pytest

from sovereigncloud.core.change_limits import Limits, judge

LIMITS = Limits()


def lost(count, first=0):
    return {f"HostedInstance ns/vm-{i:03}": "it is missing in the cloud" for i in range(first, first + count)}


@pytest.mark.parametrize(
    ("why", "total", "limits", "allowed"),
    [
        ("one is always allowed", 1, LIMITS, 1),
        ("of three machines a tenth is none, one is allowed", 3, LIMITS, 1),
        ("a tenth of 20", 20, LIMITS, 2),
        ("a tenth of 29 is cut, not rounded", 29, LIMITS, 2),
        ("a tenth of 50 is the most", 50, LIMITS, 5),
        ("never more than five by default", 1000, LIMITS, 5),
        ("settable", 1000, Limits(objects=200, fraction=0.15), 150),
        ("binary fractions do not cost one", 100, Limits(objects=99, fraction=0.29), 29),
        ("the whole cloud where a person says so", 7, Limits(objects=100, fraction=1.0), 7),
    ],
)
def test_how_much_is_allowed(why, total, limits, allowed):
    assert limits.allowed(total) == allowed, why


@pytest.mark.parametrize(
    ("why", "count", "total", "held"),
    [
        ("nothing", 0, 1000, False),
        ("one machine of one: it is asked about", 1, 1, False),
        ("five of a thousand", 5, 1000, False),
        ("six of a thousand", 6, 1000, True),
        ("two of ten are more than a tenth", 2, 10, True),
        ("a whole pool that answers empty", 50, 50, True),
    ],
)
def test_what_is_held(why, count, total, held):
    verdict = judge(lost(count), total, LIMITS, "")
    assert bool(verdict.held) is held, why
    assert len(verdict.admitted) == (0 if held else count), why
    assert bool(verdict.hash) is held, why


def test_all_or_nothing_is_held_and_the_message_says_what_and_how_to_go_on():
    verdict = judge(lost(50), 1000, LIMITS, "")
    assert verdict.admitted == frozenset()
    assert len(verdict.held) == 50
    assert "50 changes" in verdict.message
    assert "vm-000" in verdict.message
    assert "and 40 more" in verdict.message
    assert f"spec.approvedPlan: {verdict.hash}" in verdict.message


def test_the_hash_names_exactly_these():
    one, other = judge(lost(50), 1000, LIMITS, ""), judge(lost(50, first=1), 1000, LIMITS, "")
    assert one.hash != other.hash
    assert judge(dict(reversed(lost(50).items())), 1000, LIMITS, "").hash == one.hash, "order says nothing"
    assert judge(lost(51), 1000, LIMITS, one.hash).held, "one more is another question"


def test_an_approval_lasts_until_all_of_it_is_done():
    asked = judge(lost(50), 1000, LIMITS, "")
    first = judge(lost(50), 1000, LIMITS, asked.hash, before=asked)
    assert len(first.admitted) == 50
    assert first.approved == asked.hash
    # the next sweeps come while it is being done, and see it in other words
    halfway = dict.fromkeys(list(lost(50))[20:], 'Create VM "x"')
    second = judge(halfway, 1000, LIMITS, asked.hash, before=first, spent=asked.hash)
    assert not second.held
    assert second.admitted == frozenset(halfway)
    third = judge({}, 1000, LIMITS, asked.hash, before=second, spent=asked.hash)
    assert not third.held
    assert third.released == frozenset()


def test_an_approval_counts_once():
    asked = judge(lost(50), 1000, LIMITS, "")
    used = judge(lost(50), 1000, LIMITS, asked.hash, before=asked)
    over = judge({}, 1000, LIMITS, asked.hash, before=used, spent=asked.hash)
    again = judge(lost(50), 1000, LIMITS, asked.hash, before=over, spent=asked.hash)
    assert len(again.held) == 50, "the same loss a second time is a second question"
    assert again.hash != asked.hash


def test_what_is_lost_beside_an_approved_loss_is_judged_by_itself():
    asked = judge(lost(50), 1000, LIMITS, "")
    used = judge(lost(50), 1000, LIMITS, asked.hash, before=asked)
    few = judge(lost(53), 1000, LIMITS, asked.hash, before=used, spent=asked.hash)
    assert len(few.admitted) == 53
    many = judge(lost(60), 1000, LIMITS, asked.hash, before=used, spent=asked.hash)
    assert many.admitted == frozenset(lost(50))
    assert len(many.held) == 10


def test_an_approval_taken_back_stops_what_is_left():
    asked = judge(lost(50), 1000, LIMITS, "")
    used = judge(lost(50), 1000, LIMITS, asked.hash, before=asked)
    assert len(judge(lost(30), 1000, LIMITS, "", before=used, spent=asked.hash).held) == 30
