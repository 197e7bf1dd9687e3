"""The vRack, the block and the names of a hosted cloud: what sits elsewhere is moved by consent, what is set is kept, and goes."""

from urllib.parse import quote

import pytest
from tests.integration.hosted_scenes import (
    ADOPTED,
    BLOCK,
    FRONT,
    NODE,
    OTHER_VRACK,
    VRACK,
    account,
    hosted,
    server_named,
)

from sovereigncloud_sandbox.cluster import CommandError
from sovereigncloud_sandbox.stage import is_ready

CLOUD = ("SovereignCloud", "ovh-rbx")
SERVER = ("BareMetalServer", "ovh-rbx-one-2")
ZONE, FQDN, MAIL = "example.fr", "one-rbx.example.fr", "57.131.167.178"
FAR = "ns3099999.ip-51-38-1.eu"
INSTALLATION = "sovereigncloud.io/installation"


def manifest(*, consent=False, **spec):
    """The example, with names; `consent`: to take server and block from where somebody else has them."""
    cloud = hosted(**spec)
    built = cloud["spec"]["hosted"]
    built["access"] = {"fqdn": FQDN, "dnsZone": ZONE}
    public = next(n for n in built["networks"] if "publicBlock" in n)
    public["reverseDNS"] = [{"ip": MAIL, "name": "mail.example.fr"}]
    if consent:
        public["moveFrom"] = ADOPTED
        server_named(cloud, "one-2")["moveFrom"] = OTHER_VRACK
    return cloud


REFUSED = [
    (
        "an address of another block",
        lambda built: built["networks"][0].update(reverseDNS=[{"ip": "57.131.168.2", "name": "mail.example.fr"}]),
        "each ip must be an address of publicBlock",
    ),
    (
        "a reverse name in a network without public block",
        lambda built: built["networks"][1].update(reverseDNS=[{"ip": "10.100.0.10", "name": "mail.example.fr"}]),
        "each ip must be an address of publicBlock",
    ),
    (
        "no full name",
        lambda built: built["networks"][0].update(reverseDNS=[{"ip": MAIL, "name": "mail"}]),
        "must be a full domain name",
    ),
    (
        "a consent for a block that there is not",
        lambda built: built["networks"][1].update(moveFrom=OTHER_VRACK),
        "moveFrom speaks of a publicBlock",
    ),
    (
        "a name outside of the zone",
        lambda built: built["access"].update(dnsZone="example.com"),
        "dnsZone is the zone that fqdn is in",
    ),
]


