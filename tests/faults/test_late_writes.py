"""Writes that are done when nobody waits for them any more, and everything else that an API does to its clients."""

import pytest
from tests.faults import instances, servers
from tests.faults.courses import travel
from tests.faults.instances import CLOUD, IMAGE, NETWORK, instance
from tests.faults.live_scene import LiveScene
from tests.faults.scene import Scene
from tests.faults.simulated_time import run
from tests.faults.verdicts import several
from tests.faults.wire import Fate

from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.stage import condition

GRACE = 60.0
"""What ships."""


def late(seconds):
    scene = Scene()
    scene.writes.late_by = seconds
    return scene


def only(wanted, *fates):
    """The first writes of a kind meet these fates, one each."""
    left = list(fates)

    def choose(_number, label, possible):
        return left.pop(0) if left and wanted in label and left[0] in possible else None

    return choose


@pytest.mark.parametrize("fate", [Fate.LOST_LATE, Fate.LATE], ids=["the operator goes on", "the operator crashed"])
@pytest.mark.parametrize("seconds", [0.2, 5.0, 29.0, GRACE - 0.5])
@pytest.mark.parametrize("call", ["one.vm.allocate", "one.vn.allocate", "one.image.allocate"])
def test_what_is_made_late_is_made_once(call, seconds, fate):
    report = run(travel(instances.Creation(), only(call, fate), scene=lambda: late(seconds)))
    assert report.well, str(report)


IN_A_ROW = [
    ("the first never arrived, the second is late", (Fate.UNSENT, Fate.LOST_LATE)),
    ("two never arrived", (Fate.UNSENT, Fate.UNSENT)),
    ("never arrived, then a crash before its end is known", (Fate.UNSENT, Fate.LATE)),
    ("a crash before it was sent, then one when it was", (Fate.BEFORE, Fate.LATE)),
    ("a crash when it was sent to nowhere, then a late one", (Fate.BEFORE, Fate.LOST_LATE)),
]


@pytest.mark.parametrize(("why", "fates"), IN_A_ROW, ids=[row[0] for row in IN_A_ROW])
@pytest.mark.parametrize("course", [instances.Creation, instances.Recreation, instances.Regret])
def test_one_machine_after_several_losses(course, why, fates):
    report = run(travel(course(), only("one.vm.allocate", *fates)))
    assert report.well, f"{why}: {report}"


REINSTALL = [
    (call, fate)
    for call in ("/reinstall ", "sovereigncloud.io/reinstall", "/dedicatedServerInterface", "/jobs")
    for fate in (Fate.LOST, Fate.UNSENT, Fate.LOST_LATE, Fate.LATE)
]


@pytest.mark.parametrize(("call", "fate"), REINSTALL, ids=[f"{call.strip()} {fate.name}" for call, fate in REINSTALL])
def test_servers_are_wiped_once_although_the_same_is_lost_twice(call, fate):
    report = run(travel(servers.Hosted(), only(call, fate, fate)))
    assert report.well, str(report)


# --- what lies before an API ---------------------------------------------------------------------------------------------

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
_WRITES = r"allocate|update|action|delete|resize|attach|detach"
AT_OPENNEBULA = [
    ("a burst of errors", {"kind": "reply", "status": 500, "count": 12}),
    ("a gateway in HTML", {"kind": "reply", "status": 502, "content_type": "text/html", "body": HTML, "count": 12}),
    ("HTML that says 200", {"kind": "reply", "status": 200, "content_type": "text/html", "body": HTML, "count": 12}),
    ("too many, come back in 3 s", {"kind": "reply", "status": 429, "headers": {"Retry-After": "3"}, "count": 12}),
    ("too many, no word when to come back", {"kind": "reply", "status": 429, "count": 12}),
    ("every third request is lost", {"kind": "lost-request", "probability": 0.3, "count": 60}),
    ("every third answer is lost", {"kind": "lost-response", "probability": 0.3, "count": 60}),
    ("every second write is done half a minute late", {"kind": "late-effect", "path": _WRITES, "seconds": 30, "probability": 0.5, "count": 12}),
    ("its clock is five minutes ahead", {"kind": "clock-skew", "seconds": 300}),
]  # fmt: skip
AT_OVHCLOUD = [
    ("a burst of errors", {"preset": "server-error", "count": 40}),
    ("a gateway in HTML", {"preset": "bad-gateway", "count": 40}),
    ("request timeouts", {"preset": "request-timeout", "count": 20}),
    ("empty answers", {"preset": "empty-reply", "count": 20, "path": "^(?!/auth)"}),
    ("too many, come back", {"preset": "rate-limited", "count": 20}),
    ("too many, no word when to come back", {"preset": "rate-limited-without-retry-after", "count": 20}),
    ("every third write never arrives", {"preset": "lost-before-write", "probability": 0.3, "count": 60}),
    ("every third answer to a write is lost", {"preset": "lost-after-write", "probability": 0.3, "count": 60}),
    ("every third write is done half a minute late", {"preset": "late-write", "path": "^(?!/auth)", "probability": 0.3, "count": 12}),
    ("its clock is five minutes ahead", {"preset": "clock-skew"}),
    ("a task is not known for a while", {"preset": "task-lag", "count": 12}),
    ("tasks of the vRack vanish", {"preset": "vrack-task-vanishes"}),
]  # fmt: skip


def troubled(course, where, rule):
    """The course, in which this begins when the person acts, and ends when all is as it must be."""

    class Troubled(course):
        def faults(self, scene):
            return scene.wire.ovh.faults if where == "ovh" else scene.clouds["paris"].faults

        def act(self, scene):
            self.faults(scene).add(fault(rule) if where == "ovh" else parse_rule(rule))
            super().act(scene)

        def over(self, scene):
            over = super().over(scene)
            if over:
                self.faults(scene).clear()
            return over

    return Troubled


