"""A machine whose cloud is lost: it says beforehand what lacks, waits for a proof, starts elsewhere, and what it left is fenced.

The tests tell one story, in the order in which they stand.
"""

import pytest
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.stage import condition

SETTINGS = {"sweep_interval": "2", "settle_interval": "0.3"}
RBX, PARIS = "ovh-rbx", "onprem-paris"
RESTIC = 'NAME=vault TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD=s RESTIC_SFTP_SERVER=backup.example.org'


class Clouds:
    """Two of somebody's own, which know nothing of one another but the server of their backups."""

    def __init__(self, stage):
        self.stage = stage
        self.rbx, self.paris = ExistingCloud(stage, RBX), ExistingCloud(stage, PARIS)
        for cloud in (self.rbx, self.paris):
            cloud.administrator.datastore.allocate(RESTIC, -1)
        web = self.rbx.instance(
            "web", placement=None, continuity={"tolerationSeconds": 3, "rpo": "24h", "rto": "1h"}, updatePolicy=None
        )
        self.first = [*self.rbx.foundation(), self.rbx.image("alpine"), self.rbx.network("lan-rbx", name="lan"), web]
        # In another cloud than the first one it would have to be made in: the second is declared once it runs.
        self.second = [*self.paris.foundation(), self.paris.network("lan-paris", 32, name="lan")]

    def alive(self, cloud):
        """(state, LCM state) of its machines."""
        return [(vm["state"], vm.get("lcm")) for vm in self.stage.cloud(cloud.name)["vms"] if vm["state"] != "DONE"]


@pytest.fixture(scope="module")
def clouds(bare_stage):
    return Clouds(bare_stage)


def ready_for_it(reason):
    return lambda found: condition(found, "FailoverReady").get("reason") == reason


def reconciling(reason):
    return lambda found: condition(found, "Reconciling").get("reason") == reason


@pytest.fixture(scope="module")
def protected(stage, clouds):
    stage.apply(clouds.first)
    stage.wait_ready("hostedinstance", "web")
    return stage


def test_what_lacks_is_said_one_after_the_other(protected, clouds):
    stage = protected
    stage.wait("hostedinstance", "web", "no copy", ready_for_it("NoCopy"))
    stage.patch("hostedinstance", "web", {"spec": {"backup": {"store": "vault", "request": "first"}}})
    stage.wait("hostedinstance", "web", "no target", ready_for_it("NoCompliantTarget"))
    stage.apply(clouds.second)
    stage.wait_ready("virtualnetwork", "lan-paris")
    web = stage.wait("hostedinstance", "web", "nobody to prove it", ready_for_it("NoFencing"))
    assert "nobody but a person" in condition(web, "FailoverReady")["message"]
    assert web["status"]["continuity"]["copies"][0]["place"] == "Outside"
    stage.wait_ready("hostedinstance", "web")


@pytest.fixture(scope="module")
def lost(protected):
    protected.mischief(RBX, "lose", hosts="dead")
    return protected.wait("sovereigncloud", RBX, "lost", lambda found: found["status"].get("lostSince"))


def test_lost_it_stays_down_until_a_person_says_that_its_place_is_dead(protected, clouds, lost):
    stage = protected
    assert condition(lost, "Fenced")["reason"] == "FencingUnconfirmed"
    assert condition(lost, "Reconciling")["reason"] == "CloudUnreachable"
    web = stage.wait("hostedinstance", "web", "without a proof", reconciling("NoFencing"))
    assert condition(web, "Ready")["status"] == "False"
    assert lost["status"]["lostSince"] in condition(web, "Reconciling")["message"]
    assert clouds.alive(clouds.paris) == []


@pytest.fixture(scope="module")
def elsewhere(protected, lost):
    word = {"confirmedBy": "oncall@example.fr", "outage": lost["status"]["lostSince"]}
    protected.patch("sovereigncloud", RBX, {"spec": {"fencing": word}})
    there = f"platform/{PARIS}"
    return protected.wait(
        "hostedinstance",
        "web",
        "in the other cloud",
        lambda found: (
            condition(found, "Ready").get("status") == "True"
            and found["status"].get("placement", {}).get("cloud") == there
            and found["status"].get("continuity", {}).get("lastFailover")
        ),
        seconds=120,
    )


def test_then_it_starts_in_the_other_cloud_and_says_what_it_cost(protected, clouds, lost, elsewhere):
    last = elsewhere["status"]["continuity"]["lastFailover"]
    assert (last["outage"], last["from"], last["to"]) == (
        lost["status"]["lostSince"],
        f"platform/{RBX}",
        f"platform/{PARIS}",
    )
    assert last["rtoSeconds"] > 0
    assert last["rpoSeconds"] >= 0
    assert clouds.alive(clouds.paris) == [("ACTIVE", "RUNNING")]
    assert condition(protected.get("sovereigncloud", RBX), "Fenced")["reason"] == "Fenced"
    shown = protected.cluster.kubectl("get", "hinst", "web", "--namespace=platform", "--output=wide").stdout
    assert "FAILOVER" in shown


def test_back_again_what_was_left_is_powered_off(protected, clouds, elsewhere):
    stage = protected
    stage.mischief(RBX, "come-back")
    cloud = stage.wait("sovereigncloud", RBX, "answering", lambda found: not found["status"].get("lostSince"))
    assert condition(cloud, "Fenced") == {}
    number = elsewhere["status"]["id"]
    stage.wait(
        "instancemigration",
        f"web-failover-{''.join(filter(str.isdigit, elsewhere['status']['continuity']['lastFailover']['outage']))}",
        "fenced",
        lambda _: [state for state, _ in clouds.alive(clouds.rbx)] == ["POWEROFF"],
    )
    web = stage.wait_ready("hostedinstance", "web")
    assert (web["status"]["id"], clouds.alive(clouds.paris)) == (number, [("ACTIVE", "RUNNING")])
