"""The OVH simulator, driven by the unmodified Python client of OVHcloud."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from urllib.parse import quote

import ovh
import ovh.exceptions
import pytest
import requests

from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.alone import explain
from sovereigncloud_sandbox.ovh.presets import PRESETS, fault
from sovereigncloud_sandbox.ovh.seed import BLOCK, ECO, OTHER_VRACK, SERVERS, SPARE, VRACK, add_account, add_block
from sovereigncloud_sandbox.ovh.server import ENDPOINT, Simulator, serving
from sovereigncloud_sandbox.ovh.state import AccessRule, Grant, parse_state
from sovereigncloud_sandbox.ovh.world import World

SERVER = SERVERS[0]
STRANGER = "yy2222-ovh"
IP_BLOCK = f"/ip/{quote(BLOCK, safe='')}"
UBUNTU = "ubuntu2404-server_64"


@pytest.fixture
def simulator(monkeypatch):
    for name in [one for one in os.environ if one.startswith("OVH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    world = World()
    timing = world.state.timing
    timing.reinstall, timing.vrack_task, timing.ip_task, timing.task_visible_after = 0.3, 0.1, 0.1, 0.0
    with serving(Simulator(world)) as running:
        connection = running.connection()
        monkeypatch.setitem(ovh.client.ENDPOINTS, ENDPOINT, connection["endpoint"])
        monkeypatch.setitem(ovh.client.OAUTH2_TOKEN_URLS, ENDPOINT, connection["tokenURL"])
        yield running


def key_client(simulator, **changed):
    key = simulator.world.state.application_keys[0]
    given = {
        "application_key": key.application_key,
        "application_secret": key.application_secret,
        "consumer_key": key.consumer_key,
        **changed,
    }
    return ovh.Client(endpoint=ENDPOINT, timeout=(1, 5), **given)


def oauth_client(simulator, number=0, **changed):
    account = simulator.world.state.service_accounts[number]
    given = {"client_id": account.client_id, "client_secret": account.client_secret, **changed}
    return ovh.Client(endpoint=ENDPOINT, timeout=(1, 5), **given)


@pytest.fixture
def client(simulator):
    return key_client(simulator)


def until(condition, seconds=5.0):
    """Wait for the simulator's own clock; fails if it never comes."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def private_vni(simulator, server=SERVER):
    return simulator.world.state.servers[server].vnis[1]["uuid"]


def failure(call):
    """What the client raises, as (status, class or errorCode, message)."""
    with pytest.raises(ovh.exceptions.APIError) as caught:
        call()
    body = caught.value.response.json()
    return caught.value.response.status_code, body.get("class") or body.get("errorCode"), body["message"]


# -- the way in


def test_application_keys_sign_every_request(simulator, client):
    assert client.get("/dedicated/server") == [*SERVERS, SPARE, ECO]
    assert client.get("/auth/details")["method"] == "account"
    assert client.get("/auth/currentCredential")["status"] == "validated"
    assert client.get("/me")["nichandle"] == "xx1111-ovh"


def test_a_service_account_comes_with_a_token(simulator):
    client = oauth_client(simulator)
    assert client.get("/dedicated/server") == [*SERVERS, SPARE, ECO]
    details = client.get("/auth/details")
    assert details["method"] == "oauth2_client_credentials"
    assert details["identities"] == [f"urn:v1:eu:identity:credential:xx1111-ovh/oauth2-{client._client_id}"]
    assert simulator.journal.count("POST", "/auth/oauth2/token") == 1
    assert failure(lambda: client.get("/auth/currentCredential"))[0] == 404


def test_a_token_expires_and_the_client_fetches_another(simulator):
    simulator.world.state.timing.token = 1
    client = oauth_client(simulator)
    client.get("/me")
    time.sleep(1.6)  # the client rounds the end of the token to a whole second
    client.get("/me")
    assert simulator.journal.count("POST", "/auth/oauth2/token") == 2


def test_a_token_that_was_revoked_is_refused(simulator):
    client = oauth_client(simulator)
    client.get("/me")
    simulator.world.state.tokens.clear()
    assert failure(lambda: client.get("/me"))[0] == 401


def test_a_wrong_client_secret_gets_no_token(simulator):
    client = oauth_client(simulator, client_secret="wrong")
    with pytest.raises(ovh.exceptions.OAuth2FailureError, match="invalid_client"):
        client.get("/me")


WRONG_KEYS = [
    ("an unknown application", {"application_key": "nobody"}, (403, "INVALID_KEY", "This application key is invalid")),
    ("an unknown consumer", {"consumer_key": "nobody"}, (403, "NOT_CREDENTIAL", "This credential does not exist")),
    ("a wrong secret", {"application_secret": "wrong"}, (400, "INVALID_SIGNATURE", "Invalid signature")),
]


@pytest.mark.parametrize(("why", "changed", "expected"), WRONG_KEYS, ids=[row[0] for row in WRONG_KEYS])
def test_wrong_keys_are_refused_in_the_older_style(simulator, why, changed, expected):
    assert failure(lambda: key_client(simulator, **changed).get("/me")) == expected, why


def test_an_expired_credential_is_refused(simulator, client):
    simulator.world.state.application_keys[0].expires = time.time() - 1
    assert failure(lambda: client.get("/me")) == (403, "INVALID_CREDENTIAL", "This credential is not valid")


def test_rules_of_a_credential_bound_what_it_may_call(simulator, client):
    simulator.world.state.application_keys[0].rules = [AccessRule("GET", "/dedicated/*")]
    assert client.get(f"/dedicated/server/{SERVER}")["name"] == SERVER
    refused = (403, "NOT_GRANTED_CALL", "This call has not been granted")
    assert failure(lambda: client.get("/me")) == refused
    assert failure(lambda: client.put(f"/dedicated/server/{SERVER}", monitoring=False)) == refused


SKEWS = [
    ("a minute's difference is tolerated", 55, True),
    ("more is not", 65, False),
    ("a client ahead is refused as well", -65, False),
]


