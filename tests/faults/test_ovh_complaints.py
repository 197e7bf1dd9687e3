"""What users of Terraform's and Ansible's OVHcloud providers complain about, row by row, as this operator behaves.

The complaints are those of public issue trackers, named in the tests (`#n`: terraform-provider-ovh). Real engine, kinds and
adapters, the simulator of OVHcloud, an API server in memory, simulated time. Each row asserts a control as well: that what it
forbids does happen where it is asked for.
"""

import bisect
import copy
import json
from pathlib import Path

import pytest
import yaml
from tests.faults.api_server import manifest
from tests.faults.courses import travel
from tests.faults.purchases import ORDER, Purchase, ordered_server, slowly
from tests.faults.scene import Scene
from tests.faults.servers import Hosted
from tests.faults.simulated_time import run
from tests.faults.verdicts import bought_twice
from tests.faults.wire import Fate

from sovereigncloud.core.identity import OVH_INSTALLATION, OVH_OBJECT, OVH_UID
from sovereigncloud.engine.settings import Settings
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import BLOCK, OTHER_VRACK, SERVERS, SPARE, VRACK, add_server
from sovereigncloud_sandbox.stage import condition, is_ready

DEBIAN, UBUNTU = "debian12_64", "ubuntu2404-server_64"
BIG = "ns3099001.ip-57-131-168.eu"
REINSTALL = {"request": "first", "operatingSystem": UBUNTU, "wipeAllDisks": True}
MARKS = {OVH_INSTALLATION, OVH_OBJECT, OVH_UID}
SHIPPED = Settings()
CRDS = Path(__file__).parents[2] / "crds"


class Account(Scene):
    """A scene that remembers every version of every object, with the Secret of the account."""

    def __init__(self, **more):
        super().__init__(**more)
        self.versions = []
        self.api.watchers.append(lambda _, body: self.versions.append(body))

    async def __aenter__(self):
        await super().__aenter__()
        self.api.apply(self.account_secret("ovh"), self.account_secret("ovh-account"))
        return self

    def of(self, kind, name):
        """Its versions, oldest first."""
        return [v for v in self.versions if (v["kind"], v["metadata"]["name"]) == (kind, name)]

    def server(self, name="one-3"):
        return self.api.get("BareMetalServer", name)

    def asked(self, method, ending):
        """The requests of a method whose route ends so, whether they were answered well or not."""
        return [e for e in self.ovh_journal.entries() if e.method == method and e.route.endswith(ending)]

    def wiped(self, service=SPARE):
        return len(self.ovh.state.servers[service].installs)

    def written(self):
        """What took effect at OVHcloud."""
        return [f"{method} {path}" for where, method, path in self.wire.done if where == "ovh"]

    async def settle(self, seconds=3600):
        assert await self.run(seconds, self.settled), [
            (b["metadata"]["name"], b["status"]) for b in self.api.all("BareMetalServer")
        ]

    async def stalls(self, reason, name="one-3", kind="BareMetalServer"):
        """Until it is stalled for this reason; the message, when it has been so for ten minutes."""

        def told():
            return condition(self.api.get(kind, name), "Stalled").get("reason") == reason

        assert await self.run(600, told), self.api.get(kind, name)["status"]
        await self.run(600)
        assert told(), self.api.get(kind, name)["status"]
        return condition(self.api.get(kind, name), "Stalled")["message"]


def server(name="one-3", service=SPARE, *, vrack=OTHER_VRACK, **spec):
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": service}
    return manifest("BareMetalServer", name, {"ovh": ovh | ({"vrack": vrack} if vrack else {}), **spec})


def story(test):
    """A test that happens in an account, in simulated time."""

    def told():
        async def within():
            async with Account() as scene:
                await test(scene)

        run(within())

    told.__name__, told.__doc__ = test.__name__, test.__doc__
    return told


# --- 1: #1118, a failed create forgets the order, and the next run buys again ------------------------------------------------


LOST_BUYING = [
    (call, fate)
    for call in ("/checkout", "/pay", "/order/cart", "/assign")
    for fate in (Fate.LOST, Fate.AFTER, Fate.UNSENT, Fate.LOST_LATE, Fate.LATE)
]


@pytest.mark.parametrize(("call", "fate"), LOST_BUYING, ids=[f"{call} {fate.name}" for call, fate in LOST_BUYING])
def test_row_01_an_order_that_was_not_heard_of_is_found_and_nothing_is_bought_again(call, fate):
    left = [fate, fate]

    def choose(_number, label, fates):
        struck = left and label.startswith("ovh POST") and label.split()[2].endswith(call)
        return left.pop() if struck and fate in fates else None

    report = run(travel(Purchase(), choose))
    assert len(left) < 2, "it was struck"
    assert report.well, str(report)


