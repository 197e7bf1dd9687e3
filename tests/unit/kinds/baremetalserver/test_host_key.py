"""The host key of a server: pinned after a reinstallation of ours, only with a proof, and told when it is another one."""

import pytest
from tests.unit.kinds.baremetalserver.test_plan import (
    FIRST,
    KEY,
    UBUNTU,
    UNIX,
    manifest,
    marked,
    of_a_cloud,
    plan_of,
    record,
    request,
    task,
    world_with,
)
from tests.unit.kinds.cloud_fakes import NOON, Loop, greeting_of, run

from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import Day0, proof_key, script
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import HOST_KEY_TAG, Pin, Trust, read_pin
from sovereigncloud.kinds.baremetalserver.reinstall.records import Stage
from sovereigncloud.ports.ovh.account import Reinstallation
from sovereigncloud.ports.ovh.reinstall import InstallationTemplate, TemplateInput

NO_SCRIPT = InstallationTemplate(
    UBUNTU,
    (TemplateInput("sshKey", mandatory=False),),
    frozenset({"ext4"}),
    partitioning=True,
    only_mirroring=False,
)
URN = "urn:v1:eu:resource:dedicatedServer:ns1"
PROVING = script(Day0("ns1", "first", Mark("prod", "x", "u"), proof_key=proof_key("a private key", URN, "first")))
DONE = {"reinstalled": "first"}


def installed(pin, *, status=DONE, proving=True, **server):
    """A server of a cloud, reinstalled ten minutes ago; its sshd answers."""
    payload = Reinstallation(UBUNTU, "one-1", post_installation_script=PROVING if proving else "")
    tags = marked() | record(Stage.DONE) | ({HOST_KEY_TAG: pin} if pin else {})
    world = world_with(spec=FIRST, status=status, tags=tags, os=UBUNTU, **server)
    world.account_.servers["ns1"].tasks = [[5, payload, UNIX, UNIX + 1, "done", True]]
    return of_a_cloud(world)


def key_of(world):
    return greeting_of(world.account_.servers["ns1"]).host_key.split(" ")[1]


def test_nothing_is_asked_where_nothing_is_pinned():
    world = installed("")
    assert plan_of(world).outcome.reason == ""
    assert world.heard == []


def test_a_proven_key_is_pinned():
    world = installed("awaited:proof")
    (step,) = plan_of(world).steps
    assert step.pin == Pin(Trust.PROVEN, key_of(world))


def test_no_key_is_pinned_before_it_is_proven_and_that_is_waited_for():
    world = installed("awaited:proof", proves="nothing")
    plan = plan_of(world)
    assert (plan.steps, plan.outcome.reason) == ((), "ReadingHostKey")
    assert plan.outcome.facts["hostKeyUnproven"] == str(UNIX)
    world.clock.pass_(899)
    world.raw[KEY]["status"]["external"] = {"hostKeyUnproven": str(UNIX)}
    assert plan_of(world).outcome.reason == "ReadingHostKey"
    world.clock.pass_(1)
    plan = plan_of(world)
    assert plan.outcome.reason == "HostKeyUnverified"
    assert "day0.log" in plan.outcome.message
    assert "awaited:first-use" in plan.outcome.message


def test_who_shows_the_proof_of_another_key_is_told_at_once():
    """Somebody between the operator and the server: it can repeat what the server says and has not its key."""
    plan = plan_of(installed("awaited:proof", proves="ssh-ed25519 QUJD"))
    assert (plan.steps, plan.outcome.reason) == ((), "HostKeyUnverified")
    assert "another machine" in plan.outcome.message


def test_where_the_template_takes_no_script_the_first_key_is_believed():
    world = installed("awaited:first-use", proving=False)
    (step,) = plan_of(world).steps
    assert step.pin == Pin(Trust.FIRST_USE, key_of(world))


def test_a_server_that_does_not_answer_yet_is_waited_for_with_its_address():
    plan = plan_of(installed("awaited:proof", deaf=True))
    assert plan.outcome.reason == "ReadingHostKey"
    assert "SSH 127.0.0.11:22" in plan.outcome.message


@pytest.mark.parametrize("trust", Trust)
def test_a_pinned_key_that_answers_is_nothing_to_speak_of(trust):
    world = installed("x")
    world.account_.servers["ns1"].tags[HOST_KEY_TAG] = Pin(trust, key_of(world)).text
    plan = plan_of(world)
    assert (plan.steps, plan.outcome.reason) == ((), "")
    assert world.heard == [("127.0.0.11", 3600.0)], "at rest it is looked at once an hour"


