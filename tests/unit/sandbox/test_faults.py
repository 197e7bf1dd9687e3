"""The fault plan that both simulators put between their wire and their world."""

import asyncio

import pytest

from sovereigncloud_sandbox.faults import Canned, Dropped, FaultPlan, parse_rule

STRIKES = [
    ("every request that matches is struck", {}, [True, True, True, True]),
    ("nth is the first one struck, counted from 1", {"nth": 3}, [False, False, True, True]),
    ("count is how many are struck", {"count": 2}, [True, True, False, False]),
    ("nth and count: a burst in the middle", {"nth": 2, "count": 2}, [False, True, True, False]),
    ("another method is left alone", {"method": "GET"}, [False] * 4),
    ("methods are patterns, matched as a whole", {"method": "POST|PUT"}, [True] * 4),
    ("paths are patterns, searched", {"path": "/reinstall$"}, [True] * 4),
    ("another path is left alone", {"path": "^/vrack"}, [False] * 4),
]


@pytest.mark.parametrize(("why", "fields", "struck"), STRIKES, ids=[row[0] for row in STRIKES])
def test_which_requests_are_struck(why, fields, struck):
    plan = FaultPlan()
    plan.add(parse_rule({"kind": "lost-request", **fields}))
    assert [bool(plan.strike("POST", "/dedicated/server/ns1/reinstall")) for _ in struck] == struck, why


def test_probability_is_repeatable_and_about_right():
    def sequence():
        plan = FaultPlan(seed=3)
        plan.add(parse_rule({"kind": "lost-request", "probability": 0.3}))
        return [bool(plan.strike("GET", "/x")) for _ in range(1000)]

    first = sequence()
    assert first == sequence()
    assert 230 < sum(first) < 370


REFUSED = [
    ("an unknown kind", {"kind": "plague"}, "kind"),
    ("an unknown field", {"kind": "latency", "secs": 3}, "secs"),
    ("a status that is none", {"kind": "reply", "status": 7}, "status"),
    ("a pattern that is none", {"kind": "latency", "path": "("}, "unterminated"),
    ("the requests are counted from 1", {"kind": "latency", "nth": 0}, "nth"),
]


@pytest.mark.parametrize(("why", "document", "named"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_rule_that_makes_no_sense_is_refused(why, document, named):
    with pytest.raises(ValueError, match=named):
        parse_rule(document)


class Api:
    def __init__(self):
        self.done = []
        self.came = asyncio.Event()

    async def perform(self):
        self.done.append("write")
        self.came.set()
        return "answer"


OUTCOMES = [
    ("no rule: the API answers", [], "answer", 1),
    (
        "an answer in front of the API: nothing was done",
        [{"kind": "reply", "status": 502, "content_type": "text/html", "body": "<html>"}],
        Canned(502, {}, "text/html", "<html>"),
        0,
    ),
    ("a lost request was never done", [{"kind": "lost-request"}], Dropped(), 0),
    ("a lost response was done", [{"kind": "lost-response"}], Dropped(), 1),
    ("latency alone changes nothing", [{"kind": "latency", "seconds": 0.01}], "answer", 1),
    (
        "latency goes together with another fault",
        [{"kind": "latency", "seconds": 0.01}, {"kind": "lost-response"}],
        Dropped(),
        1,
    ),
    ("of two the first that struck decides", [{"kind": "lost-request"}, {"kind": "lost-response"}], Dropped(), 0),
    ("a skewed clock is no request's business", [{"kind": "clock-skew", "seconds": 90}], "answer", 1),
]


@pytest.mark.parametrize(("why", "rules", "outcome", "done"), OUTCOMES, ids=[row[0] for row in OUTCOMES])
async def test_what_the_client_sees_and_what_was_done(why, rules, outcome, done):
    plan, api = FaultPlan(), Api()
    for rule in rules:
        plan.add(parse_rule(rule))
    assert await plan.interpose("POST", "/x", api.perform) == outcome, why
    assert len(api.done) == done, why


async def test_a_late_write_takes_effect_after_the_client_gave_up():
    plan, api = FaultPlan(), Api()
    plan.add(parse_rule({"kind": "late-effect", "seconds": 0.05}))
    assert await plan.interpose("POST", "/x", api.perform) == Dropped()
    assert api.done == []
    await asyncio.wait_for(api.came.wait(), 5)
    assert api.done == ["write"]


async def test_a_stopped_simulator_drops_what_was_late():
    plan, api = FaultPlan(), Api()
    plan.add(parse_rule({"kind": "late-effect", "seconds": 60}))
    await plan.interpose("POST", "/x", api.perform)
    await plan.close()
    assert api.done == []


def test_rules_are_reported_named_replaced_and_removed():
    plan = FaultPlan()
    made = plan.add(parse_rule({"kind": "latency", "seconds": 1}))
    plan.add(parse_rule({"kind": "clock-skew", "seconds": 90, "name": "skew"}))
    plan.add(parse_rule({"kind": "clock-skew", "seconds": 30, "name": "skew"}))
    plan.strike("GET", "/x")
    assert [(one["name"], one["matched"], one["struck"]) for one in plan.report()] == [(made, 1, 1), ("skew", 0, 0)]
    assert plan.skew == 30
    assert plan.remove("skew")
    assert not plan.remove("skew")
    assert plan.skew == 0
    plan.clear()
    assert plan.report() == []