@pytest.mark.parametrize(("why", "seconds", "accepted"), SKEWS, ids=[row[0] for row in SKEWS])
def test_the_timestamp_of_a_signature_is_checked(simulator, client, why, seconds, accepted):
    client.get("/me")  # the client now knows the difference of the clocks, and never asks again
    simulator.faults.add(fault({"preset": "clock-skew", "seconds": seconds}))
    if accepted:
        client.get("/me")
        return
    assert failure(lambda: client.get("/me")) == (400, "QUERY_TIME_OUT", "Query out of time"), why
    client._time_delta = None
    client.get("/me")


def test_a_service_account_without_policy_may_do_nothing(simulator):
    add_account(simulator.world.state, STRANGER, grants=[])
    status, kind, message = failure(lambda: oauth_client(simulator, 1).get("/dedicated/server"))
    assert (status, kind, message) == (403, "Client::Forbidden", "User not granted for this request")


GRANTS = [
    ("what is allowed is done", [Grant(["dedicatedServer:apiovh:*"])], None),
    ("a deny beats every allow", [Grant(), Grant([], ["dedicatedServer:apiovh:reinstall"])], "reinstall"),
    ("reading is not reinstalling", [Grant(["dedicatedServer:apiovh:get"])], "reinstall"),
    ("a policy names its resources", [Grant(["*"], [], [f"*:dedicatedServer:{SPARE}"])], "get"),
]


@pytest.mark.parametrize(("why", "grants", "missing"), GRANTS, ids=[row[0] for row in GRANTS])
def test_iam_decides_what_a_service_account_may_do(simulator, why, grants, missing):
    simulator.world.state.service_accounts[0].grants = grants
    client = oauth_client(simulator)

    def work():
        client.get(f"/dedicated/server/{SERVER}")
        client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)

    if missing is None:
        work()
        return
    with pytest.raises(ovh.exceptions.APIError) as caught:
        work()
    details = caught.value.response.json()["details"]
    assert details["unauthorizedActionsByIAM"] == f"dedicatedServer:apiovh:{missing}", why


def test_a_list_shows_what_the_caller_may_see(simulator):
    simulator.world.state.service_accounts[0].grants = [Grant(["*"], [], [f"*:{SERVER}"])]
    client = oauth_client(simulator)
    assert client.get("/dedicated/server") == [SERVER]
    assert client.get("/vrack") == []
    assert [one["name"] for one in client.get("/v2/iam/resource")] == [SERVER]


def test_attaching_needs_the_right_on_both_sides(simulator):
    simulator.world.state.service_accounts[0].grants = [Grant(["vrack:apiovh:*"])]
    client = oauth_client(simulator)
    status, kind, _ = failure(
        lambda: client.post(f"/vrack/{VRACK}/dedicatedServerInterface", dedicatedServerInterface=private_vni(simulator))
    )
    assert (status, kind) == (403, "Client::Forbidden")


def test_preflight_tells_what_is_missing(simulator):
    urn = simulator.world.state.servers[SERVER].resource.urn
    reading, wiping = "dedicatedServer:apiovh:get", "dedicatedServer:apiovh:reinstall"
    simulator.world.state.service_accounts[0].grants = [Grant([reading])]
    (answer,) = oauth_client(simulator).post(
        "/v2/iam/authorization/check", resourceURNs=[urn], actions=[reading, wiping]
    )
    assert answer == {"resourceURN": urn, "authorizedActions": [reading], "unauthorizedActions": [wiping]}


def test_preflight_knows_the_account_itself_but_no_other(simulator):
    ours, theirs = (f"urn:v1:eu:resource:account:{name}" for name in ("xx1111-ovh", STRANGER))
    tagging = "account:apiovh:iam/resource/tag/add"
    answers = oauth_client(simulator).post(
        "/v2/iam/authorization/check", resourceURNs=[ours, theirs], actions=[tagging]
    )
    assert [answer["authorizedActions"] for answer in answers] == [[tagging], []]


def test_accounts_do_not_see_each_other(simulator):
    add_account(simulator.world.state, STRANGER)
    other = simulator.world.state.application_keys[1]
    client = key_client(
        simulator,
        application_key=other.application_key,
        application_secret=other.application_secret,
        consumer_key=other.consumer_key,
    )
    assert client.get("/dedicated/server") == []
    missing = (404, "Client::NotFound", "This service does not exist")
    assert failure(lambda: client.get(f"/dedicated/server/{SERVER}")) == missing
    assert failure(lambda: client.get(f"/vrack/{VRACK}")) == missing
    assert failure(lambda: client.get(IP_BLOCK)) == missing


# -- servers


def test_a_server_has_its_facts(simulator, client):
    server = client.get(f"/dedicated/server/{SERVER}")
    assert (server["region"], server["datacenter"], server["commercialRange"]) == ("eu-west-rbx", "rbx8", "SCALE-i1")
    assert server["iam"]["urn"] == f"urn:v1:eu:resource:dedicatedServer:{SERVER}"
    modes = {}
    for uuid in client.get(f"/dedicated/server/{SERVER}/virtualNetworkInterface"):
        vni = client.get(f"/dedicated/server/{SERVER}/virtualNetworkInterface/{uuid}")
        modes[vni["mode"]] = vni["networkInterfaceController"]
    macs = client.get(f"/dedicated/server/{SERVER}/networkInterfaceController")
    assert modes == {"public_aggregation": macs[:2], "vrack_aggregation": macs[2:]}
    assert len(set(macs)) == 4
    nic = client.get(f"/dedicated/server/{SERVER}/networkInterfaceController/{macs[3]}")
    assert (nic["linkType"], nic["virtualNetworkInterface"]) == ("private_lag", private_vni(simulator))
    assert len(client.get(f"/dedicated/server/{SERVER}/specifications/hardware")["diskGroups"]) == 1
    assert client.get(f"/dedicated/server/{ECO}/virtualNetworkInterface") == []