def test_who_asks_to_look_now_has_it_looked_at_now():
    world = installed("x")
    world.account_.servers["ns1"].tags[HOST_KEY_TAG] = Pin(Trust.PROVEN, key_of(world)).text
    world.raw[KEY]["metadata"]["annotations"] = {"sovereigncloud.io/reconcile-requested-at": "1"}
    plan_of(world)
    assert world.heard == [("127.0.0.11", 0.0)]
    world.raw[KEY]["status"]["lastHandledReconcileAt"] = "1"
    plan_of(world)
    assert world.heard[1:] == [("127.0.0.11", 3600.0)]


def test_another_key_without_a_reinstallation_of_ours_is_told_with_both_fingerprints_and_the_remedy():
    world = installed("x")
    server = world.account_.servers["ns1"]
    server.tags[HOST_KEY_TAG] = Pin(Trust.PROVEN, key_of(world)).text
    server.rekeyed = 1
    plan = plan_of(world)
    assert (plan.steps, plan.outcome.reason) == ((), "HostKeyChanged")
    assert plan.outcome.message.count("SHA256:") == 2
    assert "awaited:first-use" in plan.outcome.message


def test_a_pinned_server_that_does_not_answer_is_no_news():
    world = installed("x", deaf=True)
    world.account_.servers["ns1"].tags[HOST_KEY_TAG] = Pin(Trust.PROVEN, "QUJD").text
    assert plan_of(world).outcome.reason == ""


def test_a_new_reinstallation_makes_a_new_key_and_forgets_the_old_one():
    world = installed("x")
    server = world.account_.servers["ns1"]
    server.tags[HOST_KEY_TAG] = Pin(Trust.PROVEN, key_of(world)).text
    old = key_of(world)
    world.put(manifest(reinstall=request("second")))
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    pin = read_pin(server.tags)
    assert pin == Pin(Trust.PROVEN, key_of(world))
    assert pin.key != old
    status = world.raw[KEY]["status"]
    assert (status["hostKey"], status["hostKeyTrust"]) == (pin.host_key, "Proven")
    assert "hostKeyUnproven" not in (status.get("external") or {})


def test_from_apply_to_pinned_and_nothing_is_read_at_its_address_before_it_is_over():
    world = of_a_cloud(world_with(spec=FIRST, tags={}))
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert read_pin(world.account_.servers["ns1"].tags) == Pin(Trust.PROVEN, key_of(world))
    assert {within for _, within in world.heard} == {0.0}


def test_a_template_without_a_script_says_so_and_is_pinned_on_first_use():
    world = of_a_cloud(world_with(spec=FIRST, tags={}, templates={UBUNTU: NO_SCRIPT}))
    loop = Loop(world, BareMetalServerController(), KEY)
    plan = plan_of(world)
    step = next(s for s in plan.steps if type(s).__name__ == "ReinstallServer")
    assert step.payload.post_installation_script == ""
    assert "left to OpenNebula's installer" in step.remark
    run(loop.until_quiet())
    assert read_pin(world.account_.servers["ns1"].tags).trust is Trust.FIRST_USE
    assert world.raw[KEY]["status"]["hostKeyTrust"] == "FirstUse"


def test_a_server_on_its_own_has_none_since_nobody_of_ours_logs_in():
    world = world_with(spec=FIRST, tags={})
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert HOST_KEY_TAG not in world.account_.servers["ns1"].tags
    assert world.heard == []


def test_the_key_of_the_proof_is_in_no_plan_that_people_see():
    world = of_a_cloud(world_with(spec=FIRST, tags={}))
    step = next(s for s in plan_of(world).steps if type(s).__name__ == "ReinstallServer")
    secret = proof_key("a private key", URN, "first")
    assert secret in step.payload.post_installation_script
    assert secret not in repr(step)
    assert secret not in step.target


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("", None),
        ("awaited:proof", Pin(Trust.PROVEN)),
        ("awaited:first-use", Pin(Trust.FIRST_USE)),
        ("proven:AAAA", Pin(Trust.PROVEN, "AAAA")),
        ("first-use:AAAA", Pin(Trust.FIRST_USE, "AAAA")),
        ("proven:", None),
        ("whatever:AAAA", None),
    ],
)
def test_the_tag_is_read_as_it_was_written(text, pin):
    assert read_pin({HOST_KEY_TAG: text}) == pin
    if pin is not None:
        assert pin.text == text


def test_the_step_of_the_installation_is_told_with_the_time_it_began():
    world = of_a_cloud(world_with(spec=FIRST, tags=marked() | record(Stage.RUNNING, task=5), tasks=[task(5, 600)]))
    loop = Loop(world, BareMetalServerController(), KEY)
    run(loop.once())
    first = dict(world.raw[KEY]["status"])
    assert first["installStep"] == "Partitioning (1 of 2)"
    assert first["installStepSince"] == NOON.strftime("%Y-%m-%dT%H:%M:%SZ")
    world.clock.pass_(30)
    run(loop.once())
    assert world.raw[KEY]["status"]["installStepSince"] == first["installStepSince"], "only a change has a time"