@pytest.mark.parametrize(("why", "rule"), AT_OPENNEBULA, ids=[row[0] for row in AT_OPENNEBULA])
@pytest.mark.parametrize("course", [instances.Creation, instances.Deletion, instances.Resize, instances.Plugging])
def test_an_ill_opennebula(course, why, rule):
    smooth = run(travel(course()))
    report = run(travel(troubled(course, "one", rule)()))
    assert report.well, f"{why}: {report}"
    assert report.asked < smooth.asked + rule.get("count", 0) + 800, "a hot loop"


@pytest.mark.parametrize("way_in", ["OAuth2", "keys"])
@pytest.mark.parametrize(("why", "rule"), AT_OVHCLOUD, ids=[row[0] for row in AT_OVHCLOUD])
def test_an_ill_ovhcloud(why, rule, way_in):
    report = run(travel(troubled(servers.Hosted, "ovh", rule)(), scene=lambda: Scene(way_in=way_in)))
    assert report.well, f"{why}: {report}"
    assert report.asked < 3000, "a hot loop"


# --- an hour without an answer ---------------------------------------------------------------------------------------------

HOUR = 3600.0


async def an_hour(course, begin, end, name):
    """The course until its end, then an hour of that. What it cost - requests, writes to Kubernetes -, what the object says
    then, and what was done when the API answered again.
    """
    async with Scene() as scene:
        await course.prepare(scene)
        course.act(scene)
        assert await scene.run(course.within, scene.settled)
        await scene.run(120)
        versions = len(scene.writes.log)
        asked = scene.wire.asked
        begin(scene)
        await scene.run(HOUR)
        cost = scene.wire.asked - asked, len(scene.writes.log) - versions
        told = condition(scene.api.get(*name), "Reconciling")
        done = len(scene.wire.done)
        end(scene)
        again = await scene.run(300, scene.settled)
        return cost, told, again, scene.wire.done[done:], [str(r) for r in course.judge(scene)]


def test_a_front_end_that_is_down_for_an_hour():
    (asked, written), told, again, done, wrong = run(
        an_hour(
            instances.Creation(),
            lambda scene: mischief.set_down(scene.clouds["paris"]),
            lambda scene: mischief.set_down(scene.clouds["paris"], down=False),
            ("SovereignCloud", "paris"),
        )
    )
    assert asked < 400, "it is asked ever more seldom"
    assert written < 40, "a status says it once"
    assert "no connection" in told["message"]
    assert again, "healed by itself"
    assert done == [], "nothing was lost, nothing is made again"
    assert wrong == ["[]", "[]", "[]"]


def test_an_account_that_does_not_answer_for_an_hour():
    (asked, written), told, again, done, wrong = run(
        an_hour(
            servers.Reinstallation(),
            lambda scene: scene.wire.ovh.faults.add(fault({"preset": "server-error", "status": 503})),
            lambda scene: scene.wire.ovh.faults.clear(),
            ("BareMetalServer", "one-3"),
        )
    )
    assert asked < 400
    assert written < 40
    assert "Internal server error" in told["message"]
    assert again
    assert done == []
    assert wrong == ["[]", "[]", "[]"]


# --- real sockets, threads and timeouts --------------------------------------------------------------------------------------

LIVE = [
    ("done a second after the connection was closed", [{"kind": "late-effect", "path": "one.vm.allocate", "seconds": 1.0, "count": 1}]),
    ("done a second after the client gave up waiting", [{"kind": "late-effect", "path": "one.vm.allocate", "seconds": 1.2, "hold": 2.0, "count": 1}]),
    ("network, image and machine, all late", [{"kind": "late-effect", "path": "allocate", "seconds": 1.0, "count": 3}]),
    ("silence longer than the client waits", [{"kind": "latency", "seconds": 1.0, "count": 3}]),
    ("closed after the write", [{"kind": "lost-response", "path": "allocate", "count": 3}]),
    ("a burst of errors", [{"kind": "reply", "status": 500, "count": 4}]),
    ("too many requests", [{"kind": "reply", "status": 429, "headers": {"Retry-After": "1"}, "count": 4}]),
    ("slow, late and lost", [
        {"kind": "latency", "seconds": 0.1, "probability": 0.3, "count": 30},
        {"kind": "late-effect", "path": "one.vm.allocate", "seconds": 1.0, "count": 1},
        {"kind": "lost-response", "path": "one.vn.allocate|one.image.allocate", "count": 2},
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rules"), LIVE, ids=[row[0] for row in LIVE])
async def test_over_real_sockets(why, rules):
    async with LiveScene() as scene:
        endpoint = await scene.open_cloud("paris")
        cloud = scene.clouds["paris"]
        declared = {**CLOUD, "spec": {"existing": {**CLOUD["spec"]["existing"], "endpoint": endpoint}}}
        for rule in rules:
            cloud.faults.add(parse_rule(rule))
        scene.api.apply(instances.ONE, declared, NETWORK, IMAGE, instance())
        assert await scene.until(scene.settled, 40), why
        await scene.run(1.5)
        assert scene.settled()
        assert list(several(cloud)) == []
        # Ids are never given twice: so many were ever made.
        assert (cloud.next_id("VM"), cloud.next_id("NET"), cloud.next_id("IMAGE")) == (1, 1, 1)
        (vm,) = cloud.vms.values()
        assert vm.lcm is Lcm.RUNNING
        assert cloud.journal.count() < 1500, "a hot loop"