FILTERS = [
    ("by tag and value", {"cloud": [{"operator": "EQ", "value": "one"}]}, [SERVER]),
    ("the operator is EQ unless said", {"cloud": [{"value": "one"}]}, [SERVER]),
    ("that it exists", {"cloud": [{"operator": "EXISTS"}]}, [SERVER, SERVERS[1]]),
    ("that it does not", {"cloud": [{"operator": "NEXISTS"}]}, [SPARE, ECO]),
    ("LIKE minds the case", {"cloud": [{"operator": "LIKE", "value": "T%"}]}, []),
    ("ILIKE does not", {"cloud": [{"operator": "ILIKE", "value": "T%"}]}, [SERVERS[1]]),
    ("every filter must hold", {"cloud": [{"operator": "EXISTS"}, {"operator": "NEQ", "value": "one"}]}, [SERVERS[1]]),
]


@pytest.mark.parametrize(("why", "tags", "names"), FILTERS, ids=[row[0] for row in FILTERS])
def test_servers_are_found_by_tag(simulator, client, why, tags, names):
    for server, value in ((SERVER, "one"), (SERVERS[1], "two")):
        urn = client.get(f"/dedicated/server/{server}")["iam"]["urn"]
        client.post(f"/v2/iam/resource/{urn}/tag", key="cloud", value=value)
    assert client.get("/dedicated/server", iamTags=json.dumps(tags)) == names, why
    urns = [f"urn:v1:eu:resource:dedicatedServer:{name}" for name in names]
    asked = client.get("/v2/iam/resource", tags=json.dumps(tags), resourceType="dedicatedServer")
    assert sorted(one["urn"] for one in asked) == sorted(urns), why


def test_a_filter_in_the_repr_of_a_dict_is_refused(client):
    # What the client makes of a dict in the query; it must be given as JSON text.
    status, _, message = failure(lambda: client.get("/dedicated/server", iamTags={"cloud": [{"value": "one"}]}))
    assert status == 400
    assert "TagFilter" in message


def test_monitoring_is_switched_off_before_a_reinstallation_or_somebody_comes(simulator, client):
    client.put(f"/dedicated/server/{SERVER}", monitoring=False, noIntervention=True, rack="R1")
    server = client.get(f"/dedicated/server/{SERVER}")
    assert (server["monitoring"], server["noIntervention"], server["rack"]) == (False, True, "R08A12")
    for name in SERVERS:
        client.post(f"/dedicated/server/{name}/reinstall", operatingSystem=UBUNTU)
    visits = [simulator.world.state.servers[name].technician_visits for name in SERVERS]
    assert visits == [0, 1]


def test_the_life_of_a_reinstallation(simulator, client):
    events = []
    simulator.world.on_installed.append(events.append)
    order = {
        "operatingSystem": UBUNTU,
        "customizations": {"hostname": "host01", "sshKey": "ssh-ed25519 AAAA operator", "enableLacpBonding": True},
        "storage": [
            {
                "diskGroupId": 1,
                "partitioning": {
                    "disks": 2,
                    "layout": [
                        {"fileSystem": "ext4", "mountPoint": "/boot", "raidLevel": 1, "size": 1024},
                        {"fileSystem": "ext4", "mountPoint": "/", "raidLevel": 1, "size": 102400},
                        {"fileSystem": "xfs", "mountPoint": "/var/lib/one", "raidLevel": 1, "size": 0},
                    ],
                },
            }
        ],
    }
    task = client.post(f"/dedicated/server/{SERVER}/reinstall", **order)
    assert (task["function"], task["status"], task["doneDate"]) == ("reinstallServer", "init", None)
    path = f"/dedicated/server/{SERVER}/task/{task['taskId']}"
    assert client.get(f"/dedicated/server/{SERVER}/task", function="reinstallServer") == [task["taskId"]]
    until(lambda: client.get(path)["status"] == "doing")
    steps = client.get(f"/dedicated/server/{SERVER}/install/status")["progress"]
    assert len(steps) == 21
    assert [step["status"] for step in steps].count("doing") == 1
    assert client.get(f"/dedicated/server/{SERVER}")["os"] == "none_64.en"
    again = failure(lambda: client.post(f"/dedicated/server/{SERVER}/reinstall", **order))
    assert again == (
        400,
        "Client::BadRequest::TaskAlreadyExists",
        f"Task {task['taskId']} of type reinstallServer with status doing is already running on server {SERVER}",
    )
    until(lambda: client.get(path)["status"] == "done")
    assert client.get(f"/dedicated/server/{SERVER}")["os"] == UBUNTU
    assert client.get(path)["doneDate"] is not None
    assert failure(lambda: client.get(f"/dedicated/server/{SERVER}/install/status"))[0] == 404
    (event,) = events
    assert (event.server, event.address, event.install.status) == (SERVER, "57.131.167.160", "done")
    assert event.install.customizations["hostname"] == "host01"


def test_an_installation_ends_without_anybody_asking(simulator, client):
    told = []
    simulator.world.on_installed.append(told.append)
    client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)
    until(lambda: told)


def test_a_failed_reinstallation_leaves_the_system(simulator, client):
    simulator.world.state.timing.reinstall = 60
    task = client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)
    tamper.finish_task(simulator.world, task["taskId"], "customerError")
    after = client.get(f"/dedicated/server/{SERVER}/task/{task['taskId']}")
    assert (after["status"], after["doneDate"]) == ("customerError", None)
    assert client.get(f"/dedicated/server/{SERVER}")["os"] == "none_64.en"
    client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)


def test_tasks_lag_and_are_purged(simulator, client):
    timing = simulator.world.state.timing
    timing.task_visible_after, timing.task_purged_after = 0.15, 0.2
    task = client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)
    path = f"/dedicated/server/{SERVER}/task/{task['taskId']}"
    assert failure(lambda: client.get(path))[0] == 404
    assert client.get(f"/dedicated/server/{SERVER}/task") == []

    def status():
        try:
            return client.get(path)["status"]
        except ovh.exceptions.ResourceNotFoundError:
            return "404"

    until(lambda: status() == "done")
    until(lambda: status() == "404")


