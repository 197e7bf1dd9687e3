"""Placing machines on the whole system: clouds in three countries, policies, and an administrator who moves a machine abroad."""

import pyone
import pytest
from tests.integration.existing_cloud import ExistingCloud
from tests.integration.hosted_scenes import PASSWORD, account, adopted, build_by_hand

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import condition

SWEEP = 3.0  # conftest.QUICK
TOWN = {"paris": "PARIS-1", "berlin": "BERLIN-1", "montreal": "MONTREAL-1"}
PROFILE = {
    "apiVersion": API_VERSION,
    "kind": "ProviderProfile",
    "metadata": {"name": "ministry"},
    "spec": {
        "legalEntity": {"name": "Ministry", "country": "FR"},
        "datacenters": [
            {"name": "PARIS-1", "country": "FR", "grade": "Attested"},
            {"name": "BERLIN-1", "country": "DE"},
            {"name": "MONTREAL-1", "country": "CA"},
        ],
    },
}
HOSTED = ("SovereignCloud", "ovh-adopted")
CANADIAN = "ns5012345.ip-192-0-2.net"
BHS_ADDRESS = 31


def policy(name, namespace, enforcement, *countries, **spec):
    return {
        "apiVersion": API_VERSION,
        "kind": "SovereigntyPolicy",
        "metadata": {"name": name},
        "spec": {
            "appliesTo": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            "enforcement": enforcement,
            "residency": {"allowedCountries": list(countries), "covers": ["compute"]},
            **spec,
        },
    }


def considered(found):
    """Verdict and reason by the name of the cloud."""
    placement = found.get("status", {}).get("placement") or {}
    return {one["cloud"].split("/")[1]: (one["verdict"], one["reason"]) for one in placement.get("considered", ())}


def place(found):
    return (found.get("status", {}).get("placement") or {}).get("cloud", "").removeprefix("town/")


@pytest.fixture(scope="module")
def town(stage):
    """Three clouds of one namespace, each with the same image and network."""
    stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "town"}}, PROFILE])
    clouds = {name: ExistingCloud(stage, name, "town", hosts=1) for name in TOWN}
    for name, cloud in clouds.items():
        manifest = cloud.cloud(providerRef={"name": "ministry"})
        manifest["metadata"]["labels"] = {"tier": "gold" if name == "berlin" else "silver"}
        manifest["spec"]["existing"]["location"] = {"datacenter": TOWN[name]}
        stage.apply([cloud.credentials(), manifest])
        cloud.ready("sovereigncloud", name)
    everywhere = [{"name": name} for name in TOWN]
    stage.apply([clouds["paris"].image("alpine", cloudRefs=everywhere)])
    for name, cloud in clouds.items():
        network = cloud.network("lan")
        network["metadata"]["name"] = f"lan-{name}"
        network["spec"]["name"] = "lan"
        stage.apply([network])
        cloud.ready("virtualnetwork", f"lan-{name}")
        cloud.wait("sovereigncloud", name, "located", lambda found: found["status"].get("locations"))
    clouds["paris"].ready("machineimage", "alpine")
    return clouds


def placed(town, name, placement, **more):
    """The object once its machine runs."""
    one = town["paris"]
    manifest = one.instance(name, placement=placement)
    manifest["metadata"] |= more
    one.stage.apply([manifest])
    return one.ready("hostedinstance", name)


def test_countries(town):
    found = placed(town, "french", {"countries": ["FR"]})
    assert place(found) == "paris"
    told = found["status"]["placement"]
    assert (told["country"], told["datacenter"], told["cluster"]) == ("FR", "PARIS-1", "default")
    about = considered(found)
    assert about["paris"][0] == "Chosen"
    assert about["berlin"] == ("Refused", "cluster default/BERLIN-1 is in DE, and FR is asked for")
    assert about["montreal"][0] == "Refused"
    assert [len(cloud.onlooker.machines("french")) for cloud in town.values()] == [1, 0, 0]


def test_labels(town):
    found = placed(town, "golden", {"labels": {"tier": "gold"}})
    assert place(found) == "berlin"
    assert considered(found)["paris"] == ("Refused", "the cloud does not have the label tier=gold")


def test_spread(town):
    one = town["paris"]
    spread = {"by": "Country", "matchLabels": {"app": "web"}}
    names = [f"web-{number}" for number in range(3)]
    manifests = [one.instance(name, placement={"spread": spread}) for name in names]
    for manifest in manifests:
        manifest["metadata"]["labels"] = {"app": "web"}
    one.stage.apply(manifests)
    places = {place(one.ready("hostedinstance", name)) for name in names}
    assert places == {"paris", "berlin", "montreal"}, "also while none of them shows yet"