@story
async def test_row_01_nothing_is_ordered_before_a_person_says_up_to_which_price(scene):
    slowly(scene)
    order = {key: value for key, value in ORDER.items() if key != "approval"}
    scene.api.apply(ordered_server(order=order))
    await scene.run(3600)
    assert scene.ovh.state.orders == {}
    (*_, payment) = scene.server("one-9")["status"]["plan"]["steps"]
    assert "EUR" in payment["cost"]
    told = condition(scene.server("one-9"), "Reconciling")
    assert (told["reason"], "approval" in told["message"]) == ("ApprovalRequired", True)
    scene.api.apply(ordered_server(order=order | {"approval": {"maxPrice": "1.00", "currency": "EUR"}}))
    await scene.run(3600)
    assert scene.ovh.state.orders == {}
    scene.api.apply(ordered_server())
    await scene.settle(24 * 3600)
    assert list(bought_twice(scene, 1)) == []


# --- 2: #985, delivery takes longer than a timeout, what was ordered is forgotten, and an import wants to buy again ------------


@story
async def test_row_02_a_delivery_of_days_is_waited_for_and_a_new_cluster_waits_on(scene):
    slowly(scene)
    scene.ovh.state.timing.delivery = 2 * 86400.0
    scene.api.apply(ordered_server())
    await scene.run(6 * 3600)
    for _ in range(2):
        status = scene.server("one-9")["status"]
        assert condition(scene.server("one-9"), "Reconciling")["reason"] == "Delivering"
        assert condition(scene.server("one-9"), "Stalled") == {}
        assert status["order"]["id"] == next(iter(scene.ovh.state.orders))
        assert status["order"]["state"] == "Delivering"
        await scene.lose_the_cluster()
        scene.api.apply(scene.account_secret("ovh-account"), ordered_server())
        await scene.run(6 * 3600)
    await scene.settle(2 * 86400)
    assert list(bought_twice(scene, 1)) == []
    (bought,) = (order.domain for order in scene.ovh.state.orders.values())
    assert scene.server("one-9")["status"]["serviceName"] == bought
    assert set(scene.ovh.state.servers[bought].resource.tags) >= MARKS


# --- 3: #671, an invalid partition scheme: five minutes of waiting for task 0, and the real 404 hidden -----------------------


@story
async def test_row_03_what_the_server_cannot_be_installed_with_is_refused_before_anything_is_asked_for(scene):
    scene.api.apply(server(reinstall=REINSTALL | {"operatingSystem": "plan9_64"}))
    message = await scene.stalls("UnknownOperatingSystem")
    assert "'plan9_64'" in message
    assert "reinstall.operatingSystem" in message
    assert scene.asked("POST", "/reinstall") == []
    assert scene.asked("GET", "/task/{taskId}") == []
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    assert scene.wiped() == 1
    assert {e.path.rsplit("/", 1)[1] for e in scene.asked("GET", "/task/{taskId}")}.isdisjoint({"0", "None", ""})


@story
async def test_row_03_partitions_that_the_template_does_not_make_are_refused_before_anything_is_asked_for(scene):
    layout = [{"mountPoint": "/", "fileSystem": "zfs", "size": "100Gi"}]
    scene.api.apply(server(reinstall=REINSTALL | {"partitioning": layout}))
    message = await scene.stalls("IncompatiblePartitioning")
    assert "reinstall.partitioning[0] (/)" in message
    assert "set fileSystem to one of" in message
    assert scene.asked("POST", "/reinstall") == []
    assert scene.asked("GET", "/task/{taskId}") == []
    layout[0]["fileSystem"] = "ext4"
    scene.api.apply(server(reinstall=REINSTALL | {"partitioning": layout}))
    await scene.settle()
    (install,) = scene.ovh.state.servers[SPARE].installs
    assert [part["mountPoint"] for part in install.storage[0]["partitioning"]["layout"]] == ["/"]


# --- 4: #1326, somebody sets a rescue key, and the next plan reinstalls the server ------------------------------------------


