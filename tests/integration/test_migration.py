"""A machine leaves its cloud for another one: rehearsed as in the example, then done, and the cluster is lost in the middle.

The tests tell one story, in the order in which they stand.
"""

import pytest
from tests.integration.existing_cloud import ExistingCloud
from tests.integration.hosted_scenes import example
from tests.integration.migration_scenes import WAY_OUT

from sovereigncloud_sandbox.stage import SYSTEM, condition

SETTINGS = {"sweep_interval": "2", "settle_interval": "0.3"}
HERE = "--namespace=platform"
REHEARSAL, MOVE = "web-rbx-to-paris", "web-rbx-moves"
SLOWLY = 8.0
"""Seconds that a disk takes to come in: a cluster is lost sooner."""


class Clouds:
    """Two of somebody's own, which know nothing of one another."""

    def __init__(self, stage):
        self.stage = stage
        self.rbx, self.paris = ExistingCloud(stage, "ovh-rbx"), ExistingCloud(stage, "onprem-paris")
        self.rbx.administrator.market.allocate(WAY_OUT)
        web = self.rbx.instance(
            "web-rbx",
            placement=None,
            networks=[{"name": "vm_public"}],
            disks=[{"name": "data", "size": "64Mi"}],
        )
        networks = [
            self.rbx.network("public", name="vm_public"),
            self.paris.network("apps", 32, name="lan-apps"),
        ]
        # In another cloud than the first one it would have to be made in: the second is declared once it runs.
        self.first = [*self.rbx.foundation(), self.rbx.image("alpine"), networks[0], web]
        self.second = [*self.paris.foundation(), networks[1]]

    def alive(self, cloud):
        """(state, LCM state) of its machines."""
        return [(vm["state"], vm.get("lcm")) for vm in self.stage.cloud(cloud.name)["vms"] if vm["state"] != "DONE"]

    def left_over(self):
        found = [
            image["name"]
            for cloud in (self.rbx, self.paris)
            for image in self.stage.cloud(cloud.name)["images"]
            if image["name"].startswith("exit-")
        ]
        return [
            *found,
            *(
                app.NAME
                for app in self.rbx.administrator.marketapppool.info(-2, -1, -1, -1).MARKETPLACEAPP
                if "exit-" in app.NAME
            ),
        ]


@pytest.fixture(scope="module")
def clouds(bare_stage):
    return Clouds(bare_stage)


@pytest.fixture(scope="module")
def rehearsed(stage, clouds):
    stage.apply(clouds.first)
    stage.wait_ready("hostedinstance", "web-rbx")
    stage.apply(clouds.second)
    stage.wait_ready("virtualnetwork", "apps")
    stage.apply(example("60-migration.yaml", "InstanceMigration", REHEARSAL))
    stage.cluster.kubectl("wait", "--for=condition=Ready", f"mig/{REHEARSAL}", HERE, "--timeout=60s")
    return stage.get("instancemigration", REHEARSAL)


def columns(stage, name):
    """As a user sees them."""
    head, row = stage.cluster.kubectl("get", "mig", name, HERE, "--output=wide").stdout.splitlines()
    starts = [head.index(word) for word in head.split()]
    cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return dict(zip(head.split(), cells, strict=True))


def test_the_example_rehearses_and_proves_the_way_out(stage, clouds, rehearsed):
    proof = condition(rehearsed, "ExitProven")
    assert (proof["status"], proof["reason"]) == ("True", "Rehearsed")
    assert clouds.alive(clouds.rbx) == [("ACTIVE", "RUNNING")], "the machine ran on"
    assert clouds.alive(clouds.paris) == []
    assert clouds.left_over() == []
    shown = columns(stage, REHEARSAL)
    wanted = {
        "READY": "True",
        "PHASE": "Succeeded",
        "INSTANCE": "web-rbx",
        "FROM": "platform/ovh-rbx",
        "TO": "onprem-paris",
        "MODE": "Rehearse",
        "EXITPROVEN": "True",
    }
    assert shown | wanted == shown
    assert int(shown["DOWNTIME"]) >= 0


@pytest.fixture(scope="module")
def moved(stage, clouds, rehearsed):
    """Its disks are on the way when the cluster is lost, and with it all that it knew."""
    stage.one.call("POST", "/clouds/onprem-paris/speeds", {"image": SLOWLY})
    move = example("60-migration.yaml", "InstanceMigration", REHEARSAL)
    move["metadata"]["name"], move["spec"]["mode"] = MOVE, "Execute"
    stage.apply(move)
    stage.wait(
        "instancemigration",
        MOVE,
        "copying",
        lambda found: any("copy" in disk for disk in found["status"].get("disks", ())),
    )
    kept = stage.cluster.get("configmap", "sovereign-installation", "-n", SYSTEM)["data"]["id"]
    stage.kill_operator()
    stage.cluster.reset_etcd()
    stage.install(f"installationId={kept}")
    stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
    stage.start_operator()
    stage.one.call("POST", "/clouds/onprem-paris/speeds", {"image": 0.2})
    stage.apply([*clouds.first, *clouds.second, move])
    stage.cluster.kubectl("wait", "--for=condition=Ready", f"mig/{MOVE}", HERE, "--timeout=90s")
    return stage.get("instancemigration", MOVE)


def test_it_moves_although_the_cluster_is_lost_in_the_middle(stage, clouds, moved):
    assert moved["status"]["phase"] == "Grace"
    assert [state for state, _ in clouds.alive(clouds.rbx)] == ["POWEROFF"], "the one that was left stays for a day"
    assert clouds.alive(clouds.paris) == [("ACTIVE", "RUNNING")]
    web = stage.wait_ready("hostedinstance", "web-rbx")
    assert web["status"]["placement"]["cloud"] == "platform/onprem-paris"
    assert [card["name"] for card in web["status"]["networks"]] == ["lan-apps"]
    assert columns(stage, MOVE)["FROM"] == "platform/ovh-rbx"
    assert int(columns(stage, MOVE)["DOWNTIME"]) > 0


def test_in_its_grace_period_nothing_is_written(stage, clouds, moved):
    clouds.paris.at_rest()
    before = stage.writing_calls("ovh-rbx"), stage.writing_calls("onprem-paris"), moved["metadata"]["resourceVersion"]
    clouds.paris.swept(3)
    now = stage.get("instancemigration", MOVE)["metadata"]["resourceVersion"]
    assert (stage.writing_calls("ovh-rbx"), stage.writing_calls("onprem-paris"), now) == before


def test_when_that_is_over_nothing_of_it_is_left(stage, clouds, moved):
    stage.patch("instancemigration", MOVE, {"spec": {"gracePeriod": "1s"}})
    stage.wait("instancemigration", MOVE, "over", lambda found: found["status"]["phase"] == "Succeeded")
    assert clouds.alive(clouds.rbx) == []
    assert clouds.alive(clouds.paris) == [("ACTIVE", "RUNNING")]
    names = [name for name in clouds.left_over() if name]
    disks = {image["name"] for image in stage.cloud("onprem-paris")["images"]}
    assert set(names) <= disks, "but the disks that it runs on"