def layout(*partitions):
    return [{"partitioning": {"layout": [dict(one) for one in partitions]}}]


ROOT = {"fileSystem": "ext4", "mountPoint": "/", "size": 0}
BAD_ORDERS = [
    ("no system", {}, 400, "Client::BadRequest", "Missing parameter: [operatingSystem]"),
    ("no such system", {"operatingSystem": "plan9_64"}, 404, "Client::NotFound::OperatingSystem", "plan9_64"),
    (
        "an image's field for a distribution",
        {"operatingSystem": UBUNTU, "customizations": {"imageURL": "https://example.org"}},
        400,
        "Client::BadRequest::CustomizationName",
        "imageURL",
    ),
    (
        "answers have JSON types",
        {"operatingSystem": UBUNTU, "customizations": {"enableLacpBonding": "true"}},
        400,
        "Client::BadRequest::CustomizationInvalidFormat",
        "enableLacpBonding of type boolean",
    ),
    (
        "a key that is none",
        {"operatingSystem": UBUNTU, "customizations": {"sshKey": "hello"}},
        400,
        "Client::BadRequest::CustomizationInvalidFormat",
        "sshKey",
    ),
    (
        "a host name of RFC 1035",
        {"operatingSystem": UBUNTU, "customizations": {"hostname": "host_01"}},
        400,
        "Client::BadRequest::HostnameInvalidFormat",
        "host_01",
    ),
    (
        "one disk group per call",
        {"operatingSystem": UBUNTU, "storage": [{"diskGroupId": 1}, {"diskGroupId": 2}]},
        501,
        "Server::NotImplemented::DiskGroupMultipleConfigs",
        "(2)",
    ),
    (
        "a disk group that is there",
        {"operatingSystem": UBUNTU, "storage": [{"diskGroupId": 2}]},
        404,
        "Client::NotFound::DiskGroup",
        "disk group 2",
    ),
    (
        "a file system the installer knows",
        {"operatingSystem": UBUNTU, "storage": layout({**ROOT, "fileSystem": "zfs"})},
        400,
        "Client::BadRequest::PartitionIncompatibleFs",
        "zfs",
    ),
    (
        "a root",
        {"operatingSystem": UBUNTU, "storage": layout({**ROOT, "mountPoint": "/boot"})},
        400,
        "Client::BadRequest::PartitionMissingRootMountpoint",
        "/",
    ),
    (
        "one partition per mount point",
        {"operatingSystem": UBUNTU, "storage": layout(ROOT, ROOT)},
        400,
        "Client::BadRequest::PartitionDuplicatedAttribute",
        "must be unique",
    ),
    (
        "a size that holds something",
        {"operatingSystem": UBUNTU, "storage": layout({**ROOT, "size": 100})},
        400,
        "Client::BadRequest::PartitionMinSize",
        "100 MiB",
    ),
    (
        "a RAID of as many disks as there are",
        {"operatingSystem": UBUNTU, "storage": layout({**ROOT, "raidLevel": 5})},
        400,
        "Client::BadRequest::PartitionRaidLevel",
        "must be one of 0, 1",
    ),
    (
        "an own image is partitioned by its maker",
        {"operatingSystem": "byolinux_64", "storage": layout(ROOT)},
        400,
        "Client::BadRequest::PartitionIncompatibleCustomPartitioning",
        "byolinux_64",
    ),
]


@pytest.mark.parametrize(("why", "body", "status", "kind", "text"), BAD_ORDERS, ids=[row[0] for row in BAD_ORDERS])
def test_a_bad_reinstallation_is_refused_and_nothing_is_wiped(simulator, client, *, why, body, status, kind, text):
    got = failure(lambda: client.post(f"/dedicated/server/{SERVER}/reinstall", **body))
    assert got[:2] == (status, kind), why
    assert text in got[2]
    assert simulator.world.state.servers[SERVER].installs == []


def test_a_fully_aggregated_server_cannot_be_reinstalled(simulator, client):
    public = simulator.world.state.servers[SERVER].vnis[0]["uuid"]
    tamper.patch_vni(simulator.world, public, {"mode": "vrack_aggregation"})
    got = failure(lambda: client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU))
    assert got[:2] == (409, "Client::Conflict::NetworkingNoPublicInterface")


def test_an_incompatible_system_is_refused(simulator, client):
    assert "byolinux_64" not in client.get(f"/dedicated/server/{ECO}/install/compatibleTemplates")["ovh"]
    got = failure(lambda: client.post(f"/dedicated/server/{ECO}/reinstall", operatingSystem="byolinux_64"))
    assert got[:2] == (409, "Client::Conflict::OperatingSystemIncompatible")


def test_a_display_name_shows_up_late(simulator, client):
    simulator.world.state.timing.display_name_after = 0.2
    (number,) = client.get("/services", resourceName=SERVER)
    client.put(f"/services/{number}", displayName="one-fra-host01")

    def shown():
        return client.get(f"/dedicated/server/{SERVER}")["iam"]["displayName"]

    assert shown() == SERVER
    until(lambda: shown() == "one-fra-host01")
    assert client.get(f"/services/{number}")["resource"]["displayName"] == "one-fra-host01"


# -- vRack


def attach(client, uuid, vrack=VRACK):
    return client.post(f"/vrack/{vrack}/dedicatedServerInterface", dedicatedServerInterface=uuid)


def test_an_interface_joins_a_vrack_and_its_task_vanishes(simulator, client):
    uuid = private_vni(simulator)
    task = attach(client, uuid)
    assert (task["status"], task["targetDomain"]) == ("init", uuid)
    path = f"/vrack/{VRACK}/task/{task['id']}"
    assert client.get(path)["serviceName"] == VRACK
    assert client.get(f"/vrack/{VRACK}/dedicatedServerInterface") == []
    until(lambda: client.get(f"/vrack/{VRACK}/task") == [])
    assert failure(lambda: client.get(path))[0] == 404
    assert client.get(f"/vrack/{VRACK}/dedicatedServerInterface") == [uuid]
    assert client.get(f"/vrack/{VRACK}/dedicatedServerInterface/{uuid}")["vrack"] == VRACK
    assert client.get(f"/dedicated/server/{SERVER}/virtualNetworkInterface/{uuid}")["vrack"] == VRACK
    assert client.get(f"/dedicated/server/{SERVER}/virtualNetworkInterface", vrack=VRACK) == [uuid]
    (detail,) = client.get(f"/vrack/{VRACK}/dedicatedServerInterfaceDetails")
    assert detail["dedicatedServer"] == SERVER