@story
async def test_row_04_a_foreign_change_of_a_server_never_reinstalls_it(scene):
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    await scene.run(120)
    done = len(scene.written())
    changed = {
        "rescueSshKey": "ssh-ed25519 AAAA somebody",
        "rescueMail": "somebody@example.org",
        "bootId": 46371,
        "rootDevice": "/dev/nvme1n1",
        "monitoring": False,
        "os": DEBIAN,
    }
    tamper.patch_server(scene.ovh, SPARE, changed)
    tamper.rename(scene.ovh, scene.ovh.state.servers[SPARE].resource.urn, "what somebody calls it")
    await scene.run(3600)
    await scene.restart()
    await scene.run(3600)
    assert scene.wiped() == 1
    assert scene.written()[done:] == []
    assert is_ready(scene.server())
    found = scene.ovh.state.servers[SPARE].document
    assert {key: found[key] for key in changed} == changed
    tamper.patch_vni(scene.ovh, scene.ovh.state.servers[SPARE].vnis[1]["uuid"], {"vrack": None})
    await scene.run(600)
    assert (scene.wiped(), scene.written()[done:]) == (1, [f"POST /vrack/{OTHER_VRACK}/dedicatedServerInterface"])
    assert [d["path"] for d in scene.server()["status"]["drift"]] == ["spec.reinstall.operatingSystem"], "told"
    scene.api.apply(server(reinstall=REINSTALL | {"request": "second"}))
    await scene.settle()
    assert scene.wiped() == 2, "a new word is the only thing that does"


# --- 5: #914 and #1291, an import is followed by a reinstallation, and `os` is inconsistent ----------------------------------


@story
async def test_row_05_adopting_a_server_writes_nothing_but_the_mark_and_shows_what_is_installed(scene):
    tamper.patch_server(scene.ovh, SPARE, {"os": DEBIAN})
    scene.api.apply(server(management="Observe"))
    await scene.run(600)
    assert scene.written() == []
    assert scene.server()["status"]["operatingSystem"] == DEBIAN
    scene.api.apply(server())
    await scene.settle()
    urn = f"/iam/resource/{scene.ovh.state.servers[SPARE].resource.urn.replace(':', '%3A')}/tag"
    assert set(scene.written()) == {f"POST {urn}"}
    assert set(scene.ovh.state.servers[SPARE].resource.tags) == MARKS
    assert scene.server()["status"]["operatingSystem"] == DEBIAN
    assert condition(scene.server(), "Drifted")["status"] == "False"
    assert scene.wiped() == 0
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    assert (scene.wiped(), scene.server()["status"]["operatingSystem"]) == (1, UBUNTU)


@story
async def test_row_05_a_server_that_was_installed_on_the_same_request_before_is_not_installed_again(scene):
    """The import of what this operator itself made, in another cluster."""
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    await scene.lose_the_cluster()
    scene.api.apply(scene.account_secret("ovh"), server(reinstall=REINSTALL))
    await scene.settle()
    assert scene.wiped() == 1
    assert scene.server()["status"]["reinstalled"] == "first"


# --- 6: #1165, a reinstallation erases the data disks as well ---------------------------------------------------------------


@story
async def test_row_06_a_server_with_data_disks_is_not_wiped_without_a_word_about_them(scene):
    add_server(scene.ovh.state, BIG, ip="127.0.0.99", disk_groups=2)
    careful = {key: value for key, value in REINSTALL.items() if key != "wipeAllDisks"}
    scene.api.apply(server(service=BIG, vrack="", reinstall=careful))
    message = await scene.stalls("WipeAllDisksRequired")
    assert "2 disk groups" in message
    assert "reinstall.wipeAllDisks: true" in message
    assert scene.asked("POST", "/reinstall") == []
    scene.api.apply(server(service=BIG, vrack="", reinstall=REINSTALL))
    await scene.settle()
    assert scene.wiped(BIG) == 1


# --- 7: #884 and #1315, interfaces are not on the resource, and a new server is used before they are known -------------------


@story
async def test_row_07_interfaces_and_their_macs_are_in_status_before_a_server_counts_as_ready(scene):
    cloud = copy.deepcopy(Hosted.cloud)
    scene.api.apply(cloud)
    await scene.settle()
    for name, service in zip(("one-1", "one-2"), SERVERS, strict=True):
        wanted = [
            (vni["uuid"], vni["mode"], vni["networkInterfaceController"], vni["vrack"])
            for vni in scene.ovh.state.servers[service].vnis
        ]
        found = scene.server(f"ovh-rbx-{name}")["status"]["interfaces"]
        assert [(i["uuid"], i["mode"], i["macs"], i.get("vrack")) for i in found] == wanted
        ready = [v for v in scene.of("BareMetalServer", f"ovh-rbx-{name}") if is_ready(v)]
        assert ready
        for version in ready:
            private = [i for i in version["status"]["interfaces"] if i["mode"] == "vrack_aggregation"]
            assert [(len(i["macs"]), i.get("vrack")) for i in private] == [(2, VRACK)]


