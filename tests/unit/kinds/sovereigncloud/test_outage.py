"""When a cloud counts as lost, what it says then, and when its servers are to be switched off."""

from datetime import timedelta

import pytest
from tests.unit.kinds.cloud_fakes import run
from tests.unit.kinds.sovereigncloud.test_plan import KEY, Scene, existing, hosted, silent

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.observation import observe_cloud
from sovereigncloud.kinds.sovereigncloud.status import cloud_status
from sovereigncloud.ports.errors import Auth, Retry

CLOUD = Key(*KEY)


class Lost(Scene):
    """A cloud at rest that stops answering."""

    def __init__(self, *, silence=60.0, spec=None):
        super().__init__(settled=True, spec=spec)
        run(self.loop().once())
        self.instances = []
        self.world.silences = {CLOUD: self.world.now - timedelta(seconds=silence)} if silence else {}
        self.since = timestamp(self.world.now - timedelta(seconds=silence))
        silent(self)

    def look(self):
        looked = run(self.loop().once())
        self.world.clock.pass_(30)
        return looked

    def conditions(self):
        """Of its own: the loop of these tests writes none."""
        controller = SovereignCloudController()
        resource = controller.resource.model_validate(self.raw)
        told = cloud_status(resource, run(observe_cloud(resource, self.world)))
        return {one["type"]: one for one in told["conditions"]}

    def protects(self, *, ready="FailoverPossible", toleration=300):
        """A machine in it that could start elsewhere."""
        self.world.put(
            {
                "kind": "HostedInstance",
                "metadata": {"name": "web", "namespace": "platform", "uid": "i1"},
                "spec": {"source": {"template": "t"}, "placement": {"cloudRef": {"name": "rbx"}}, "continuity": {"tolerationSeconds": toleration}},
            }
        )["status"] = {"external": {"vm": "1", "cloud": "platform/rbx"}, "conditions": [{"type": "FailoverReady", "status": "True", "reason": ready}]}  # fmt: skip


def test_a_read_that_failed_is_no_loss():
    scene = Lost(silence=0)
    looked = scene.look()
    assert (looked.outcome.phase, looked.outcome.reason) == (Phase.RETRY, "RetryingAfterError")
    assert "lostSince" not in scene.raw["status"]


def test_several_in_a_row_are_and_it_says_since_when_once():
    scene = Lost()
    looked = scene.look()
    assert (looked.outcome.phase, looked.outcome.reason, looked.outcome.available) == (
        Phase.RETRY,
        "CloudUnreachable",
        True,
    )
    assert scene.raw["status"]["lostSince"] == scene.since
    scene.world.silences = {CLOUD: scene.world.now}
    scene.look()
    assert scene.raw["status"]["lostSince"] == scene.since
    scene.world.silences = {}
    scene.look()
    assert scene.raw["status"]["lostSince"] == scene.since, (
        "an operator that was restarted knows of no row of failures yet"
    )


def test_it_answers_again_and_nothing_is_left_of_it():
    scene = Lost()
    scene.look()
    assert scene.conditions()["Fenced"]["status"] == "False"
    scene.answer()
    scene.world.silences = {}
    scene.look()
    assert "lostSince" not in scene.raw["status"]
    assert "Fenced" not in scene.conditions()


def test_one_that_refuses_the_password_is_there():
    scene = Lost()

    async def refuses():
        raise Auth("wrong password")

    scene.world.one.front = refuses
    with pytest.raises(Auth):
        scene.look()
    assert "lostSince" not in scene.raw["status"]


def test_one_that_never_answered_is_being_built_and_not_lost():
    scene = Lost()
    scene.raw["status"].pop("endpoint")
    scene.look()
    assert "lostSince" not in scene.raw["status"]


def test_with_its_provider_silent_too_the_loss_is_told_all_the_same():
    scene = Lost()

    async def nobody(*_):
        raise Retry("OVHcloud does not answer")

    scene.account.view = nobody
    looked = scene.look()
    assert (looked.outcome.reason, looked.performed) == ("CloudUnreachable", [])
    assert "nor does its provider" in looked.outcome.message
    assert scene.raw["status"]["lostSince"] == scene.since
    assert "spec.fencing" in scene.conditions()["Fenced"]["message"]


def test_a_provider_that_is_silent_alone_is_no_loss():
    scene = Lost(silence=0)

    async def nobody(*_):
        raise Retry("OVHcloud does not answer")

    scene.account.view = nobody
    scene.answer()
    assert "OVHcloud" in str(scene.look().outcome)
    assert "lostSince" not in scene.raw["status"]


def test_it_is_proven_dead_when_its_servers_are_off_or_a_person_says_so():
    scene = Lost()
    scene.look()
    for name in ("rbx-one-1", "rbx-one-2"):
        scene.child(name)["status"]["power"] = {"state": "Off", "seenAt": timestamp(scene.world.now)}
        scene.child(name)["status"]["serviceName"] = name
    assert (scene.conditions()["Fenced"]["status"], scene.conditions()["Fenced"]["reason"]) == ("True", "Fenced")
    scene = Lost(spec=existing())
    scene.look()
    assert scene.conditions()["Fenced"]["reason"] == "FencingUnconfirmed"
    scene.raw["spec"]["fencing"] = {"confirmedBy": "oncall@example.fr", "outage": scene.since}
    assert scene.conditions()["Fenced"]["reason"] == "Fenced"


def allowed(power_off="Allow"):
    spec = hosted()
    spec["spec"]["hosted"]["fencing"] = {"powerOff": power_off}
    return spec


FENCED = [
    ("it is allowed, and a machine waits longer than it bears", "Allow", {}, 400.0, True),
    ("the machine bears it still", "Allow", {}, 200.0, False),
    ("an old copy is better than none", "Allow", {"ready": "CopyTooOld"}, 400.0, True),
    ("the machine could start nowhere", "Allow", {"ready": "NoCompliantTarget"}, 400.0, False),
    ("nobody allows it", "Deny", {}, 400.0, False),
    ("no machine asks for it", "Allow", None, 400.0, False),
]


@pytest.mark.parametrize(("why", "power_off", "machine", "silence", "fenced"), FENCED, ids=[row[0] for row in FENCED])
def test_its_servers_are_switched_off_where(why, power_off, machine, silence, fenced):
    scene = Lost(silence=silence, spec=allowed(power_off))
    if machine is not None:
        scene.protects(**machine)
    scene.look()
    assert scene.raw["status"].get("fencedFor") == (scene.since if fenced else None)


def test_what_was_begun_for_an_outage_stays_so_until_it_answers():
    scene = Lost(silence=400.0, spec=allowed())
    scene.protects()
    scene.look()
    scene.world.raw.pop(("HostedInstance", "platform", "web"))
    scene.look()
    assert scene.raw["status"]["fencedFor"] == scene.since
    scene.answer()
    scene.world.silences = {}
    scene.look()
    assert "fencedFor" not in scene.raw["status"]


def test_it_looks_again_when_the_patience_of_a_machine_ends():
    scene = Lost(silence=200.0, spec=allowed())
    scene.protects()
    assert scene.look().outcome.after <= 101.0