def test_an_interface_is_in_one_vrack_at_most(simulator, client):
    spare = private_vni(simulator, SPARE)
    busy = (409, "Client::Conflict", "Dedicated server interface is already on a private network")
    assert failure(lambda: attach(client, spare)) == busy
    assert failure(lambda: attach(client, spare, OTHER_VRACK))[2] == f"Server is already on vRack {OTHER_VRACK}"
    client.delete(f"/vrack/{OTHER_VRACK}/dedicatedServerInterface/{spare}")
    assert failure(lambda: attach(client, spare)) == busy, "moving waits until it has left"
    until(lambda: client.get(f"/vrack/{OTHER_VRACK}/dedicatedServerInterface") == [])
    attach(client, spare)
    assert failure(lambda: attach(client, spare)) == busy, "also while it is on its way"
    until(lambda: client.get(f"/vrack/{VRACK}/dedicatedServerInterface") == [spare])


NOT_ATTACHED = [
    ("the public interface", lambda server: server.vnis[0]["uuid"], 400),
    ("one that does not exist", lambda _: "00000000-0000-0000-0000-000000000000", 404),
    ("nothing named", lambda _: None, 400),
]


@pytest.mark.parametrize(("why", "choose", "status"), NOT_ATTACHED, ids=[row[0] for row in NOT_ATTACHED])
def test_what_cannot_join_a_vrack(simulator, client, why, choose, status):
    uuid = choose(simulator.world.state.servers[SERVER])
    assert failure(lambda: attach(client, uuid))[0] == status, why


def test_eligible_services_must_be_polled(simulator, client):
    first = client.get(f"/vrack/{VRACK}/eligibleServices")
    assert (first["status"], first["result"]["dedicatedServerInterface"]) == ("pending", None)
    time.sleep(simulator.world.state.timing.eligible_services)
    done = client.get(f"/vrack/{VRACK}/eligibleServices")
    assert {one["dedicatedServer"] for one in done["result"]["dedicatedServerInterface"]} == set(SERVERS)
    assert done["result"]["ip"] == [BLOCK]


# -- blocks


def test_a_block_is_routed_to_the_vrack(simulator, client):
    assert client.get(IP_BLOCK)["routedTo"] is None
    task = client.post(f"/vrack/{VRACK}/ip", block=BLOCK, region="eu-west-gra")
    assert client.get(f"/vrack/{VRACK}/task/{task['id']}")["targetDomain"] == BLOCK
    assert failure(lambda: client.post(f"/vrack/{OTHER_VRACK}/ip", block=BLOCK))[0] == 409
    until(lambda: client.get(f"/vrack/{VRACK}/ip") == [BLOCK])
    member = client.get(f"/vrack/{VRACK}/ip/{quote(BLOCK, safe='')}")
    assert member == {"ip": BLOCK, "gateway": "57.131.167.190/32", "region": "eu-west-gra", "zone": None}
    assert client.get(IP_BLOCK)["routedTo"] == {"serviceName": VRACK}
    assert client.get("/ip", **{"routedTo.serviceName": VRACK}) == [BLOCK]
    client.delete(f"/vrack/{VRACK}/ip/{quote(BLOCK, safe='')}")
    until(lambda: client.get(IP_BLOCK)["routedTo"] is None)


def test_a_block_that_is_not_encoded_is_another_path(client):
    # The client does not encode; what it then asks for does not exist.
    assert failure(lambda: client.get(f"/ip/{BLOCK}")) == (404, "Client::NotFound", "Got an invalid (or empty) URL")


BLOCKS = [
    ("Roubaix to Gravelines", "eu-west-rbx", "eu-west-gra", True),
    ("Gravelines to Strasbourg", "eu-west-gra", "eu-west-sbg", True),
    ("Roubaix to Paris: closed", "eu-west-rbx", "eu-west-par", False),
    ("Limburg to Roubaix: closed", "eu-west-lim", "eu-west-rbx", False),
    ("Canada to Roubaix: closed", "ca-east-bhs", "eu-west-rbx", False),
    ("at home", "eu-central-waw", "eu-central-waw", True),
    ("nowhere", "eu-west-rbx", "atlantis", False),
]


@pytest.mark.parametrize(("why", "home", "region", "allowed"), BLOCKS, ids=[row[0] for row in BLOCKS])
def test_blocks_are_bound_to_their_region(simulator, client, *, why, home, region, allowed):
    block = "192.0.2.0/28"
    add_block(simulator.world.state, block, region=home)
    if allowed:
        client.post(f"/vrack/{VRACK}/ip", block=block, region=region)
    else:
        assert failure(lambda: client.post(f"/vrack/{VRACK}/ip", block=block, region=region))[0] == 400, why


REFUSED_BLOCKS = [
    ("not a block", "57.131.167", 400, "is not valid for type ipBlock"),
    ("somebody else's", "203.0.113.0/28", 404, "This service does not exist"),
    ("a server's own address", "57.131.167.160/32", 400, "is not an Additional IP"),
    ("too small", "198.51.100.0/31", 400, "too small"),
]


@pytest.mark.parametrize(("why", "block", "status", "text"), REFUSED_BLOCKS, ids=[row[0] for row in REFUSED_BLOCKS])
def test_blocks_that_cannot_join(simulator, client, *, why, block, status, text):
    add_block(simulator.world.state, "198.51.100.0/31")
    got = failure(lambda: client.post(f"/vrack/{VRACK}/ip", block=block))
    assert got[0] == status, why
    assert text in got[2]