@pytest.mark.parametrize(("why", "change", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_meant_is_refused_at_apply(stage, why, change, words):
    cloud = manifest()
    change(cloud["spec"]["hosted"])
    with pytest.raises(CommandError, match=words):
        stage.apply(cloud)


@pytest.fixture(scope="module")
def elsewhere(stage):
    """The second server's interface is in somebody's vRack, the block on somebody's server; the zone is the account's."""
    stage.ovh.call("PATCH", f"/vnis/{stage.private_interface(NODE)['uuid']}", {"vrack": OTHER_VRACK})
    stage.ovh.call("PATCH", f"/ips/{quote(BLOCK, safe='')}", {"routedTo": ADOPTED})
    stage.ovh.call("POST", "/zones", {"name": ZONE, "records": [["www", "A", "192.0.2.1"]]})
    stage.apply([account(stage), manifest()])


def stalled(chronicle, where, reason):
    def told():
        found = chronicle.condition(*where, "Stalled")
        return found if found.get("reason") == reason else None

    return chronicle.until(f"{where[1]} stalled, {reason}", told, 90)["message"]


def state(stage):
    return stage.ovh.call("GET", "/state")


def seen(stage):
    """What the world sees of the zone."""
    return sorted(state(stage)["zones"][ZONE]["seen"])


def reverse(stage):
    return stage.block(BLOCK)["reverses"]


def look(stage, word):
    asked = f"sovereigncloud.io/reconcile-requested-at={word}"
    stage.cluster.kubectl("annotate", "--overwrite", "scloud", "ovh-rbx", "-n", "platform", asked)


def test_what_sits_in_somebody_elses_vrack_is_told_and_left(stage, elsewhere, chronicle):
    message = stalled(chronicle, SERVER, "InterfaceInOtherVrack")
    assert f"moveFrom: {OTHER_VRACK}" in message
    message = stalled(chronicle, CLOUD, "BlockInUse")
    assert f"moveFrom: {ADOPTED}" in message
    assert stage.private_interface(NODE)["vrack"] == OTHER_VRACK
    assert stage.block(BLOCK)["document"]["routedTo"] == {"serviceName": ADOPTED}


@pytest.fixture(scope="module")
def consented(stage, elsewhere, chronicle):
    stage.apply(manifest(consent=True))
    return stalled(chronicle, CLOUD, "ForwardRecordMissing")


def test_with_consent_it_is_taken_out_and_joins_and_the_cloud_is_built(stage, consented, chronicle):
    """Only the reverse name is left: it does not resolve yet, and held up nothing."""
    assert "make an A record" in consented
    assert stage.private_interface(NODE)["vrack"] == VRACK
    assert stage.block(BLOCK)["document"]["routedTo"] == {"serviceName": VRACK}
    assert chronicle.get(*CLOUD)["status"]["phase"] == "Running"
    detached = stage.ovh_requests("DELETE", "/vrack/{serviceName}/dedicatedServerInterface/{dedicatedServerInterface}")
    parked = stage.ovh_requests("POST", "/ip/{ip}/park")
    assert (len(detached), len(parked)) == (1, 1)


def test_vrack_and_block_carry_marks(stage, consented):
    world = state(stage)
    vrack, block = world["vracks"][VRACK]["resource"]["tags"], world["ips"][BLOCK]["resource"]["tags"]
    assert vrack[INSTALLATION] == block[INSTALLATION]
    assert [v for k, v in vrack.items() if "used-by" in k] == ["SovereignCloud/platform/ovh-rbx"]
    assert block["sovereigncloud.io/object"] == "SovereignCloud/platform/ovh-rbx"
    assert world["vracks"][OTHER_VRACK]["resource"]["tags"] == {}


def test_the_record_of_the_endpoint_is_published(stage, consented):
    assert seen(stage) == sorted(["A www 192.0.2.1", f"A one-rbx {stage.address(10)}"])


def test_once_it_resolves_the_address_gets_its_name(stage, consented, chronicle):
    stage.ovh.call("PATCH", "/names/mail.example.fr", {"addresses": [MAIL]})
    look(stage, "resolves")
    chronicle.ready(*CLOUD, 60)
    assert reverse(stage) == {MAIL: "mail.example.fr."}
    assert chronicle.get(*CLOUD)["status"]["countries"] == ["FR"]


@pytest.fixture(scope="module")
def built(stage, consented, chronicle):
    stage.ovh.call("PATCH", "/names/mail.example.fr", {"addresses": [MAIL]})
    look(stage, "built")
    chronicle.ready(*CLOUD, 60)


def test_at_rest_nothing_is_written(stage, built, chronicle):
    writes = stage.ovh_mark
    for word in ("once", "twice"):
        look(stage, word)
        chronicle.until(
            "looked", lambda word=word: chronicle.get(*CLOUD)["status"].get("lastHandledReconcileAt") == word, 30
        )
    assert stage.ovh_writes(writes) == []


def test_names_changed_behind_the_back_are_told_and_mended(stage, built, chronicle):
    since = chronicle.mark
    stage.ovh.call("PATCH", f"/reverses/{quote(BLOCK, safe='')}", {MAIL: "somebody.example"})
    number = next(n for n, r in state(stage)["zones"][ZONE]["records"].items() if r["subdomain"] == "one-rbx")
    stage.ovh.call("PATCH", f"/zones/{ZONE}", {number: "192.0.2.66"})
    look(stage, "changed")
    path = f"spec.hosted.networks[vm_public].reverseDNS[{MAIL}]"
    told = chronicle.until("told", lambda: chronicle.drifts(since).get((*CLOUD, path)), 30)
    assert (told["desired"], told["observed"]) == ("mail.example.fr", "somebody.example")
    stage.until(lambda: reverse(stage) == {MAIL: "mail.example.fr."}, "reverse name back", seconds=30)
    back = sorted(["A www 192.0.2.1", f"A one-rbx {stage.address(10)}"])
    stage.until(lambda: seen(stage) == back, "record back", seconds=30)
    chronicle.until("as declared", lambda: is_ready(chronicle.get(*CLOUD)), 30)


def test_a_vrack_across_a_border_is_told(stage, built, chronicle):
    """Somebody puts a server that stands in London into the vRack; eu-west-eri is not in the Union."""
    stage.ovh.call(
        "POST", "/servers", {"name": FAR, "ip": stage.address(60), "region": "eu-west-eri", "datacenter": "eri1"}
    )
    stage.ovh.call("PATCH", f"/vnis/{stage.private_interface(FAR)['uuid']}", {"vrack": VRACK})
    look(stage, "border")

    def told():
        ready = chronicle.condition(*CLOUD, "Ready")
        return ready if ready.get("reason") == "VrackAcrossCountries" else None

    found = chronicle.until("told", told, 40)
    assert found["status"] == "True"
    assert "FR (eu-west-rbx), GB (eu-west-eri)" in found["message"]
    assert chronicle.get(*CLOUD)["status"]["countries"] == ["FR", "GB"]
    stage.ovh.call("PATCH", f"/vnis/{stage.private_interface(FAR)['uuid']}", {"vrack": None})
    chronicle.until("no border", lambda: chronicle.get(*CLOUD)["status"]["countries"] == ["FR"], 40)


def test_deleted_with_delete_names_and_blocks_go_and_nothing_of_others(stage, built, chronicle):
    stage.apply(manifest(consent=True, deletionPolicy="Delete"))
    chronicle.until("said", lambda: chronicle.get(*CLOUD)["spec"].get("deletionPolicy") == "Delete", 20)
    chronicle.ready(*CLOUD, 60)
    since = stage.ovh_mark
    stage.cluster.kubectl("delete", "scloud", "ovh-rbx", "-n", "platform", "--timeout=180s")
    world = state(stage)
    assert seen(stage) == ["A www 192.0.2.1"]
    assert reverse(stage) == {}
    assert world["ips"][BLOCK]["document"]["routedTo"] is None
    assert (world["ips"][BLOCK]["resource"]["tags"], world["vracks"][VRACK]["resource"]["tags"]) == ({}, {})
    assert world["zones"][ZONE]["resource"]["tags"] == {}
    gone = [e["route"] for e in stage.ovh_writes(since) if e["method"] == "DELETE" and "/tag/" not in e["route"]]
    wanted = ["/domain/zone/{zoneName}/record/{id}", "/ip/{ip}/reverse/{ipReverse}", "/vrack/{serviceName}/ip/{ip}"]
    assert [route for route in gone if route in wanted] == wanted, "names first, then what they lead to"
    assert {stage.private_interface(name)["vrack"] for name in (FRONT, NODE)} == {None}
