"""The power of servers whose cloud is lost: seen through OVHcloud, switched off where that is allowed, and never on again by itself."""

import pytest
from tests.unit.kinds.baremetalserver.test_plan import KEY, manifest, marked, request
from tests.unit.kinds.cloud_fakes import FakeWorld, Loop, interfaces, run
from tests.unit.kinds.sovereigncloud.test_plan import hosted

from sovereigncloud.core.conditions import timestamp
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.baremetalserver.power import FENCED_TAG, FencedTag, read_fenced

OFF = 95083


class Scene:
    """A server of cloud rbx that is at rest, in a minute in which that stops answering."""

    def __init__(self, *, power_off="Allow", fence=True, **server):
        self.world = world = FakeWorld()
        values = {"display_name": "one-1", "interfaces": interfaces("ns1", vrack="pn-1"), "tags": marked(), **server}
        self.server = world.account_.add("ns1", **values)
        spec = hosted()
        spec["spec"]["hosted"]["fencing"] = {"powerOff": power_off}
        self.cloud = world.put(spec)
        self.owner = spec["metadata"]["name"]
        self.raw = world.put(manifest())
        self.raw["metadata"]["ownerReferences"] = [
            {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": self.owner, "uid": self.cloud["metadata"]["uid"], "controller": True}
        ]  # fmt: skip
        self.cloud["status"]["endpoint"] = "https://one.example.fr/RPC2"
        self.turn(5)
        world.account_.writes.clear()
        world.clock.pass_(60)
        self.since = timestamp(world.now)
        self.lose(fence=fence)

    def lose(self, *, fence):
        self.cloud["status"]["lostSince"] = self.since
        self.cloud["status"] |= {"fencedFor": self.since} if fence else {}
        self.world.clock.pass_(1)

    def answer(self):
        self.cloud["status"].pop("lostSince")
        self.cloud["status"].pop("fencedFor", None)

    def start_again(self, outage=None):
        self.cloud["spec"]["hosted"]["fencing"]["startAgain"] = outage or self.since

    def turn(self, times=1, seconds=20.0):
        for _ in range(times):
            self.result = run(Loop(self.world, BareMetalServerController(), KEY).once())
            self.world.clock.pass_(seconds)
        return self.result

    @property
    def status(self):
        return self.world.raw[KEY]["status"].get("power")

    @property
    def writes(self):
        return self.world.account_.writes


# ------------------------------------------------------------------------------------------------------------- looking


def test_while_its_cloud_answers_nobody_looks():
    scene = Scene()
    scene.answer()
    scene.world.account_.reads.clear()
    scene.turn(3)
    assert (scene.status, scene.writes, scene.world.account_.reads["server"]) == (None, [], 0)


@pytest.mark.parametrize(("on", "state"), [(True, "On"), (False, "Off")])
def test_what_is_seen_in_an_outage_is_told_once(on, state):
    scene = Scene(power_off="Deny", on=on)
    scene.turn()
    first = dict(scene.status)
    assert first["state"] == state
    assert first["seenAt"] > scene.since
    scene.turn(3)
    assert scene.status == first, "the time does not move by itself"
    scene.server.on = not on
    scene.turn()
    assert scene.status["state"] != state
    assert scene.status["seenAt"] > first["seenAt"]
    assert scene.writes == []


def test_what_was_seen_in_an_outage_before_is_seen_anew():
    scene = Scene(power_off="Deny", on=False)
    scene.raw["status"]["power"] = {"state": "Off", "seenAt": scene.since}
    scene.turn()
    assert scene.status["seenAt"] > scene.since


def test_a_provider_that_does_not_answer_leaves_what_was_seen():
    scene = Scene(power_off="Deny")
    scene.raw["status"]["power"] = {"state": "Off", "seenAt": "2026-01-01T00:00:00Z"}
    scene.world.account_.view = None
    with pytest.raises(TypeError):
        scene.turn()
    assert scene.status["seenAt"] < scene.since, "it proves nothing of this outage"


# ----------------------------------------------------------------------------------------------------------- switching

ON_ITS_OWN = f"boot ns1 {OFF} monitoring=False"


def test_it_is_switched_off_in_this_order():
    scene = Scene()
    looked = scene.turn()
    assert looked.outcome.reason == "PoweringOffServer" or looked.plan.outcome.reason == "PoweringOffServer"
    scene.turn(12)
    record = FencedTag(
        int(scene.world.clock.now.timestamp()), 1, monitoring=True, no_intervention=False
    ).text.partition(":")[2]
    assert [write.partition("=")[0] if write.startswith("tag") else write for write in scene.writes] == [
        f"tag {FENCED_TAG}", ON_ITS_OWN, "reboot ns1",
    ]  # fmt: skip
    assert scene.server.tags[FENCED_TAG].endswith(record)
    assert (scene.server.on, scene.server.monitoring) == (False, False)
    assert (scene.status["state"], scene.status["fenced"]) == ("Off", scene.since)
    assert scene.turn().outcome.reason == "ServerPoweredOff"


NOT_SWITCHED = [
    ("nobody allows it", {"power_off": "Deny"}),
    ("no machine waits for it", {"fence": False}),
]


@pytest.mark.parametrize(("why", "given"), NOT_SWITCHED, ids=[row[0] for row in NOT_SWITCHED])
def test_it_is_left_alone(why, given):
    scene = Scene(**given)
    scene.turn(10)
    assert (scene.writes, scene.server.on) == ([], True)


def test_one_that_is_off_already_is_kept_off_without_a_reboot():
    """With the power back it would start by itself."""
    scene = Scene(on=False)
    scene.turn(10)
    assert [write for write in scene.writes if write.startswith("reboot")] == []
    assert scene.server.boot == OFF


@pytest.mark.parametrize("fault", ["before", "lost", "late"])
@pytest.mark.parametrize("at", range(3))
def test_whatever_becomes_of_an_answer_it_ends_up_off(at, fault):
    scene = Scene()
    scene.world.account_.faults = ["ok"] * at + [fault]
    scene.turn(25)
    assert (scene.server.on, scene.server.boot) == (False, OFF)
    assert read_fenced(scene.server.tags).boot == 1


def test_switched_off_it_stays_off_whatever_else_is_declared():
    scene = Scene()
    scene.turn(12)
    scene.writes.clear()
    scene.answer()
    scene.world.put(manifest(reinstall=request("again"), name="other"))
    scene.turn(5)
    assert (scene.writes, scene.server.on) == ([], False)
    assert f"startAgain: {scene.since}" in scene.turn().outcome.message


def test_one_that_somebody_starts_in_the_outage_is_switched_off_again():
    scene = Scene()
    scene.turn(12)
    scene.server.on, scene.server.boot = True, 1
    scene.turn(12)
    assert (scene.server.on, scene.server.boot) == (False, OFF)


# -------------------------------------------------------------------------------------------------------- running again


@pytest.mark.parametrize("answers", [True, False])
def test_a_person_has_it_started_and_it_is_as_it_was(answers):
    scene = Scene()
    scene.turn(12)
    scene.writes.clear()
    if answers:
        scene.answer()
    scene.start_again()
    scene.cloud["status"].pop("fencedFor", None)
    scene.turn(15)
    assert scene.writes == [
        "boot ns1 1 monitoring=False",
        "reboot ns1",
        "boot ns1 1 monitoring=True",
        f"untag {FENCED_TAG}",
    ]
    assert (scene.server.on, scene.server.boot, scene.server.monitoring) == (True, 1, True)
    assert FENCED_TAG not in scene.server.tags
    assert scene.turn().outcome.reason == ""


def test_the_word_for_another_outage_starts_nothing():
    scene = Scene()
    scene.turn(12)
    scene.answer()
    scene.start_again("2026-01-01T00:00:00Z")
    scene.writes.clear()
    scene.turn(5)
    assert (scene.writes, scene.server.on) == ([], False)


def test_a_cloud_that_comes_back_before_it_is_off_finds_it_running():
    scene = Scene()
    scene.turn(2)
    assert scene.server.boot == OFF
    assert "reboot ns1" not in scene.writes
    scene.answer()
    scene.turn(5)
    assert "reboot ns1" not in scene.writes
    assert (scene.server.on, scene.server.boot, scene.server.monitoring) == (True, 1, True)
    assert FENCED_TAG not in scene.server.tags


@pytest.mark.parametrize("text", ["", "x", "1:2", "1:2:1", "1:two:10", "1:2:100"])
def test_a_tag_that_nobody_of_ours_wrote_is_no_record(text):
    assert read_fenced({FENCED_TAG: text}) is None