def test_a_block_is_moved_and_parked_whole(simulator, client):
    task = client.post(f"{IP_BLOCK}/move", to=SERVER)
    assert (task["function"], task["destination"]) == ("genericMoveFloatingIp", {"serviceName": SERVER})
    until(lambda: client.get(f"{IP_BLOCK}/task/{task['taskId']}")["status"] == "done")
    assert client.get(IP_BLOCK)["routedTo"] == {"serviceName": SERVER}
    assert failure(lambda: client.post(f"{IP_BLOCK}/move", to=SERVER))[0] == 409
    assert failure(lambda: client.post(f"{IP_BLOCK}/move", to="ns9.example"))[0] == 400
    assert SERVER in [one["service"] for one in client.get(f"{IP_BLOCK}/move")["dedicatedServer"]]
    client.post(f"{IP_BLOCK}/park")
    until(lambda: client.get(IP_BLOCK)["routedTo"] is None)


LISTS = [
    ("everything, servers' addresses included", {}, 5),
    ("additional ones", {"isAdditionalIp": True}, 1),
    ("by type", {"type": "dedicated"}, 4),
    ("by campus, whatever the case", {"campus": "gra"}, 1),
    ("by version", {"version": 6}, 0),
    ("the block that holds an address", {"ip": "57.131.167.180/32"}, 1),
    ("by route", {"routedTo.serviceName": "ns30123%"}, 3),
]


@pytest.mark.parametrize(("why", "query", "number"), LISTS, ids=[row[0] for row in LISTS])
def test_blocks_are_listed_by_what_they_are(client, why, query, number):
    assert len(client.get("/ip", **query)) == number, why


def test_reverse_names(simulator, client):
    refused = failure(lambda: client.post(f"{IP_BLOCK}/reverse", ipReverse="57.131.167.178", reverse="web.example.org"))
    assert (refused[0], refused[-1]) == (400, "web.example.org. does not resolve to 57.131.167.178"), "first the name"
    simulator.world.state.names["web.example.org"] = ["57.131.167.178"]
    client.post(f"{IP_BLOCK}/reverse", ipReverse="57.131.167.178", reverse="web.example.org")
    assert client.get(f"{IP_BLOCK}/reverse") == ["57.131.167.178"]
    assert client.get(f"{IP_BLOCK}/reverse/57.131.167.178")["reverse"] == "web.example.org."
    client.delete(f"{IP_BLOCK}/reverse/57.131.167.178")
    assert client.get(f"{IP_BLOCK}/reverse") == []
    assert failure(lambda: client.post(f"{IP_BLOCK}/reverse", ipReverse="192.0.2.1", reverse="x.example"))[0] == 400


# -- IAM, locations


def test_resources_come_in_pages(simulator, client):
    def page(cursor=None):
        headers = {"X-Pagination-Size": "3", **({"X-Pagination-Cursor": cursor} if cursor else {})}
        response = client.raw_call("GET", "/v2/iam/resource", headers=headers)
        return [one["urn"] for one in response.json()], response.headers.get("X-Pagination-Cursor-Next")

    urns, cursor = page()
    while cursor:
        assert len(urns) % 3 == 0
        more, cursor = page(cursor)
        urns += more
    assert sorted(urns) == sorted(resource.urn for _, resource in simulator.world.resources())


TAGS = [
    ("a mark", "sovereigncloud.io/uid", "u-1", None),
    ("computed tags are OVHcloud's", "ovh:region", "rbx", 400),
    ("a key of other letters", "owner name", "me", 400),
    ("a value too long", "note", "x" * 257, 400),
]


@pytest.mark.parametrize(("why", "key", "value", "status"), TAGS, ids=[row[0] for row in TAGS])
def test_tags(simulator, client, *, why, key, value, status):
    urn = f"urn:v1:eu:resource:ip:{BLOCK}"
    path = f"/v2/iam/resource/{quote(urn, safe='')}/tag"
    if status is not None:
        assert failure(lambda: client.post(path, key=key, value=value))[0] == status, why
        return
    client.post(path, key=key, value=value)
    assert client.get(IP_BLOCK)["iam"]["tags"] == {key: value}
    client.delete(f"{path}/{quote(key, safe='')}")
    assert client.get(IP_BLOCK)["iam"]["tags"] == {}
    assert failure(lambda: client.delete(f"{path}/{quote(key, safe='')}"))[0] == 404


def test_a_region_is_in_a_country(client):
    assert client.get("/v2/location/eu-west-rbx")["countryCode"] == "FR"
    assert client.get("/v2/location/eu-west-eri")["countryCode"] == "GB"
    assert failure(lambda: client.get("/v2/location/atlantis"))[0] == 404
    french = client.get("/v2/location", countryCode="FR")
    assert {one["name"] for one in french} == {"eu-west-rbx", "eu-west-gra", "eu-west-sbg", "eu-west-par"}
    (campus,) = [one for one in client.get("/ip/campus", _need_auth=False) if "rbx8" in one["datacenters"]]
    assert campus["name"] == "RBX"


def test_the_three_prefixes_of_the_api(simulator):
    for path in ("/1.0/auth/time", "/v1/auth/time"):
        assert abs(requests.get(simulator.url + path, timeout=5).json() - time.time()) < 5
    answer = requests.get(f"{simulator.url}/v2/auth/time", timeout=5)
    assert answer.status_code == 404
    assert answer.headers["X-OVH-QueryID"].startswith("EU.")


# -- faults


def outcome(call):
    """What a client notices: a status, or the name of the exception."""
    try:
        call()
    except ovh.exceptions.APIError as error:
        return error.response.status_code if error.response is not None else type(error).__name__
    return 200


NOTICED = [
    ("rate-limited", 429, 0),
    ("rate-limited-without-retry-after", 429, 0),
    ("server-error", 500, 0),
    ("bad-gateway", "InvalidResponse", 0),
    ("request-timeout", "InvalidResponse", 0),
    ("empty-reply", "InvalidResponse", 0),
    ("service-expired", 460, 0),
    ("lost-before-write", "HTTPError", 0),
    ("lost-after-write", "HTTPError", 1),
    ("error-after-write", 500, 1),
    ("slow", 200, 1),
]


