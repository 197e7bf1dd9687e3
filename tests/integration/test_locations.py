"""Where clouds are, on the whole system: a host that an administrator adds in Canada is told within one sweep, and a profile that
says otherwise counts at once.
"""

import pyone
import pytest
from tests.integration.hosted_scenes import PASSWORD, account, adopted, build_by_hand

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import condition

CLOUD = ("SovereignCloud", "ovh-adopted")
PARIS = ("SovereignCloud", "paris")
CANADIAN = "ns5012345.ip-192-0-2.net"
BHS_ADDRESS = 30
SWEEP = 3.0  # conftest.QUICK
PROFILE = {
    "apiVersion": API_VERSION,
    "kind": "ProviderProfile",
    "metadata": {"name": "ministry"},
    "spec": {
        "legalEntity": {"name": "Ministry", "country": "FR"},
        "datacenters": [{"name": "PARIS-1", "country": "FR", "grade": "Attested"}],
    },
}
POLICY = {
    "apiVersion": API_VERSION,
    "kind": "SovereigntyPolicy",
    "metadata": {"name": "eu-baseline"},
    "spec": {"residency": {"allowedCountries": ["EU"], "covers": ["compute", "storage", "images", "controlPlane"]}},
}


def compliant(chronicle, cloud):
    return condition(chronicle.get(*cloud), "Compliant")


def says(chronicle, cloud, status):
    """The condition, once it has that status."""
    return lambda: (found := compliant(chronicle, cloud)) and found["status"] == status and found


def places(chronicle, cloud):
    found = chronicle.get(*cloud)["status"].get("locations") or ()
    return {one["name"]: (one.get("country"), one["grade"]) for one in found}


def events(stage, cloud, reason):
    return [event for event in stage.events(*cloud) if event["reason"] == reason]


@pytest.fixture(scope="module")
def by_hand(stage, chronicle):
    endpoint = build_by_hand(stage)
    stage.one.call("POST", "/clouds/ovh-adopted/speeds", {"datastore_monitor": 0, "host_monitor": 0.2})
    objects = adopted(endpoint)
    objects[1]["spec"]["hosted"]["networks"] = []
    objects[1]["spec"]["providerRef"] = {"name": "ministry"}
    stage.apply([POLICY, PROFILE, account(stage), *objects])
    chronicle.ready(*CLOUD)
    return pyone.OneServer(endpoint, session=f"oneadmin:{PASSWORD}")


def test_a_hosted_cloud_is_where_its_servers_are(by_hand, chronicle):
    met = chronicle.until("compliant", says(chronicle, CLOUD, "True"), 20)
    assert met["message"] == "meets SovereigntyPolicy eu-baseline"
    assert places(chronicle, CLOUD) == {
        "cluster/default/RBX": ("FR", "Observed"),
        "front-end/RBX": ("FR", "Observed"),
    }
    assert chronicle.get(*CLOUD)["status"]["country"] == "FR"


def test_a_host_that_an_administrator_adds_in_canada_is_told_within_one_sweep(stage, by_hand, chronicle):
    address = stage.address(BHS_ADDRESS)
    stage.ovh.call("POST", "/servers", {"name": CANADIAN, "ip": address, "region": "ca-east-bhs", "datacenter": "bhs5"})
    added = by_hand.host.allocate(address, "kvm", "kvm", -1)
    found = chronicle.until("told", says(chronicle, CLOUD, "False"), 2 * SWEEP + 4)
    assert found["reason"] == "ResidencyViolation"
    assert f"residency.compute: host {address} is in CA, BHS" in found["message"]
    assert f"OVHcloud region ca-east-bhs of server {CANADIAN}" in found["message"]
    assert places(chronicle, CLOUD)["cluster/default/BHS"] == ("CA", "Observed")
    assert chronicle.get(*CLOUD)["status"]["country"] == "CA, FR"
    ready = condition(chronicle.get(*CLOUD), "Ready")
    assert ready["status"] == "True", "nothing is stopped for it"
    stage.until(lambda: events(stage, CLOUD, "ResidencyViolation"), "an event", seconds=5)

    quiet = chronicle.mark
    by_hand.host.delete(added)
    chronicle.until("met again", says(chronicle, CLOUD, "True"), 2 * SWEEP + 4)
    assert [e["count"] for e in events(stage, CLOUD, "ResidencyViolation")] == [1], "once"
    statuses = [condition(one, "Compliant")["status"] for one in chronicle.versions(*CLOUD, quiet)]
    assert statuses == sorted(statuses), "False until it was gone, then True"


def test_what_a_profile_says_counts_at_once(stage, by_hand, make_cloud, chronicle):
    cloud = make_cloud("paris")
    manifest = cloud.cloud(providerRef={"name": "ministry"})
    manifest["spec"]["existing"]["location"] = {"datacenter": "PARIS-1"}
    paris, alpine = (*PARIS, "paris"), ("MachineImage", "alpine", "paris")
    stage.apply([cloud.credentials(), manifest, cloud.image("alpine")])
    chronicle.until("compliant", says(chronicle, paris, "True"), 30)
    assert places(chronicle, paris) == {
        "cluster/default/PARIS-1": ("FR", "Attested"),
        "front-end/PARIS-1": ("FR", "Attested"),
    }
    chronicle.until("the image is in, and compliant", says(chronicle, alpine, "True"), 30)
    moved = {"spec": {"datacenters": [{"name": "PARIS-1", "country": "GB"}]}}
    stage.patch("providerprofile", "ministry", moved)
    found = chronicle.until("told", says(chronicle, paris, "False"), SWEEP)
    assert "is in GB, PARIS-1" in found["message"]
    assert "ProviderProfile ministry" in found["message"]
    found = chronicle.until("told of the image", says(chronicle, alpine, "False"), SWEEP + 2)
    assert "residency.images: datastore default is in GB, PARIS-1" in found["message"]
    stage.patch("providerprofile", "ministry", {"spec": {"datacenters": [{"name": "LYON-1", "country": "FR"}]}})
    found = chronicle.until("unknown", says(chronicle, paris, "Unknown"), SWEEP)
    assert "ProviderProfile ministry lists no datacenter PARIS-1" in found["message"]
    assert condition(chronicle.get(*paris), "Ready")["status"] == "True"


def test_a_profile_stays_until_no_cloud_names_it(stage, by_hand, chronicle):
    profile = ("ProviderProfile", "ministry", "")
    stage.delete("providerprofile", "ministry", "")
    waits = chronicle.until("it waits", lambda: condition(chronicle.get(*profile), "Reconciling"), 10)
    assert (waits["reason"], "SovereignCloud platform/ovh-adopted" in waits["message"]) == ("InUse", True)
    stage.patch("sovereigncloud", "ovh-adopted", {"spec": {"providerRef": None}})
    chronicle.until("it goes", lambda: not chronicle.get(*profile), 10)
    assert condition(chronicle.get(*CLOUD), "Ready")["status"] == "True"
