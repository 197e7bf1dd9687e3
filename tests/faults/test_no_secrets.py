"""No secret leaves the adapters in words, whatever an API does: not in a line of the log before it is masked, not in an event, in
any version of an object, in a Job, and not in the traceback of an error.

The lines of a real process, and everything that a real API server then has: tests/integration/test_no_secrets.py.
"""

import base64
import json
import logging

import pytest
from tests.faults import parts, servers
from tests.faults.scene import Scene
from tests.faults.simulated_time import run
from tests.faults.wire import Fate
from tests.leaks import leaks, secrets_of

from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.ovh.presets import PRESETS, fault

AT_OPENNEBULA = (
    {"kind": "reply", "status": 502, "content_type": "text/html", "body": "<html>", "count": 5},
    {"kind": "lost-response", "probability": 0.2, "count": 20},
    {"kind": "lost-request", "probability": 0.2, "count": 20},
)


class Talkative(Scene):
    """A scene that keeps every version of every object."""

    def __init__(self, **more):
        super().__init__(**more)
        self.versions, self.tokens = [], set()
        self.api.watchers.append(lambda _, body: self.versions.append(body))

    def produced(self, log):
        kept = {where: body for where, body in self.api.objects.items() if where[0] != "secrets"}
        return {
            "the log": log,
            "the events": json.dumps(self.api.events),
            "every version of every object": json.dumps(self.versions),
            "the API server": json.dumps(list(kept.values())),
            "the tags": json.dumps([one.tags for _, one in self.ovh.resources()]),
            "what servers were installed with": json.dumps([
                install.customizations for server in self.ovh.state.servers.values() for install in server.installs
            ]),
        }  # fmt: skip

    def secrets(self):
        found = {}
        for (plural, _, name), body in self.api.objects.items():
            if plural == "secrets":
                values = {key: base64.b64decode(value).decode() for key, value in body["data"].items()}
                found |= secrets_of(name, values)
        tokens = sorted(self.tokens | self.ovh.state.tokens.keys())
        return found | {f"token {number}": token for number, token in enumerate(tokens)}


async def story(scene):
    """The hosted cloud is built while everything goes wrong that can."""
    course = servers.HostedWithMachine()
    for preset in PRESETS:
        if preset not in {"clock-skew", "slow", "service-expired", "empty-reply", "vrack-task-vanishes"}:
            scene.wire.ovh.faults.add(fault({"preset": preset, "probability": 0.05, "count": 6}))
    left = [Fate.LOST, Fate.AFTER, Fate.UNSENT, Fate.BEFORE] * 3
    scene.writes.choose = lambda number, _, fates: (
        left.pop() if left and number % 9 == 0 and left[-1] in fates else None
    )
    course.act(scene)
    for _ in range(40):
        await scene.run(60)
        for cloud in scene.clouds.values():
            for rule in AT_OPENNEBULA if not cloud.faults.report() else ():
                cloud.faults.add(parse_rule(rule))
    scene.wire.ovh.faults.clear()
    for cloud in scene.clouds.values():
        cloud.faults.clear()
    assert await scene.run(course.within, scene.settled)
    # What an expired credential, and one that is refused, make of it.
    for account in scene.ovh.state.service_accounts:
        account.client_secret = "another"
    for key in scene.ovh.state.application_keys:
        key.status = "expired"
    scene.tokens |= scene.ovh.state.tokens.keys()
    scene.ovh.state.tokens.clear()
    for cloud in scene.clouds.values():
        cloud.users[0].password = "another"
    await scene.run(1200)


@pytest.mark.parametrize("way_in", ["OAuth2", "keys"])
def test_no_secret_is_told_while_everything_goes_wrong(way_in, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="sovereigncloud")

    async def told():
        async with Talkative(way_in=way_in) as scene:
            await story(scene)
            return scene.produced(caplog.text), scene.secrets()

    produced, secrets = run(told())
    assert all(produced.values())
    assert all(level in produced["the log"] for level in ("DEBUG", "WARNING")), "it has much to say"
    assert ("token 0" in secrets) == (way_in == "OAuth2")
    assert {"ovh-rbx-oneadmin.password (line 1)", "ovh-rbx-oneadmin.sshPrivateKey (line 2)"} <= secrets.keys()
    assert sum(name.startswith("ovh-account.") for name in secrets) == (1 if way_in == "OAuth2" else 3)
    assert leaks(produced, secrets) == []


async def story_of_stores(scene):
    """They are made while everything goes wrong that can, changed behind the operator's back, and their Secret is rotated."""
    course = parts.Parts()
    await course.prepare(scene)
    cloud = scene.clouds["paris"]
    for rule in AT_OPENNEBULA:
        cloud.faults.add(parse_rule(rule))
    course.act(scene)
    assert await scene.run(course.within, scene.settled)
    cloud.faults.clear()
    found = {one.name: one for one in (*cloud.datastores.values(), *cloud.marketplaces.values())}
    for name, attribute in (("backups", "RESTIC_PASSWORD"), ("exchange", "SECRET_ACCESS_KEY")):
        found[name].template.put(attribute, "somebody's")
    await scene.run(300)
    assert found["exchange"].template.get("SECRET_ACCESS_KEY") == "s3cr3t/of+the=exchange"
    assert found["backups"].template.get("RESTIC_PASSWORD") == "p4ssw0rd of the backups"
    rotated = base64.b64encode(b"the next one of the backups").decode()
    scene.api.objects["secrets", "platform", "restic"]["data"]["password"] = rotated
    await scene.run(300)
    assert found["backups"].template.get("RESTIC_PASSWORD") == "the next one of the backups"


def test_the_secrets_of_stores_are_told_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="sovereigncloud")

    async def told():
        async with Talkative() as scene:
            before = secrets_of("restic", {"password": "p4ssw0rd of the backups"})
            await story_of_stores(scene)
            return scene.produced(caplog.text), scene.secrets() | before

    produced, secrets = run(told())
    assert {"s3.secretAccessKey (line 1)", "s3.accessKeyId (line 1)", "restic.password (line 1)"} <= secrets.keys()
    assert "(hidden)" in produced["every version of every object"], "it was told that a secret is another one"
    assert leaks(produced, secrets) == []


def test_the_search_can_fail():
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"
    secrets = secrets_of("one", {"password": "pass/word", "username": "oneadmin", "sshPrivateKey": key})
    assert leaks({"log": "user oneadmin"}, secrets) == []
    assert leaks({"log": "GET ?password=pass%2Fword"}, secrets) == ["one.password (line 1) in log"]
    assert leaks({"log": json.dumps({"key": key})}, secrets) == ["one.sshPrivateKey (line 2) in log"]
    encoded = base64.b64encode(b"pass/word").decode()
    assert leaks({"log": f"data: {encoded}"}, secrets) == ["one.password (line 1) in log"]