# --- 8: #1099 and #936, the names of blocks are mangled ---------------------------------------------------------------------


@story
async def test_row_08_a_block_keeps_its_mask_and_its_slash_is_quoted(scene):
    scene.api.apply(copy.deepcopy(Hosted.cloud))
    await scene.settle()
    assert scene.ovh.state.ips[BLOCK].routed_to == VRACK
    asked = [e.path for e in scene.ovh_journal.entries() if "57.131.167.176" in e.path]
    assert asked
    assert all("57.131.167.176%2F28" in path for path in asked), asked
    assert [e.status for e in scene.ovh_journal.entries() if "/ip/" in e.path and e.status >= 400] == []


@story
async def test_row_08_an_address_inside_a_block_is_no_block_and_is_told(scene):
    cloud = copy.deepcopy(Hosted.cloud)
    cloud["spec"]["hosted"]["networks"][0]["publicBlock"] = "57.131.167.177/28"
    scene.api.apply(cloud)
    message = await scene.stalls("InvalidBlock", "ovh-rbx", "SovereignCloud")
    assert "57.131.167.177/28" in message
    assert scene.asked("POST", "/ip") == []


# --- 9: #819 and #995, intermittent 500: reads are tried again, a write never blindly ----------------------------------------


@story
async def test_row_09_errors_of_reads_are_waited_out(scene):
    scene.wire.ovh.faults.add(fault({"preset": "server-error", "method": "GET", "probability": 0.3, "count": 200}))
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle(3 * 3600)
    assert scene.wiped() == 1


WRITES = [
    ("the reinstallation", "/reinstall$"),
    ("joining the vRack", "/dedicatedServerInterface$"),
    ("routing the block", "/vrack/[^/]+/ip$"),
    ("a tag", "/tag$"),
]


@pytest.mark.parametrize("preset", ["server-error", "error-after-write"])
@pytest.mark.parametrize(("what", "path"), WRITES, ids=[row[0] for row in WRITES])
def test_row_09_a_write_that_was_answered_with_an_error_is_looked_for_before_it_is_made_again(what, path, preset):
    class Erring(Hosted):
        def act(self, scene):
            scene.ovh.state.timing.task_visible_after = 240.0  # regions replicate
            rule = {"preset": preset, "method": "POST", "path": path, "count": 2}
            scene.wire.ovh.faults.add(fault(rule))
            super().act(scene)

    report = run(travel(Erring()))
    assert report.well, f"{what}: {report}"


# --- 10: #980 and external-dns #1546, no limit of one's own, and then timeouts ------------------------------------------------


async def _hurry(scene):
    """Thirty servers at once, and the hosted cloud."""
    for number in range(30):
        name = f"ns32{number:05}.ip-51-75-0.eu"
        add_server(scene.ovh.state, name, ip=f"51.75.0.{number + 1}")
        scene.api.apply(server(f"many-{number}", name, vrack=VRACK, reinstall=REINSTALL))
    scene.api.apply(copy.deepcopy(Hosted.cloud))
    await scene.settle(12 * 3600)


@story
async def test_row_10_no_minute_sees_more_requests_than_ovhcloud_allows(scene):
    scene.wire.ovh_limits = SHIPPED.ovh_requests_per_minute / 60.0, SHIPPED.ovh_burst
    await scene.restart()
    await _hurry(scene)
    assert _most_in_a_minute(scene.wire.sent) <= 60
    assert len(scene.wire.sent) > 500


@story
async def test_row_10_without_the_limit_it_would(scene):
    await _hurry(scene)
    assert _most_in_a_minute(scene.wire.sent) > 200


def _most_in_a_minute(moments):
    return max(bisect.bisect_left(moments, at + 60.0) - number for number, at in enumerate(moments))


PORTALS = [("rate-limited", 60), ("request-timeout", 60), ("bad-gateway", 60), ("lost-before-write", 20)]


@pytest.mark.parametrize(("preset", "count"), PORTALS, ids=[row[0] for row in PORTALS])
def test_row_10_what_a_portal_says_under_load_ends_in_patience_and_not_in_more_requests(preset, count):
    class Loaded(Hosted):
        def act(self, scene):
            scene.wire.ovh.faults.add(fault({"preset": preset, "count": count}))
            super().act(scene)

    smooth, report = run(travel(Hosted())), run(travel(Loaded()))
    assert report.well, str(report)
    assert report.asked < smooth.asked + 3 * count + 200


# --- 11: #1030, a service name changed in place; #323 and #336, an endpoint that went away and came back ----------------------