@pytest.mark.parametrize(("preset", "noticed", "written"), NOTICED, ids=[row[0] for row in NOTICED])
def test_what_a_fault_looks_like_and_whether_the_write_was_done(simulator, client, preset, noticed, written):
    client.get("/auth/time", _need_auth=False)
    assert client.time_delta is not None
    changes = {"seconds": 0.05} if preset == "slow" else {}
    simulator.faults.add(fault({"preset": preset, "path": "/reinstall$", "count": 1, **changes}))

    def write():
        client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)

    assert outcome(write) == noticed
    assert len(simulator.world.state.servers[SERVER].installs) == written
    assert outcome(lambda: client.get("/me")) == 200


def test_retry_after_is_there_or_not(simulator, client):
    for preset, header in (("rate-limited", "1"), ("rate-limited-without-retry-after", None)):
        simulator.faults.add(fault({"preset": preset, "count": 1}))
        assert client.raw_call("GET", "/me", need_auth=False).headers.get("Retry-After") == header


def test_a_burst_of_errors_ends(simulator, client):
    client.get("/me")
    simulator.faults.add(fault({"preset": "server-error", "path": "^/me$", "count": 3}))
    assert [outcome(lambda: client.get("/me")) for _ in range(5)] == [500, 500, 500, 200, 200]


def test_a_write_takes_effect_after_the_client_gave_up(simulator, client):
    client.get("/me")
    simulator.faults.add(fault({"preset": "late-write", "seconds": 0.3, "count": 1}))
    assert outcome(lambda: client.put(f"/dedicated/server/{SERVER}", monitoring=False)) == "HTTPError"
    assert client.get(f"/dedicated/server/{SERVER}")["monitoring"] is True
    until(lambda: client.get(f"/dedicated/server/{SERVER}")["monitoring"] is False)


def test_a_client_that_waits_too_briefly_gives_up_itself(simulator):
    client = key_client(simulator)
    client._timeout = (1, 0.2)
    client.get("/me")
    simulator.faults.add(fault({"preset": "late-write", "seconds": 0.4, "hold": 1, "count": 1}))
    with pytest.raises(ovh.exceptions.HTTPError):
        client.put(f"/dedicated/server/{SERVER}", monitoring=False)
    until(lambda: client.get(f"/dedicated/server/{SERVER}")["monitoring"] is False)


def test_a_vrack_task_may_vanish_before_it_is_done(simulator, client):
    simulator.world.state.timing.vrack_task = 60
    simulator.faults.add(fault({"preset": "vrack-task-vanishes"}))
    uuid = private_vni(simulator)
    task = attach(client, uuid)
    assert failure(lambda: client.get(f"/vrack/{VRACK}/task/{task['id']}"))[0] == 404
    assert client.get(f"/dedicated/server/{SERVER}/virtualNetworkInterface/{uuid}")["vrack"] is None


def test_a_task_may_lag_longer(simulator, client):
    simulator.faults.add(fault({"preset": "task-lag", "count": 2}))
    task = client.post(f"/dedicated/server/{SERVER}/reinstall", operatingSystem=UBUNTU)
    path = f"/dedicated/server/{SERVER}/task/{task['taskId']}"
    assert [outcome(lambda: client.get(path)) for _ in range(3)] == [404, 404, 200]


def test_the_token_endpoint_fails_too(simulator):
    simulator.faults.add(fault({"preset": "bad-gateway", "path": "/oauth2/token$", "count": 1}))
    client = oauth_client(simulator)
    with pytest.raises(ovh.exceptions.OAuth2FailureError):
        client.get("/me")
    assert client.get("/me")["nichandle"] == "xx1111-ovh"


def test_every_preset_is_a_fault():
    for name in PRESETS:
        assert fault({"preset": name}).name == name
    with pytest.raises(ValueError, match="no preset plague"):
        fault({"preset": "plague"})


# -- the admin door


class Door:
    def __init__(self, simulator):
        self._url = simulator.connection()["admin"]

    def __call__(self, method, path, body=None, status=200):
        answer = requests.request(method, self._url + path, json=body, timeout=5)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def door(simulator):
    return Door(simulator)


def test_reality_changes_behind_the_back(simulator, client, door):
    uuid = private_vni(simulator, SPARE)
    urn = simulator.world.state.servers[SERVER].resource.urn
    door("PATCH", f"/servers/{SERVER}", {"state": "hacked", "ip": "127.10.0.1"})
    door("PATCH", f"/vnis/{uuid}", {"vrack": None})
    door("PATCH", f"/vracks/{VRACK}", {"description": "do not touch"})
    door("PATCH", f"/ips/{quote(BLOCK, safe='')}", {"routedTo": SPARE})
    door("PATCH", f"/resources/{urn}", {"displayName": "renamed", "tags": {"owner": "somebody", "gone": None}})
    server = client.get(f"/dedicated/server/{SERVER}")
    assert (server["state"], server["ip"]) == ("hacked", "127.10.0.1")
    assert (server["iam"]["displayName"], server["iam"]["tags"]) == ("renamed", {"owner": "somebody"})
    assert client.get("/ip", ip="127.10.0.1/32") == ["127.10.0.1/32"]
    assert client.get(f"/vrack/{OTHER_VRACK}/dedicatedServerInterface") == []
    assert client.get(f"/vrack/{VRACK}")["description"] == "do not touch"
    assert client.get(IP_BLOCK)["routedTo"] == {"serviceName": SPARE}


