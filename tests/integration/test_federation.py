"""Two clouds become a federation: the hosted one is born as the slave of one that stood before, and stays in step with it.

The tests tell one story, in the order in which they stand.
"""

import base64
from urllib.parse import urlsplit

import pyone
import pytest
from tests.integration.existing_cloud import ExistingCloud
from tests.integration.hosted_scenes import account, example, hosted

from sovereigncloud_sandbox.stage import condition

SETTINGS = {"sweep_interval": "2", "settle_interval": "0.3"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX"


def ssh(cloud):
    host = urlsplit(cloud.endpoint).hostname
    return {"host": host, "user": "root", "privateKeySecretRef": {"name": "onprem-ssh"}, "hostKey": KEY}


def zone(name):
    """Of the examples."""
    return example("federation/zones.yaml", "FederatedZone", name)


def in_sync(found, status="True", reason="InSync"):
    told = condition(found, "InSync")
    return (told.get("status"), told.get("reason")) == (status, reason)


class Zones:
    """The two as their administrators see them."""

    def __init__(self, stage):
        self.stage = stage
        self.private = ExistingCloud(stage, "onprem-paris", password="of-the-ministry")

    def client(self, cloud, password="of-the-ministry"):
        endpoint = self.private.endpoint
        if cloud == "rbx":
            endpoint = self.stage.get("sovereigncloud", "ovh-rbx")["status"]["endpoint"]
        return pyone.OneServer(endpoint, session=f"oneadmin:{password}")

    def listed(self, number):
        return self.client("paris").zone.info(number)


@pytest.fixture(scope="module")
def zones(stage):
    return Zones(stage)


@pytest.fixture(scope="module")
def joined(stage, chronicle, zones):
    """The examples, applied at once, until the slave is in sync: no order, and nobody at a keyboard."""
    private = zones.private
    cloud = private.cloud()
    cloud["spec"]["existing"]["ssh"] = ssh(private)
    stage.apply(
        [
            private.credentials(),
            private.secret("onprem-ssh", sshPrivateKey="nobody's"),
            cloud,
            account(stage),
            hosted(networks=[]),
            zone("paris"),
            zone("rbx"),
        ]
    )
    chronicle.ready("FederatedZone", "rbx", 150)
    chronicle.ready("SovereignCloud", "ovh-rbx", 60)
    return chronicle.get("FederatedZone", "rbx")


def test_the_hosted_cloud_is_born_as_a_slave(stage, chronicle, joined, zones):
    status = joined["status"]
    assert (status["role"], status["zoneID"], status["master"]) == ("Slave", "100", zones.private.endpoint)
    assert [server["state"] for server in status["servers"]] == ["Solo"]
    assert in_sync(joined)
    assert condition(joined, "Reachable")["status"] == "True"
    paris = chronicle.get("FederatedZone", "paris")["status"]
    assert (paris["role"], paris["zoneID"], paris["endpoint"]) == ("Master", "0", zones.private.endpoint)
    names = {zone.NAME for zone in zones.client("rbx").zonepool.info().ZONE}
    assert names == {"paris", "rbx"}


def test_it_is_entered_as_the_masters_and_its_own_secret_is_as_it_was(stage, joined, zones):
    status = stage.get("sovereigncloud", "ovh-rbx")["status"]
    assert (status["federationSecret"], status["credentialsSecret"]) == ("onprem-paris-one", "onprem-paris-one")
    generated = stage.cluster.get("secret", "ovh-rbx-oneadmin", "-n", "platform")["data"]
    with pytest.raises(pyone.OneAuthenticationException):
        zones.client("rbx", base64.b64decode(generated["password"]).decode()).system.version()
    assert status["hostsReady"] == "2/2", "what was registered before is still there"


def test_each_was_changed_once_by_a_job_of_its_own(stage, joined):
    jobs = stage.cluster.get("jobs", "-n", "platform", "-l", "sovereigncloud.io/federation")["items"]
    told = {
        job["metadata"]["labels"]["sovereigncloud.io/cloud"]: job["metadata"]["labels"]["sovereigncloud.io/federation"]
        for job in jobs
    }
    assert told == {"onprem-paris": "Master", "ovh-rbx": "Slave"}
    assert len(jobs) == 2


def test_at_rest_nothing_is_written_and_each_server_is_asked_once(stage, joined):
    clouds = ("ovh-rbx", "onprem-paris")
    before, writes = stage.kubernetes_writes(), [stage.writing_calls(cloud) for cloud in clouds]
    asked = {cloud: stage.calls(cloud) for cloud in clouds}

    def sweeps():
        return stage.calls("ovh-rbx")["one.zone.raftstatus"] - asked["ovh-rbx"]["one.zone.raftstatus"]

    stage.until(lambda: sweeps() >= 4, "four more sweeps", seconds=60)
    assert stage.kubernetes_writes() - before == {}
    assert [stage.writing_calls(cloud) for cloud in clouds] == writes
    found = {cloud: stage.calls(cloud) - asked[cloud] for cloud in clouds}
    # The master is asked for itself, and once more by each sweep of its slave.
    assert found["ovh-rbx"]["one.zone.raftstatus"] <= found["ovh-rbx"]["one.vmpool.infoextended"] + 1
    total = found["ovh-rbx"]["one.vmpool.infoextended"] + found["onprem-paris"]["one.vmpool.infoextended"]
    assert found["onprem-paris"]["one.zone.raftstatus"] <= total + 2


def test_the_way_from_a_slave_to_its_master_is_measured(stage, joined):
    """From there only: what the Secret of the other one holds is no key, which is no failure of anything."""
    way = 'sovereign_site_latency_seconds{from="platform/ovh-rbx",to="platform/onprem-paris"} '
    stage.until(lambda: way in stage.probe("/metrics").text, "measured", seconds=60)
    assert 'from="platform/onprem-paris"' not in stage.probe("/metrics").text
    said = [line for line in stage.log("operator").splitlines() if "latency from platform/onprem-paris" in line]
    assert len(said) == 1, "once"
    assert "to platform/ovh-rbx is not measured: SSH" in said[0]
    assert "nobody's" not in stage.log("operator")


def test_what_somebody_changed_in_the_list_of_zones_is_mended_and_told(stage, chronicle, joined, zones):
    stage.patch("federatedzone", "rbx", {"spec": {"state": "Enabled"}})
    stage.wait_ready("federatedzone", "rbx")  # only from then on is what differs a difference
    mark, master, slave = chronicle.mark, zones.client("paris"), zones.client("rbx")
    master.zone.rename(100, "elsewhere")
    master.zone.update(100, "ENDPOINT=http://127.0.0.1:1/RPC2", 1)
    slave.zone.enable(100, False)

    def mended():
        found = zones.listed(100)
        wanted = ("rbx", joined["status"]["endpoint"], 0)
        return (found.NAME, found.TEMPLATE["ENDPOINT"], found.STATE) == wanted

    stage.until(mended, "mended", seconds=60)
    chronicle.ready("FederatedZone", "rbx", 60)
    paths = {path for kind, _, path in chronicle.drifts(mark) if kind == "FederatedZone"}
    assert paths == {"metadata.name", "spec.endpoint", "spec.state"}


def test_cut_off_written_and_healed_they_are_in_sync_without_a_person(stage, chronicle, joined, zones):
    stage.mischief("ovh-rbx", "partition", other="onprem-paris")
    zones.client("paris").group.allocate("meanwhile")
    stage.wait("federatedzone", "rbx", "not in sync", lambda f: condition(f, "InSync")["status"] == "False", seconds=60)
    stage.mischief("ovh-rbx", "heal", other="onprem-paris")
    stage.wait("federatedzone", "rbx", "in sync", in_sync, seconds=60)
    assert "meanwhile" in [group.NAME for group in zones.client("rbx").grouppool.info().GROUP]
    chronicle.ready("FederatedZone", "rbx", 60)


def test_a_slave_that_stays_behind_after_a_restart_of_its_master_is_mended(stage, chronicle, joined, zones):
    """A record was written for the last test a moment ago, and helped: that does not hold up the next one."""
    stage.stop_operator()
    stage.mischief("ovh-rbx", "partition", other="onprem-paris")
    master = zones.client("paris")
    master.group.allocate("later")
    stage.mischief("onprem-paris", "restart")
    stage.mischief("ovh-rbx", "heal", other="onprem-paris")
    assert "later" not in [group.NAME for group in zones.client("rbx").grouppool.info().GROUP]
    stage.start_operator()
    stage.until(
        lambda: "later" in [group.NAME for group in zones.client("rbx").grouppool.info().GROUP], "mended", seconds=90
    )
    stage.wait("federatedzone", "rbx", "in sync", in_sync, seconds=60)


def test_who_does_not_answer_is_told_and_the_other_goes_on(stage, chronicle, joined, zones):
    stage.mischief("onprem-paris", "kill")
    found = stage.wait(
        "federatedzone", "rbx", "unreachable", lambda f: condition(f, "Reachable")["status"] == "False", seconds=90
    )
    assert "does not reach the master platform/onprem-paris" in condition(found, "Reachable")["message"]
    stage.mischief("onprem-paris", "restart")
    stage.wait("federatedzone", "rbx", "reachable", lambda f: condition(f, "Reachable")["status"] == "True", seconds=90)
    chronicle.ready("FederatedZone", "rbx", 90)


def test_a_cloud_waits_for_its_zone_and_a_master_for_its_slaves(stage, chronicle, joined):
    stage.delete("federatedzone", "paris")
    stage.delete("sovereigncloud", "ovh-rbx")
    for kind, name, user in (
        ("federatedzone", "paris", "FederatedZone platform/rbx"),
        ("sovereigncloud", "ovh-rbx", "FederatedZone platform/rbx"),
    ):
        found = stage.wait(kind, name, "in use", lambda f: condition(f, "Reconciling").get("reason") == "InUse")
        assert user in condition(found, "Reconciling")["message"]


def test_a_slave_that_leaves_leaves_nothing_behind(stage, chronicle, joined, zones):
    stage.patch("federatedzone", "rbx", {"spec": {"deletionPolicy": "Delete"}})
    client = zones.client("paris")
    client.vdc.addcluster(0, 100, -10)
    endpoint = joined["status"]["endpoint"]
    stage.delete("federatedzone", "rbx")
    stage.wait_gone("federatedzone", "rbx", seconds=90)
    assert [one.NAME for one in client.zonepool.info().ZONE] == ["paris"]
    assert 100 not in [one.ZONE_ID for one in client.vdc.info(0).CLUSTERS.CLUSTER]
    left = pyone.OneServer(endpoint, session="oneadmin:of-the-ministry")
    assert left.system.config().FEDERATION.MODE == "STANDALONE"
    stage.wait_gone("federatedzone", "paris", seconds=60)
    stage.wait_gone("sovereigncloud", "ovh-rbx", seconds=60)
    assert client.system.config().FEDERATION.MODE == "MASTER", "a master is left a master"
