"""What only the outside can tell is wrong: said with a reason and the outside's own words, never a hot loop, and healed by
itself as soon as the cause goes.
"""

import time
from collections import Counter

import pytest
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.certificates import Authority
from sovereigncloud_sandbox.onlooker import Onlooker
from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3", "late_write_grace": "3"}

ALLOCATE = "one.vm.allocate"
FAILED = {"count": 2, "status": 500, "body": "<html>Internal Server Error</html>", "content_type": "text/html"}


def quiet_for(stage, cloud, seconds=3):
    """Calls that a cloud is asked in so many seconds."""
    before = stage.calls(cloud)
    time.sleep(seconds)
    return stage.calls(cloud) - before


# --- credentials


def test_a_missing_secret_is_named_and_its_coming_is_noticed(stage, make_cloud):
    dijon = make_cloud("dijon")
    secret, cloud = dijon.foundation()
    stage.apply([cloud, dijon.network("lan")])
    dijon.says(
        "sovereigncloud", "dijon", "Reconciling", "SecretMissing", "Secret dijon/dijon-one does not exist: create it"
    )
    dijon.says("virtualnetwork", "lan", "Reconciling", "WaitingForDependency", "dijon/dijon", "SecretMissing")

    stage.apply(secret)

    dijon.ready("sovereigncloud", "dijon")
    dijon.ready("virtualnetwork", "lan")