def test_the_door_ends_tasks_and_sets_speeds(simulator, client, door):
    door("PATCH", "/timing", {"reinstall": 60})
    assert door("GET", "/timing")["reinstall"] == 60
    tasks = [client.post(f"/dedicated/server/{name}/reinstall", operatingSystem=UBUNTU)["taskId"] for name in SERVERS]
    door("POST", f"/tasks/{tasks[0]}", {"status": "done"})
    door("POST", f"/tasks/{tasks[1]}", {"status": "ovhError"})
    door("POST", f"/tasks/{tasks[1]}", {"status": "done"}, status=404)
    (event,) = door("GET", "/installed")
    assert (event["server"], event["install"]["operating_system"]) == (SERVER, UBUNTU)
    assert door("GET", "/installed?since=1") == []
    states = [one["installs"][0]["status"] for one in door("GET", "/state")["servers"].values() if one["installs"]]
    assert states == ["done", "ovhError"]


def test_the_door_seeds_a_world(simulator, door):
    door("PUT", "/state", {})
    assert simulator.world.state.servers == {}
    door("POST", "/accounts", {"nichandle": STRANGER, "grants": [{"allow": ["vrack:*"]}]})
    door("POST", "/vracks", {"name": "pn-1", "account": STRANGER})
    door("POST", "/servers", {"name": "ns1.ip-192-0-2.eu", "ip": "192.0.2.1", "account": STRANGER, "disk_groups": 2})
    door("POST", "/ips", {"name": "192.0.2.16/28", "account": STRANGER, "region": "eu-west-sbg"})
    client = oauth_client(simulator)
    assert client.get("/vrack") == ["pn-1"]
    assert failure(lambda: client.get("/dedicated/server"))[0] == 403
    world = door("GET", "/state")
    assert len(world["servers"]["ns1.ip-192-0-2.eu"]["hardware"]["diskGroups"]) == 2
    door("POST", "/reset")
    assert list(door("GET", "/state")["servers"]) == [*SERVERS, SPARE, ECO]


WRONG_AT_THE_DOOR = [
    ("no such server", "PATCH", "/servers/ns9", {"state": "ok"}, 404),
    ("no such field", "PATCH", f"/servers/{SERVER}", {"mood": "good"}, 404),
    ("no such duration", "PATCH", "/timing", {"lunch": 3}, 404),
    ("no such fault", "POST", "/faults", {"preset": "plague"}, 400),
    ("not a world", "PUT", "/state", {"servers": 3}, 400),
    ("no such argument", "POST", "/servers", {"name": "ns1", "ip": "192.0.2.1", "mood": 1}, 400),
    ("no such rule", "DELETE", "/faults/none", None, 404),
]


@pytest.mark.parametrize(
    ("why", "method", "path", "body", "status"), WRONG_AT_THE_DOOR, ids=[row[0] for row in WRONG_AT_THE_DOOR]
)
def test_the_door_says_what_it_does_not_understand(door, *, why, method, path, body, status):
    assert door(method, path, body, status=status)["message"], why


def test_faults_and_log_through_the_door(simulator, client, door):
    client.get("/me")
    door("DELETE", "/log")
    made = door("POST", "/faults", {"preset": "bad-gateway", "path": "^/vrack", "count": 1})
    assert outcome(lambda: client.get(f"/vrack/{VRACK}")) == "InvalidResponse"
    client.put(f"/vrack/{VRACK}", description="x")
    (rule,) = door("GET", "/faults")
    assert (rule["name"], rule["matched"], rule["struck"]) == (made["name"], 2, 1)
    log = door("GET", "/log")
    assert log["counts"] == {"GET /vrack/{serviceName}": 1, "PUT /vrack/{serviceName}": 1}
    assert (log["total"], log["writes"]) == (2, 1)
    first, second = log["entries"]
    assert (first["status"], first["faults"], first["path"]) == (502, ["bad-gateway"], f"/vrack/{VRACK}")
    assert (second["status"], second["account"]) == (200, "xx1111-ovh")
    assert door("GET", f"/log?since={first['number']}")["entries"] == [second]
    door("DELETE", "/faults")
    assert door("GET", "/faults") == []


# -- alone


def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "sovereigncloud_sandbox.ovh", "--die-with-parent", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, json.loads(process.stdout.readline())


def stop(process):
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


def test_it_runs_alone_and_keeps_its_world(tmp_path, monkeypatch):
    state = tmp_path / "world.json"
    process, connection = start("--state-file", str(state), "--server-ip", f"{SERVER}=127.10.0.1")
    try:
        monkeypatch.setitem(ovh.client.ENDPOINTS, ENDPOINT, connection["endpoint"])
        (keys,) = connection["accounts"][0]["applicationKeys"]
        client = ovh.Client(
            endpoint=ENDPOINT,
            application_key=keys["applicationKey"],
            application_secret=keys["applicationSecret"],
            consumer_key=keys["consumerKey"],
        )
        assert client.get(f"/dedicated/server/{SERVER}")["ip"] == "127.10.0.1"
        client.put(f"/vrack/{VRACK}", description="kept")
    finally:
        stop(process)
    assert parse_state(json.loads(state.read_text())).vracks[VRACK].document["description"] == "kept"
    process, connection = start("--state-file", str(state))
    try:
        with urllib.request.urlopen(f"{connection['admin']}/state") as answer:
            assert json.load(answer)["vracks"][VRACK]["document"]["description"] == "kept"
    finally:
        stop(process)


def test_the_command_for_people(tmp_path):
    # Its own process, since click warns when typer imports it.
    code = "import typer; from sovereigncloud_sandbox.ovh.command import ovh; typer.run(ovh)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--port", "0", "--server-ip", f"{SERVER}=127.10.0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = process.stdout.readline()
            assert line, "it ended before it explained itself"
            lines.append(line)
        assert "Nothing here is real." in lines[0]
    finally:
        stop(process)


def test_what_it_prints_for_people_works(simulator):
    text = explain(simulator.connection())
    code = "\n".join(line.strip() for line in text.partition("Break things")[0].splitlines() if line.startswith("    "))
    names = {}
    exec(code.partition("os.environ")[0], names)
    assert names["client"].get("/dedicated/server") == [*SERVERS, SPARE, ECO]
    exec(code, names)
    assert names["client"].get("/auth/details")["method"] == "oauth2_client_credentials"