def test_a_policy_that_is_enforced_leaves_no_place_and_one_that_is_not_any_more_does(town):
    one, stage = town["paris"], town["paris"].stage
    held = one.instance("waits", placement={"cloudRef": {"name": "montreal"}})
    held["metadata"]["annotations"] = {"sovereigncloud.io/paused": "true"}
    stage.apply([held])
    one.wait("hostedinstance", "waits", "chosen", lambda found: place(found) == "montreal")
    stage.apply([policy("town-borders", "town", "Enforce", "FR", "DE")])
    stage.wait_ready("sovereigntypolicy", "town-borders", namespace="")
    stage.patch("hostedinstance", "waits", {"metadata": {"annotations": {"sovereigncloud.io/paused": None}}}, "town")
    found = one.says(
        "hostedinstance", "waits", "Stalled", "NoCompliantPlace", "SovereigntyPolicy town-borders", "is in CA"
    )
    assert considered(found)["montreal"][0] == "Refused"
    assert not town["montreal"].onlooker.machines("waits")

    anywhere = placed(town, "anywhere", None)
    assert place(anywhere) in {"paris", "berlin"}
    verdict, reason = considered(anywhere)["montreal"]
    assert verdict == "Refused"
    assert "SovereigntyPolicy town-borders, residency.compute" in reason

    stage.patch("sovereigntypolicy", "town-borders", {"spec": {"enforcement": "Audit"}})
    found = one.ready("hostedinstance", "waits", seconds=90)
    assert place(found) == "montreal"
    told = condition(found, "Compliant")
    assert (told["status"], told["reason"]) == ("False", "ResidencyViolation"), "told, and it runs"
    assert "ProviderProfile ministry" in told["message"]
    stage.delete("sovereigntypolicy", "town-borders", "")
    one.wait("hostedinstance", "waits", "no policy", lambda found: condition(found, "Compliant") == {})


def test_a_machine_that_is_moved_abroad_is_told_of_within_one_sweep(stage, chronicle):
    endpoint = build_by_hand(stage)
    stage.one.call("POST", "/clouds/ovh-adopted/speeds", {"datastore_monitor": 0, "host_monitor": 0.2})
    objects = adopted(endpoint)
    objects[1]["spec"]["hosted"]["networks"] = []
    stage.apply([policy("platform-borders", "platform", "Audit", "EU"), account(stage), *objects])
    chronicle.ready(*HOSTED)
    front = pyone.OneServer(endpoint, session=f"oneadmin:{PASSWORD}")
    template = 'NAME="tiny"\nCPU="1"\nMEMORY="128"\n'
    front.template.allocate(template)
    machine = {
        "apiVersion": API_VERSION,
        "kind": "HostedInstance",
        "metadata": {"name": "web", "namespace": "platform"},
        "spec": {"source": {"template": "tiny"}, "placement": {"countries": ["EU"]}},
    }
    stage.apply([machine])
    web = ("HostedInstance", "web")
    chronicle.until("compliant", lambda: status_of(chronicle, web) == "True", 40)
    chronicle.ready(*web)
    address = stage.address(BHS_ADDRESS)
    stage.ovh.call("POST", "/servers", {"name": CANADIAN, "ip": address, "region": "ca-east-bhs", "datacenter": "bhs5"})
    abroad = front.host.allocate(address, "kvm", "kvm", -1)
    chronicle.until("the host abroad is known", lambda: "CA" in countries(chronicle), 20)
    assert status_of(chronicle, web) == "True", "it does not run there"
    number = int(chronicle.get(*web)["status"]["id"])
    stage.until(lambda: front.host.info(abroad).STATE == 2, "the host is monitored", seconds=20)
    front.vm.migrate(number, abroad, True, False, -1, 0)
    chronicle.until("told", lambda: status_of(chronicle, web) == "False", 2 * SWEEP + 4)
    found = chronicle.get(*web)
    told = condition(found, "Compliant")
    assert f"host {address} is in CA, BHS" in told["message"]
    assert f"OVHcloud region ca-east-bhs of server {CANADIAN}" in told["message"]
    assert (found["status"]["placement"]["country"], found["status"]["placement"]["host"]) == ("CA", address)
    assert [d["path"] for d in found["status"]["drift"]] == ["spec.placement.countries"]
    (step,) = found["status"]["plan"]["steps"]
    assert step["action"] == "Move"
    assert "InstanceMigration" in step["needs"]
    assert front.vm.info(number).STATE == 3, "it runs"
    assert len(front.vmpool.info(-2, -1, -1, -1).VM) == 1
    stage.until(lambda: violations(stage, web), "an event", seconds=5)
    assert [event["count"] for event in violations(stage, web)] == [1], "once"


def violations(stage, key):
    return [event for event in stage.events(*key) if event["reason"] == "ResidencyViolation"]


def status_of(chronicle, key):
    return condition(chronicle.get(*key) or {}, "Compliant").get("status")


def countries(chronicle):
    return {one.get("country") for one in chronicle.get(*HOSTED)["status"].get("locations") or ()}