def test_row_11_which_machine_a_server_is_cannot_be_changed():
    (crd,) = (yaml.safe_load(p.read_text()) for p in CRDS.glob("*baremetalservers*.yaml"))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = [rule["rule"] for rule in spec["properties"]["ovh"]["x-kubernetes-validations"]]
    assert any("self.serviceName == oldSelf.serviceName" in rule for rule in rules), rules


@story
async def test_row_11_servers_join_by_their_interface_and_never_by_the_legacy_endpoint(scene):
    scene.api.apply(copy.deepcopy(Hosted.cloud))
    await scene.settle()
    assert len(scene.asked("POST", "/vrack/{serviceName}/dedicatedServerInterface")) == 2
    legacy = [e.path for e in scene.ovh_journal.entries() if e.path.endswith("/dedicatedServer")]
    assert legacy == []


# --- 12: synthesio/infra-ovh-ansible-module #43 and #55, joining a vRack is not idempotent, and cannot be switched -------------


@story
async def test_row_12_a_server_that_is_in_its_vrack_is_asked_for_nothing(scene):
    scene.api.apply(server())
    await scene.settle()
    await scene.restart()
    await scene.run(600)
    assert scene.asked("POST", "/dedicatedServerInterface") == []
    assert is_ready(scene.server())


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.AFTER, Fate.LOST_LATE, Fate.LATE])
def test_row_12_a_server_whose_joining_was_lost_joins_once(fate):
    left = [fate, fate]

    def choose(_number, label, fates):
        return (
            left.pop() if left and "POST" in label and "/dedicatedServerInterface" in label and fate in fates else None
        )

    report = run(travel(Hosted(), choose))
    assert not left
    assert report.well, str(report)


@story
async def test_row_12_a_server_of_ours_is_moved_into_another_vrack_by_leaving_waiting_and_joining(scene):
    scene.ovh.state.servers[SPARE].vnis[1]["vrack"] = None
    scene.api.apply(server(vrack=OTHER_VRACK))
    await scene.settle()
    await scene.run(120)  # the next sweep writes down where it was as declared
    done = len(scene.written())
    scene.api.apply(server(vrack=VRACK))
    await scene.settle()
    uuid = scene.ovh.state.servers[SPARE].vnis[1]["uuid"]
    assert scene.ovh.state.servers[SPARE].vnis[1]["vrack"] == VRACK
    assert scene.written()[done:] == [
        f"DELETE /vrack/{OTHER_VRACK}/dedicatedServerInterface/{uuid}",
        f"POST /vrack/{VRACK}/dedicatedServerInterface",
    ]


@story
async def test_row_12_a_server_is_not_taken_out_of_somebody_elses_vrack_without_a_word(scene):
    scene.api.apply(server(vrack=VRACK))
    message = await scene.stalls("InterfaceInOtherVrack")
    assert f"moveFrom: {OTHER_VRACK}" in message
    assert [one for one in scene.written() if "/vrack/" in one] == []
    consent = server(vrack=VRACK)
    consent["spec"]["ovh"]["moveFrom"] = OTHER_VRACK
    scene.api.apply(consent)
    await scene.settle()
    assert scene.ovh.state.servers[SPARE].vnis[1]["vrack"] == VRACK


# --- 13: ovhcloud-cli #253 and #239, a reinstallation is silent for twenty minutes, and "still running" when it is over --------


@story
async def test_row_13_each_step_of_an_installation_is_told_and_nothing_of_it_stays(scene):
    scene.ovh.state.timing.reinstall = 665.0  # as observed: 11 min 05 s, 21 steps
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    versions = scene.of("BareMetalServer", "one-3")
    steps = list(
        dict.fromkeys(v["status"].get("installStep") for v in versions if v.get("status", {}).get("installStep"))
    )
    assert len(steps) >= 18, steps
    told = {condition(v, "Reconciling").get("message", "") for v in versions}
    assert all(any(step in message for message in told) for step in steps)
    over = scene.server()["status"]
    assert over.get("installStep") is None
    assert "is being reinstalled" not in json.dumps(over["conditions"])


@story
async def test_row_13_a_task_that_was_purged_is_not_still_running(scene):
    scene.ovh.state.timing.task_purged_after = 0.0
    scene.api.apply(server(reinstall=REINSTALL))
    await scene.settle()
    assert scene.wiped() == 1
    assert scene.server()["status"]["reinstalled"] == "first"


def test_each_of_the_thirteen_rows_has_a_story():
    told = {name.split("_")[2] for name in globals() if name.startswith("test_row_")}
    assert told == {f"{row:02}" for row in range(1, 14)}