@pytest.mark.parametrize(
    ("why", "malformed", "words"),
    [
        (
            "another key",
            {"stringData": {"username": "oneadmin", "pass": "sesame"}},
            ("has no password", "['pass', 'username']"),
        ),
        ("an empty value", {"stringData": {"username": "", "password": "sesame"}}, ("has no username",)),
        ("no text", {"data": {"username": "b25lYWRtaW4=", "password": "/w=="}}, ("has no password", "['username']")),
        ("nothing", {}, ("has no username", "nothing")),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_malformed_secret_is_named_and_its_mending_is_noticed(stage, make_cloud, why, malformed, words):
    cloud = make_cloud(f"toul-{why.replace(' ', '-')}")
    secret, manifest = cloud.foundation()
    wrong = {key: value for key, value in secret.items() if key != "stringData"}
    stage.apply([{**wrong, **malformed}, manifest])
    found = cloud.says("sovereigncloud", cloud.name, "Reconciling", "SecretMissing", *words)
    assert "sesame" not in str(found), "a value of the Secret is shown"

    stage.cluster.request(
        "PATCH", f"/api/v1/namespaces/{cloud.name}/secrets/{cloud.name}-one", secret, "application/merge-patch+json"
    )

    cloud.ready("sovereigncloud", cloud.name)


def test_a_wrong_password_is_refused_and_the_right_one_works_without_a_restart(stage, make_cloud):
    arles = make_cloud("arles")
    secret, cloud = arles.foundation()
    stage.apply([arles.secret("arles-one", username="oneadmin", password="not-the-one"), cloud])
    found = arles.says(
        "sovereigncloud", "arles", "Stalled", "CredentialsRejected", "User couldn't be authenticated", "Secret"
    )
    assert condition(found, "Ready")["status"] == "False"
    told = quiet_for(stage, "arles")
    assert sum(told.values()) <= 6, f"a hot loop: {told}"

    stage.apply(secret)

    arles.ready("sovereigncloud", "arles")


def test_a_password_is_rotated_in_both_places_in_any_order(stage, make_cloud):
    reims = make_cloud("reims")
    stage.apply([*reims.foundation(), reims.network("lan"), reims.image("alpine")])
    reims.ready("machineimage", "alpine")

    reims.mischief("change-password", password="rotated")
    reims.says("sovereigncloud", "reims", "Stalled", "CredentialsRejected")
    stage.apply([reims.secret("reims-one", username="oneadmin", password="rotated"), reims.instance("web")])

    reims.ready("sovereigncloud", "reims")
    reims.ready("hostedinstance", "web")
    for secret in ("rotated", "not-the-one", "sesame"):
        assert secret not in stage.log()
        assert secret not in stage.cluster.kubectl("get", "events,sovereign", "-A", "-o", "yaml").stdout


def test_an_endpoint_in_clear_over_a_public_network_is_not_even_asked(stage, make_cloud):
    sete = make_cloud("sete")
    secret, cloud = sete.foundation()
    right = cloud["spec"]["existing"]["endpoint"]
    cloud["spec"]["existing"]["endpoint"] = "http://one.example.com:2633/RPC2"
    stage.apply([secret, cloud])
    sete.says("sovereigncloud", "sete", "Stalled", "InsecureEndpoint", "https", "one.example.com")

    sete.patch("sovereigncloud", "sete", existing={"endpoint": right})
    sete.ready("sovereigncloud", "sete")


def test_a_certificate_that_nobody_vouches_for_is_refused_until_its_authority_is_named(stage, make_cloud):
    authority = Authority.create("a ministry")
    blois = make_cloud("blois", authority=authority)
    secret, cloud = blois.foundation()
    assert cloud["spec"]["existing"]["endpoint"].startswith("https://")
    stage.apply([secret, cloud])
    blois.says("sovereigncloud", "blois", "Stalled", "CertificateInvalid", "certificate verify failed")

    stage.apply(blois.secret("ministry-ca", **{"ca.crt": authority.pem.decode()}))
    blois.patch("sovereigncloud", "blois", existing={"caSecretRef": {"name": "ministry-ca"}})

    blois.ready("sovereigncloud", "blois")


# --- an API that is down


def test_an_endpoint_that_is_down_loses_nothing(stage, make_cloud):
    dax = make_cloud("dax")
    stage.apply(
        [*dax.foundation(), dax.image("alpine"), dax.network("lan"), dax.instance("before"), dax.instance("doomed")]
    )
    for name in ("before", "doomed"):
        dax.ready("hostedinstance", name)
    vm = dax.vm("before")

    stage.fault("dax", "lost-request", ".*", name="down")
    found = dax.says("sovereigncloud", "dax", "Reconciling", "CloudUnreachable", seconds=30)
    assert condition(found, "Ready")["status"] == "True", "Ready speaks of the cloud, not of the last call"
    stage.apply(dax.instance("during"))
    dax.delete("hostedinstance", "doomed")
    dax.wait("hostedinstance", "during", "told", lambda f: condition(f, "Ready").get("status") == "False")
    assert sum(quiet_for(stage, "dax").values()) <= 20, "a hot loop"
    assert is_ready(dax.get("hostedinstance", "before")), dax.get("hostedinstance", "before")["status"]["conditions"]

    stage.heal("dax")
    dax.ready("hostedinstance", "during")
    dax.gone("hostedinstance", "doomed")
    dax.ready("sovereigncloud", "dax")
    assert dax.vm("before") == vm
    assert [one.name for one in dax.onlooker.machines()] == ["before", "during"]


# --- names


def test_an_unknown_image_and_network_are_named_with_what_there_is(stage, paris):
    stage.apply(paris.instance("lost", source={"image": "beos"}, networks=[{"name": "lan"}, {"name": "moon"}]))
    found = paris.says(
        "hostedinstance", "lost", "Stalled", "ImageNotFound", '"beos"', "there are: alpine", '"moon"', "lan"
    )
    assert "finalizers" not in found["metadata"]

    stage.apply([paris.image("beos"), paris.network("moon", 37)])

    stage.wait_ready("hostedinstance", "lost")
    assert paris.vm("lost").networks == ["lan", "moon"]


def test_a_name_that_is_taken_is_said_with_whose_it_is_and_heals(stage, paris):
    number = paris.onlooker.call("one.vn.allocate", "NAME=taken VN_MAD=802.1Q PHYDEV=eth0 VLAN_ID=999", 0)
    stage.apply(paris.network("taken", 38))
    paris.says("virtualnetwork", "taken", "Stalled", "NameTaken", f'network {number} "taken"', "another VLAN")

    paris.onlooker.call("one.vn.rename", number, "somebodys")

    stage.wait_ready("virtualnetwork", "taken")
    assert {one.id for one in paris.onlooker.networks("taken")} != {number}


def test_another_installations_network_is_left_alone(stage, paris):
    mark = 'SOVEREIGNCLOUD_INSTALLATION=other SOVEREIGNCLOUD_OBJECT="VirtualNetwork/prod/theirs" SOVEREIGNCLOUD_UID=u'
    number = paris.onlooker.call("one.vn.allocate", f"NAME=theirs VN_MAD=802.1Q PHYDEV=eth0 VLAN_ID=339 {mark}", 0)
    (before,) = paris.onlooker.networks("theirs")
    assert before.template["SOVEREIGNCLOUD_INSTALLATION"] == "other"

    stage.apply(paris.network("theirs", 39))
    paris.says(
        "virtualnetwork", "theirs", "Stalled", "OwnedByAnotherInstallation", f"network {number}", "installation other"
    )

    stage.delete("virtualnetwork", "theirs")
    stage.wait_gone("virtualnetwork", "theirs")
    (after,) = paris.onlooker.networks("theirs")
    assert (after.id, after.template) == (number, before.template)


def test_of_two_clouds_one_is_chosen_and_one_elsewhere_needs_a_tenant(stage, make_cloud):
    metz, other = make_cloud("metz"), make_cloud("elsewhere")
    second = metz.cloud()
    second["metadata"]["name"] = "second"
    stage.apply([*metz.foundation(), second, metz.image("alpine"), metz.network("lan"), *other.foundation()])
    other.ready("sovereigncloud", "elsewhere")

    elsewhere = {"cloudRef": {"name": "elsewhere", "namespace": "elsewhere"}}
    stage.apply(metz.instance("web", placement=elsewhere))
    metz.says("hostedinstance", "web", "Stalled", "NamespaceNotAllowed", "elsewhere/elsewhere", "Tenant")
    assert stage.writing_calls("elsewhere") == 0

    metz.patch("hostedinstance", "web", placement={"cloudRef": None})
    found = metz.ready("hostedinstance", "web")
    assert found["status"]["placement"]["cloud"] in {"metz/metz", "metz/second"}
    assert {one["cloud"] for one in found["status"]["placement"]["considered"]} == {"metz/metz", "metz/second"}
    assert metz.vm("web").running, "one machine, though the two are the same OpenNebula"


def test_several_machines_with_the_mark_are_listed_and_none_is_made(stage, paris):
    config = "/api/v1/namespaces/sovereign-system/configmaps/sovereign-installation"
    installation = stage.cluster.request("GET", config)["data"]["id"]
    mark = f'SOVEREIGNCLOUD_INSTALLATION={installation} SOVEREIGNCLOUD_OBJECT="HostedInstance/platform/twin" SOVEREIGNCLOUD_UID=before'
    ids = [paris.onlooker.call(ALLOCATE, f"NAME=twin CPU=1 MEMORY=64 {mark}", False) for _ in range(2)]
    paris.swept()

    stage.apply(paris.instance("twin", networks=None))
    paris.says("hostedinstance", "twin", "Stalled", "MultipleMatches", f"{ids[0]}, {ids[1]}")
    assert [vm.id for vm in paris.onlooker.machines("twin")] == ids

    paris.mischief("vm-terminate", vm=ids[0])
    found = paris.wait("hostedinstance", "twin", "one", lambda f: f["status"].get("id") == str(ids[1]))
    assert [vm.id for vm in paris.onlooker.machines("twin")] == ids[1:]
    uid = found["metadata"]["uid"]  # which one it is is told before its mark is written
    stage.until(
        lambda: paris.vm("twin").user_template["SOVEREIGNCLOUD_UID"] == uid, "the mark is taken over", seconds=20
    )


def test_a_tenant_that_writes_the_mark_on_its_own_machine_gains_nothing(stage, paris):
    paris.onlooker.call("one.user.allocate", "mallory", "pw-of-mallory", "core", [])
    config = "/api/v1/namespaces/sovereign-system/configmaps/sovereign-installation"
    installation = stage.cluster.request("GET", config)["data"]["id"]
    mark = f'SOVEREIGNCLOUD_INSTALLATION={installation} SOVEREIGNCLOUD_OBJECT="HostedInstance/platform/coveted" SOVEREIGNCLOUD_UID=u'
    mallory = Onlooker(paris.endpoint, "pw-of-mallory", "mallory")
    theirs = mallory.call(ALLOCATE, f"NAME=coveted CPU=1 MEMORY=64 {mark}", False)

    stage.apply(paris.instance("coveted"))
    found = stage.wait_ready("hostedinstance", "coveted")

    assert found["status"]["id"] != str(theirs)
    assert paris.onlooker.machine(theirs).user_template["SOVEREIGNCLOUD_UID"] == "u", "touched"


# --- sizes


def test_no_capacity_is_said_in_the_schedulers_words_and_heals(stage, paris):
    stage.apply(paris.instance("huge", memory="4Ti"))
    paris.says("hostedinstance", "huge", "Reconciling", "NoCapacity", "Not enough MEMORY on hosts")
    (vm,) = paris.onlooker.machines("huge")

    stage.patch("hostedinstance", "huge", {"spec": {"memory": "512Mi"}})

    stage.wait_ready("hostedinstance", "huge")
    assert paris.vm("huge").id == vm.id, "another machine"


def test_without_a_host_it_waits_for_one(stage, make_cloud):
    laon = make_cloud("laon", hosts=1)
    stage.apply([*laon.foundation(), laon.image("alpine"), laon.network("lan")])
    laon.ready("machineimage", "alpine")
    laon.mischief("host-disable", host=laon.hosts[0])
    stage.apply(laon.instance("web"))
    laon.says("hostedinstance", "web", "Reconciling", "NoCapacity", "No hosts enabled to run VMs")

    laon.mischief("host-enable", host=laon.hosts[0])

    laon.ready("hostedinstance", "web")
    assert len(laon.onlooker.machines()) == 1


def test_a_root_disk_smaller_than_its_image_is_refused_until_it_is_not(stage, paris):
    stage.apply(paris.instance("tight", disks=[{"name": "root", "size": "100Mi"}]))
    paris.says("hostedinstance", "tight", "Stalled", "CannotShrink", "spec.disks[root].size 100Mi", "256Mi")

    stage.patch("hostedinstance", "tight", {"spec": {"disks": [{"name": "root", "size": "300Mi"}]}})

    stage.wait_ready("hostedinstance", "tight")
    assert paris.vm("tight").vectors["DISK"][0]["SIZE"] == "300"


def test_a_resize_beyond_the_host_is_refused_once_and_the_machine_runs_on(stage, make_cloud):
    gap = make_cloud("gap", hosts=1)
    stage.apply(
        [
            *gap.foundation(),
            gap.image("alpine"),
            gap.network("lan"),
            gap.instance("web", updatePolicy={"powerCycle": "Allow"}),
        ]
    )
    gap.ready("hostedinstance", "web")
    vm = gap.vm("web")

    gap.patch("hostedinstance", "web", memory="8Ti")
    gap.says("hostedinstance", "web", "Stalled", "ResizeRefused", "Not enough memory", seconds=30)
    gap.wait("hostedinstance", "web", "running", lambda f: f["status"]["state"] == "Running")
    calls = quiet_for(stage, "gap")
    assert calls["one.vm.action"] == calls["one.vm.resize"] == 0, "powered off again for a size that it cannot have"
    assert (gap.vm("web").running, gap.vm("web").template["MEMORY"]) == (True, vm.template["MEMORY"])

    gap.patch("hostedinstance", "web", memory="1Gi")
    gap.ready("hostedinstance", "web")
    assert (gap.vm("web").running, gap.vm("web").template["MEMORY"]) == (True, "1024")


def test_a_quota_that_is_used_up_is_said_and_heals_when_it_is_raised(stage, make_cloud):
    pau = make_cloud("pau")
    user = pau.onlooker.call("one.user.allocate", "tenant", "pw-of-tenant", "core", [])
    pau.onlooker.call(
        "one.vn.allocate", "NAME=lan VN_MAD=802.1Q PHYDEV=eth0 VLAN_ID=331 AR=[TYPE=IP4,IP=10.31.0.10,SIZE=50]", 0
    )
    stage.apply([pau.secret("pau-one", username="tenant", password="pw-of-tenant"), pau.cloud(), pau.image("alpine")])
    pau.ready("machineimage", "alpine")
    pau.onlooker.call("one.user.quota", user, "VM=[VMS=1]")
    stage.apply(pau.instance("first"))
    pau.ready("hostedinstance", "first")

    stage.apply(pau.instance("second"))
    pau.says("hostedinstance", "second", "Reconciling", "QuotaExceeded", "limit of 1 reached for VMS quota")
    assert quiet_for(stage, "pau")[ALLOCATE] <= 4, "a hot loop"
    pau.onlooker.call("one.user.quota", user, "VM=[VMS=2]")

    pau.ready("hostedinstance", "second")
    assert [vm.name for vm in pau.onlooker.machines()] == ["first", "second"]


# --- an API that misbehaves

FAULTS = [
    ("500 burst", {"kind": "reply", "path": f"^{ALLOCATE}$", **FAILED}),
    ("502 page while reading", {"kind": "reply", "path": "^one.vmpool.infoextended$", **FAILED, "status": 502}),
    ("502 page while writing", {"kind": "reply", "path": f"^{ALLOCATE}$", **FAILED, "status": 502}),
    ("connection closed", {"kind": "lost-request", "path": f"^{ALLOCATE}$", "count": 2}),
    ("answer lost", {"kind": "lost-response", "path": f"^{ALLOCATE}$", "count": 1}),
    ("done later", {"kind": "late-effect", "path": f"^{ALLOCATE}$", "count": 1, "seconds": 2}),
    ("429", {"kind": "reply", "path": f"^{ALLOCATE}$", "count": 2, "status": 429, "headers": {"Retry-After": "1"}}),
    ("slow", {"kind": "latency", "path": ".*", "count": 12, "seconds": 0.7}),
]


@pytest.fixture(scope="module")
def shaky(stage):
    """A cloud for the faults, which are put before its API one after the other."""

    cloud = ExistingCloud(stage, "shaky")
    stage.apply(
        [*cloud.foundation(), cloud.image("shaky-image", name="alpine"), cloud.network("shaky-lan", 33, name="lan")]
    )
    for kind, name in (("machineimage", "shaky-image"), ("virtualnetwork", "shaky-lan")):
        stage.wait_ready(kind, name)
    return cloud


@pytest.mark.parametrize(("why", "rule"), FAULTS, ids=[why.replace(" ", "-") for why, _ in FAULTS])
def test_whatever_the_api_does_there_is_one_machine_in_the_end(stage, shaky, why, rule):
    name = f"one-{why.replace(' ', '-')}"
    before = stage.calls("shaky")
    fault = stage.fault("shaky", **rule)

    stage.apply(shaky.instance(name))
    stage.wait_ready("hostedinstance", name, seconds=40)

    assert stage.struck("shaky")[fault] == rule["count"], "the fault did not strike"
    told = stage.calls("shaky") - before
    stage.heal("shaky")
    assert len(shaky.onlooker.machines(name, even_done=True)) == 1
    assert told[ALLOCATE] <= 1 + (rule["count"] if ALLOCATE in rule["path"] else 0), (
        "asked for more often than it failed"
    )


def test_a_deletion_whose_answer_is_lost_ends(stage, shaky):
    stage.apply(shaky.instance("vanishing"))
    stage.wait_ready("hostedinstance", "vanishing")
    vm = shaky.vm("vanishing")
    stage.fault("shaky", "lost-response", "^one.vm.action$", count=1)

    stage.delete("hostedinstance", "vanishing")
    stage.wait_gone("hostedinstance", "vanishing")

    stage.heal("shaky")
    assert shaky.onlooker.machine(vm.id).done


def test_a_driver_that_fails_is_said_in_its_words_and_a_person_recovers_it(stage, shaky):
    shaky.mischief("fail-next", step="BOOT", message="no such device", name="unlucky")
    stage.apply(shaky.instance("unlucky", recovery="Manual"))
    shaky.says("hostedinstance", "unlucky", "Stalled", "BootFailure", "no such device", "onevm recover --retry")

    shaky.onlooker.call("one.vm.recover", shaky.vm("unlucky").id, 2)

    stage.wait_ready("hostedinstance", "unlucky")


def test_after_all_that_nothing_is_left_to_do(stage, shaky):
    shaky.swept(3)
    before, wrote = stage.kubernetes_writes(), stage.writing_calls("shaky")
    shaky.swept()
    assert stage.writing_calls("shaky") == wrote
    mine = {key: value for key, value in (stage.kubernetes_writes() - before).items() if "hostedinstances" in key}
    assert Counter(mine) == Counter()


def test_the_operator_met_nothing_that_it_did_not_expect(stage):
    assert "Traceback" not in stage.log()
