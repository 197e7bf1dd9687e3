"""SovereignCloud: what it does in which situation, that it installs once, and that it comes apart in order."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.kinds.cloud_fakes import NOON, FakeWorld, Loop, interfaces, run

from sovereigncloud.core.identity import OVH_INSTALLATION, Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Cause
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.endpoint.endpoint import Endpoint, endpoint_of
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.installation.plan import (
    INSTALLED_TAG,
    WIPED,
    Record,
    inventory_hash,
    read_record,
)
from sovereigncloud.kinds.sovereigncloud.network.vrack_mark import used_by
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import Vm

KEY = ("SovereignCloud", "platform", "rbx")
UNIX = int(NOON.timestamp())
BLOCK = "57.131.167.176/28"
ADDRESSES = {"one-1": "127.0.0.11", "one-2": "127.0.0.12"}
SERVICES = {"one-1": "ns1", "one-2": "ns2"}
SECRET = ("platform", "rbx-oneadmin")
HOURS = 4000


def server(name, roles, **more):
    return {"name": name, "serviceName": SERVICES.get(name, f"ns-{name}"), "roles": roles, **more}


def hosted(*, servers=None, adopt=False, networks=True, version="7.0", **spec):
    wanted = servers or [server("one-1", ["Frontend", "Node"]), server("one-2", ["Node"])]
    one = (
        {"adopt": {"endpoint": "http://127.0.0.11:2633/RPC2", "credentialsSecretRef": {"name": "admin"}}}
        if adopt
        else {"install": {"architecture": "Basic", "version": version}}
    )
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": "pn-1", "servers": wanted}
    built = {"ovh": ovh, "openNebula": one}
    if networks:
        built["networks"] = [
            {"name": "vm_public", "publicBlock": BLOCK},
            {"name": "vm_vlan100", "vlanID": 100, "addressRanges": [{"ip": "10.100.0.10", "size": 200}]},
        ]
    return manifest({"hosted": built, **spec})


def existing(endpoint="https://one.example.fr/RPC2", **spec):
    return manifest({"existing": {"endpoint": endpoint, "credentialsSecretRef": {"name": "admin"}}, **spec})


def manifest(spec):
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "SovereignCloud",
        "metadata": {"name": "rbx", "namespace": "platform", "uid": "c1"},
        "spec": spec,
    }


READY = [{"type": "Ready", "status": "True", "reason": "Ready"}]
SETTLED = {"observedGeneration": 1, "conditions": READY, "endpoint": "http://127.0.0.11:2633/RPC2", "version": "7.0.1"}


class Scene:
    """A cloud as far built as `stage` says: nothing, composed, servers, installed, running."""

    def __init__(self, stage="running", spec=None, *, settled=False, route=True, marked=True):
        self.world = FakeWorld()
        self.account = self.world.account_
        self.raw = self.world.put(spec or hosted())
        for number, (name, service) in enumerate(SERVICES.items()):
            self.account.add(service, ip=ADDRESSES[name], interfaces=interfaces(service, vrack="pn-1"), os=f"{number}")
        reached = ("nothing", "composed", "servers", "installed", "running").index(stage)
        self.account.blocks = {BLOCK: "pn-1" if route and reached > 1 else ""}
        if reached >= 1:
            self.compose()
        if reached >= 2:
            self.ready("BareMetalServer")
        if reached >= 3:
            self.install()
        if reached >= 4:
            self.answer()
            self.ready("VirtualNetwork")
            self.raw["status"]["endpoint"] = SETTLED["endpoint"]
        if reached >= 1 and marked:
            self.mark()
        if settled:
            self.raw["status"] = dict(SETTLED)

    @property
    def cloud(self):
        return self.world.get(_key(*KEY))

    def compose(self):
        self.world.kubernetes.secrets[SECRET] = {"password": "x", "sshPublicKey": "ssh-ed25519 AAAA"}
        for step in self.plan().steps:
            if type(step).__name__ == "ApplyChild":
                self.world.put(step.manifest)

    def mark(self):
        """The vRack and the block carry the cloud's mark."""
        mark = self.world.mark(self.cloud)
        self.account.tags_of_vrack["pn-1"] |= {used_by(mark): mark.object, OVH_INSTALLATION: mark.installation}
        self.account.tags_of_block[BLOCK] = dict(mark.for_ovh())

    def ready(self, kind):
        for (found, _, name), raw in self.world.raw.items():
            if found == kind:
                raw["status"] = {"observedGeneration": raw["metadata"]["generation"], "conditions": READY}
                if kind == "BareMetalServer":
                    raw["status"]["address"] = ADDRESSES[name.removeprefix("rbx-")]
                    raw["status"]["region"] = "eu-west-rbx"

    def install(self, digest=None):
        for made in self.account.servers.values():
            made.tags[INSTALLED_TAG] = digest or inventory_hash(self.cloud)

    def answer(self, *hosts):
        self.world.one.version = "7.0.1"
        for address in hosts or ADDRESSES.values():
            self.world.one.host(address, mark=self.world.mark(self.cloud))

    def child(self, name, kind="BareMetalServer"):
        return self.world.raw[kind, "platform", name]

    def plan(self):
        async def planned():
            controller = SovereignCloudController()
            resource = controller.resource.model_validate(self.raw)
            observed = await controller.observe(resource, self.world)
            return controller.plan(resource, observed, self.world.now)

        return run(planned())

    def loop(self):
        return Loop(self.world, SovereignCloudController(), KEY)


def _key(*parts):
    from sovereigncloud.api.common.base import Key  # noqa: PLC0415

    return Key(*parts)


def names(plan):
    return tuple(type(s).__name__ for s in plan.steps)


@dataclass
class Case:
    why: str
    stage: str = "running"
    make: dict = field(default_factory=dict)
    change: object = None
    steps: tuple = ()
    reason: str = ""
    drift: tuple = ()
    says: str = ""


def unready(name, **conditions):
    def change(scene):
        scene.child(name)["status"]["conditions"] = [
            {"type": "Ready", "status": "False", "reason": "Reinstalling", "message": "step 3"},
            *({"type": t, "status": "True", "reason": r, "message": "m"} for t, r in conditions.items()),
        ]

    return change


def both(*changes):
    def change(scene):
        for one in changes:
            one(scene)

    return change


def job(state, message=""):
    return lambda scene: scene.world.installer.jobs.update({inventory_hash(scene.cloud): InstallState(state, message)})


def front_tag(text):
    return lambda scene: scene.account.servers["ns1"].tags.update(
        {INSTALLED_TAG: text.format(inventory_hash(scene.cloud))}
    )


def no_secret(scene):
    scene.world.kubernetes.secrets.clear()


def silent(scene):
    scene.world.one.version = None


def host_state(number, state):
    def change(scene):
        scene.world.one.hosts[number] = replace(scene.world.one.hosts[number], state=state)

    return change


def no_host(number):
    return lambda scene: scene.world.one.hosts.pop(number)


def foreign_host(scene):
    mark = Mark("other", "SovereignCloud/a/b", "u")
    scene.world.one.hosts[0] = replace(scene.world.one.hosts[0], mark=mark)


def unmarked_host(scene):
    scene.world.one.hosts[0] = replace(scene.world.one.hosts[0], mark=None)


def block_to(service):
    return lambda scene: scene.account.blocks.update({BLOCK: service})


def add_server(scene):
    spec = hosted(servers=[server("one-1", ["Frontend", "Node"]), server("one-2", ["Node"]), server("one-3", ["Node"])])
    scene.account.add("ns-one-3", ip="127.0.0.13", interfaces=interfaces("ns-one-3", vrack="pn-1"))
    ADDRESSES["one-3"] = "127.0.0.13"
    scene.raw = scene.world.put(spec)
    scene.compose()
    scene.ready("BareMetalServer")
    del ADDRESSES["one-3"]


def drop_server(scene):
    scene.raw = scene.world.put(hosted(servers=[server("one-1", ["Frontend", "Node"])]))


ALL_CHILDREN = ("ApplyChild",) * 4
CASES = [
    Case(
        "at first the credentials (the servers let that key in), then the children, and vRack and block are marked; the block"
        " waits to know where the servers stand",
        "nothing",
        steps=("GenerateCredentials", *ALL_CHILDREN, "MarkVrack", "MarkBlock"),
        reason="WaitingForServers",
        drift=("spec.hosted.networks[vm_public].publicBlock",),
    ),
    Case(
        "composed, the servers are under way: their own words are told",
        "composed",
        change=both(block_to("pn-1"), unready("rbx-one-1")),
        reason="WaitingForServers",
        says="server one-1 (and 1 more): Reinstalling: step 3",
    ),
    Case(
        "a server that needs a person blocks, and heals by itself when it is mended",
        "servers",
        change=unready("rbx-one-2", Stalled="UnknownOperatingSystem"),
        reason="WaitingForDependency",
        says="one-2: UnknownOperatingSystem",
    ),
    Case("servers ready, nothing recorded: installed", "servers", steps=("InstallOpenNebula",)),
    Case(
        "recorded before the Job was seen, and there is none: begun again, since the hash never makes a second",
        "servers",
        change=front_tag("{}:requested:" + str(UNIX)),
        steps=("InstallOpenNebula",),
    ),
    Case(
        "recorded over an hour ago without a Job, and nothing answers: a person decides",
        "servers",
        change=front_tag("{}:requested:" + str(UNIX - HOURS)),
        reason="InstallationUnknown",
        says="rerun.request",
    ),
    Case("the Job runs", "installed", change=job("Running", "Job rbx"), reason="Installing", says="Job rbx"),
    Case(
        "the Job failed: told with what to do",
        "installed",
        change=job("Failed", "PLAY failed"),
        reason="InstallationFailed",
        says="PLAY failed",
    ),
    Case(
        "the Job succeeded and the front-end starts up: waited for",
        "installed",
        change=job("Succeeded"),
        reason="WaitingForFrontend",
    ),
    Case(
        "recorded, no Job, nothing answers: a missing Job never means run again",
        "installed",
        reason="InstallationUnknown",
        says="rerun.request",
    ),
    Case(
        "a rebuilt cluster: no Job, no status, the front-end answers: that is told before anything in it is read",
        change=lambda scene: scene.raw["status"].pop("endpoint"),
        reason="FirstAnswer",
    ),
    Case("and then there is nothing to do"),
    Case(
        "installed, but the generated Secret is gone: never a new password",
        "installed",
        change=no_secret,
        reason="CredentialsLost",
        says="Restore rbx-oneadmin",
    ),
    Case(
        "settled, and the generated Secret is gone",
        make={"settled": True},
        change=lambda scene: setattr(scene.world, "open_nebula", missing_secret),
        reason="CredentialsLost",
    ),
    Case(
        "settled, and the front-end does not answer: told again and again, nothing is installed",
        make={"settled": True},
        change=silent,
        reason="RetryingAfterError",
        says="connection refused",
    ),
    Case(
        "someone removed the record from the front-end of a running cloud: it is written again, nothing is installed",
        make={"settled": True},
        change=lambda scene: scene.account.servers["ns1"].tags.clear(),
        steps=("RecordInstallation",),
    ),
    Case(
        "a server was added: the installer runs for it",
        change=add_server,
        steps=("InstallOpenNebula",),
    ),
    Case(
        "a node was reinstalled: its disks were wiped, so the installer runs for it",
        make={"settled": True},
        change=lambda scene: scene.account.servers["ns2"].tags.update({INSTALLED_TAG: WIPED}),
        steps=("InstallOpenNebula",),
    ),
    Case(
        "the front-end was reinstalled and something still answers: nothing that stood there is remembered",
        make={"settled": True},
        change=lambda scene: scene.account.servers["ns1"].tags.update({INSTALLED_TAG: WIPED}),
        steps=("InstallOpenNebula",),
    ),
    Case(
        "a node is being reinstalled: installed only when it is ready",
        make={"settled": True},
        change=both(
            lambda scene: scene.account.servers["ns2"].tags.update({INSTALLED_TAG: WIPED}), unready("rbx-one-2")
        ),
        reason="WaitingForServers",
        says="step 3",
    ),
    Case(
        "a server was taken off: its host goes first, and nothing is installed",
        change=drop_server,
        steps=("DisableHost", "DeleteHost"),
    ),
    Case(
        "its host is gone: its child goes",
        change=both(drop_server, no_host(1)),
        steps=("DeleteChild",),
    ),
    Case(
        "a server that the account's list does not show: without its tags nothing is begun",
        "installed",
        change=lambda scene: scene.account.servers.pop("ns1"),
        reason="WaitingForServers",
        says="one-1",
    ),
    Case(
        "a host was deleted in OpenNebula: drift, and registered again",
        make={"settled": True},
        change=no_host(1),
        steps=("CreateHost",),
        drift=("spec.hosted.ovh.servers[one-2]",),
    ),
    Case(
        "a host is missing and the brakes have not looked yet: a hint, nothing is done",
        make={"settled": True},
        change=both(no_host(1), lambda scene: setattr(scene.world, "admitted", False)),
        reason="ConfirmingAbsence",
        drift=("spec.hosted.ovh.servers[one-2]",),
    ),
    Case(
        "a host was disabled: drift, and enabled again",
        make={"settled": True},
        change=host_state(0, 4),
        steps=("EnableHost",),
        drift=("spec.hosted.ovh.servers[one-1]",),
    ),
    Case(
        "a host in error is told in words",
        change=host_state(1, 3),
        reason="HostNotMonitored",
        says="state error",
    ),
    Case("a host offline by its administrator is left alone", change=host_state(1, 8), reason="HostNotMonitored"),
    Case("a host made by one-deploy is marked", change=unmarked_host, steps=("MarkHost",)),
    Case(
        "a host of another installation is only read",
        change=foreign_host,
        reason="OwnedByAnotherInstallation",
        says="other",
    ),
    Case(
        "two hosts of one name (one#7527): a person chooses",
        change=lambda scene: scene.world.one.host("127.0.0.11"),
        reason="MultipleMatches",
        says="ids 0, 2",
    ),
    Case(
        "a host of nobody's is shown, never deleted",
        make={"settled": True},
        change=lambda scene: scene.world.one.host("10.9.9.9"),
    ),
    Case(
        "the block was parked behind our back: drift, and routed again",
        make={"settled": True},
        change=block_to(""),
        steps=("AttachBlock",),
        drift=("spec.hosted.networks[vm_public].publicBlock",),
    ),
    Case(
        "the block was moved to a server of the cloud: taken off as a whole, then routed back",
        make={"settled": True},
        change=block_to("ns2"),
        steps=("DetachBlock",),
        drift=("spec.hosted.networks[vm_public].publicBlock",),
    ),
    Case(
        "the block is in another vRack: whoever uses it there would lose its addresses",
        change=block_to("pn-2"),
        reason="BlockInOtherVrack",
        drift=("spec.hosted.networks[vm_public].publicBlock",),
    ),
    Case("a block that the account has not", change=lambda scene: scene.account.blocks.clear(), reason="BlockNotFound"),
    Case(
        "another version than declared is told",
        make={"settled": True},
        change=lambda scene: setattr(scene.world.one, "version", "7.2.0"),
        drift=("spec.hosted.openNebula.install.version",),
    ),
    Case(
        "networks not ready yet are waited for",
        change=lambda scene: scene.child("rbx-vm-public", "VirtualNetwork")["status"].clear(),
        reason="WaitingForNetworks",
        says="vm_public",
    ),
    Case(
        "a child that a person changed is applied again",
        make={"settled": True},
        change=lambda scene: scene.child("rbx-one-2")["spec"]["ovh"].update(vrack="pn-9"),
        steps=("ApplyChild",),
    ),
    Case(
        "what others set on a child stays theirs",
        make={"settled": True},
        change=lambda scene: scene.child("rbx-one-2")["spec"].update(driftPolicy={"default": "Report"}),
    ),
    Case(
        "a child of another cloud under that name is not taken",
        change=lambda scene: scene.child("rbx-one-2")["metadata"]["ownerReferences"][0].update(name="sbg"),
        reason="NameTaken",
    ),
    Case(
        "two networks whose objects would have one name",
        "nothing",
        make={"spec": manifest({"hosted": {**hosted()["spec"]["hosted"], "networks": [
            {"name": "vm_a", "vlanID": 1}, {"name": "vm-a", "vlanID": 2}]}})},
        reason="AmbiguousNames",
        says="rbx-vm-a",
    ),
    Case(
        "a cloud that a person built: nothing is installed, the children are composed, vRack and block are marked",
        "nothing",
        make={"spec": hosted(adopt=True)},
        change=lambda scene: scene.answer("127.0.0.9"),
        steps=(*ALL_CHILDREN, "MarkVrack", "MarkBlock"),
        reason="WaitingForServers",
        drift=("spec.hosted.networks[vm_public].publicBlock",),
    ),
    Case(
        "adopted: a missing host is drift and registered like any other",
        make={"spec": hosted(adopt=True), "settled": True},
        change=no_host(1),
        steps=("CreateHost",),
        drift=("spec.hosted.ovh.servers[one-2]",),
    ),
    Case(
        "adopted and silent: told, nothing is installed",
        make={"spec": hosted(adopt=True)},
        change=silent,
        reason="RetryingAfterError",
    ),
    Case(
        "an endpoint elsewhere that answers for the first time",
        "servers",
        make={"spec": existing()},
        change=lambda scene: scene.answer(),
        reason="FirstAnswer",
    ),
    Case("an endpoint elsewhere that answers", make={"spec": existing()}),
    Case(
        "an endpoint elsewhere that does not",
        make={"spec": existing()},
        change=silent,
        reason="RetryingAfterError",
        says="connection refused",
    ),
    Case(
        "a password in clear over a public network: not even asked",
        make={"spec": existing("http://1.1.1.1:2633/RPC2")},
        reason="InsecureEndpoint",
        says="use https",
    ),
    Case(
        "plain http to a public host that is allowed by name",
        make={"spec": existing("http://one.example.fr/RPC2")},
        change=lambda scene: scene.world.allowed.add("one.example.fr"),
    ),
]  # fmt: skip


async def missing_secret(cloud):
    from sovereigncloud.ports.errors import MissingSecret  # noqa: PLC0415

    raise MissingSecret("gone")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_plan(case):
    scene = Scene(case.stage, **case.make)
    if case.change:
        case.change(scene)
    plan = scene.plan()
    assert names(plan) == case.steps, case.why
    assert plan.outcome.reason == case.reason, case.why
    assert tuple(d.path for d in plan.drift) == case.drift, case.why
    assert case.says in plan.outcome.message, case.why


# --- what is composed


def composed(spec):
    scene = Scene("nothing", spec)
    return {s.manifest["metadata"]["name"]: s.manifest for s in scene.plan().steps if type(s).__name__ == "ApplyChild"}


def test_a_server_may_be_shown_under_another_name_at_ovhcloud():
    made = composed(hosted(servers=[server("one-1", ["Frontend", "Node"], displayName="ns1.example.eu")]))
    assert made["rbx-one-1"]["spec"]["name"] == "ns1.example.eu"


def test_children_are_named_owned_and_declared():
    reinstall = {"request": "first", "operatingSystem": "ubuntu2404-server_64", "wipeAllDisks": True}
    made = composed(hosted(servers=[server("one-1", ["Frontend", "Node"], reinstall=reinstall)], management="Approve"))
    assert sorted(made) == ["rbx-one-1", "rbx-vm-public", "rbx-vm-vlan100"]
    one = made["rbx-one-1"]
    assert one["spec"] == {
        "name": "one-1",
        "management": "Approve",
        "deletionPolicy": "Retain",
        "ovh": {
            "endpoint": "ovh-eu",
            "credentialsSecretRef": {"name": "ovh"},
            "serviceName": "ns1",
            "vrack": "pn-1",
        },
        "roles": ["Frontend", "Node"],
        "reinstall": reinstall,
    }
    reference = one["metadata"]["ownerReferences"][0]
    assert (reference["uid"], reference["controller"], reference["blockOwnerDeletion"]) == ("c1", True, True)
    assert made["rbx-vm-public"]["spec"] == {
        "name": "vm_public",
        "management": "Approve",
        "deletionPolicy": "Retain",
        "cloudRef": {"name": "rbx"},
        "publicBlock": BLOCK,
    }
    assert made["rbx-vm-vlan100"]["spec"]["vlanID"] == 100
    assert made["rbx-vm-vlan100"]["spec"]["addressRanges"] == [{"ip": "10.100.0.10", "size": 200}]


def test_a_cloud_that_a_person_built_is_never_reinstalled():
    reinstall = {"request": "first", "operatingSystem": "ubuntu2404-server_64"}
    servers = [server("one-1", ["Frontend", "Node"], reinstall=reinstall)]
    assert "reinstall" in composed(hosted(servers=servers))["rbx-one-1"]["spec"]
    assert "reinstall" not in composed(hosted(servers=servers, adopt=True))["rbx-one-1"]["spec"]


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        (hosted(), "Delete"),
        (hosted(adopt=True), "Retain"),
        (hosted(deletionPolicy="Retain"), "Retain"),
        (hosted(adopt=True, deletionPolicy="Delete"), "Delete"),
    ],
)
def test_an_entry_taken_off_the_list_goes_as_it_came(spec, policy):
    scene = Scene("running", spec)
    del spec["spec"]["hosted"]["networks"]
    scene.raw = scene.world.put(spec)
    steps = scene.plan().steps
    deleted = [s.key.name for s in steps if type(s).__name__ == "DeleteChild"]
    assert sorted(deleted) == ["rbx-vm-public", "rbx-vm-vlan100"]
    assert all(s.inside for s in steps)
    before = scene.child("rbx-vm-public", "VirtualNetwork")["spec"]["deletionPolicy"]
    applied = {s.manifest["spec"]["deletionPolicy"] for s in steps if type(s).__name__ == "ApplyChild"}
    assert applied == (set() if before == policy else {policy})


# --- the installation


def test_the_record_comes_before_the_job_and_the_front_end_first():
    scene = Scene("servers")
    run(scene.loop().once())
    digest = inventory_hash(scene.cloud)
    tags = [w for w in scene.account.writes if INSTALLED_TAG in w]
    assert tags == [
        f"tag {INSTALLED_TAG}={digest}:requested:{UNIX}",
        f"tag {INSTALLED_TAG}={digest}",
        f"tag {INSTALLED_TAG}={digest}",
    ]
    assert scene.account.servers["ns1"].tags[INSTALLED_TAG] == digest
    assert scene.world.installer.started == {digest: 1}


def test_the_inventory_tells_bonds_by_mac():
    scene = Scene("servers")
    for child in ("rbx-one-1", "rbx-one-2"):
        scene.child(child)["status"]["interfaces"] = [
            {"uuid": "p", "mode": "public_aggregation", "macs": ["aa:00", "aa:01"]},
            {"uuid": "v", "mode": "vrack_aggregation", "macs": ["bb:00", "bb:01"]},
        ]
    (step,) = scene.plan().steps
    front = step.installation.targets[0]
    assert (front.name, front.address, front.roles) == ("one-1", "127.0.0.11", ("Frontend", "Node"))
    assert (front.public_macs, front.private_macs) == (("aa:00", "aa:01"), ("bb:00", "bb:01"))
    assert step.installation.credentials_secret == "rbx-oneadmin"
    assert (step.action, step.cause) == (Action.INSTALL, Cause.DECLARED)


def test_the_hash_names_what_is_declared_and_nothing_observed():
    scene = Scene("nothing")
    before = inventory_hash(scene.cloud)
    scene.raw["metadata"]["uid"] = "another cluster"
    scene.raw["spec"]["hosted"]["networks"].pop()
    scene.raw["spec"]["hosted"]["ovh"]["servers"].reverse()
    assert inventory_hash(scene.cloud) == before
    scene.raw["spec"]["hosted"]["ovh"]["servers"][0]["roles"] = ["Frontend", "Node"]
    assert inventory_hash(scene.cloud) != before


def test_a_request_to_reinstall_makes_another_inventory():
    """Else the Job of the first run would stand for the second, too."""
    scene = Scene("nothing")
    before = inventory_hash(scene.cloud)
    scene.raw["spec"]["hosted"]["ovh"]["servers"][1]["reinstall"] = {
        "request": "second",
        "operatingSystem": "debian12_64",
    }
    assert inventory_hash(scene.cloud) != before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("ab12", Record("ab12")),
        ("ab12:requested:17", Record("ab12", 17)),
        ("ab12:what", Record("ab12")),
        (WIPED, None),
    ],
)
def test_installation_records(text, expected):
    assert read_record({INSTALLED_TAG: text}) == expected


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.lists(st.sampled_from(["ok", "before", "lost", "late"]), max_size=12),
    starts=st.lists(st.sampled_from(["ok", "before", "lost"]), max_size=3),
    rebuilt=st.integers(0, 12),
)
def test_whatever_is_lost_the_installer_runs_once(faults, starts, rebuilt):
    scene = Scene("nothing")
    world, account = scene.world, scene.account
    account.faults, world.installer.faults = list(faults), list(starts)
    loop = scene.loop()

    async def told():
        for number in range(200):
            looked = await loop.once()
            world.clock.pass_(getattr(looked.outcome, "after", None) or 5.0)
            scene.ready("BareMetalServer")
            for digest, state in list(world.installer.jobs.items()):
                if state.state == "Running" and number % 3 == 2:
                    world.installer.jobs[digest] = InstallState("Succeeded")
                    scene.answer()
            if world.one.version:
                scene.ready("VirtualNetwork")
            if number == rebuilt + 20 and world.one.version:
                loop.raw["status"] = {"observedGeneration": -1}
                loop.raw["metadata"]["uid"] += "x"
                world.installer.jobs.clear()  # its Jobs went with the cluster
            if number > rebuilt + 20 and looked.plan and not looked.performed and looked.outcome.phase is Phase.DONE:
                return looked
        raise AssertionError(looked)

    run(told())
    assert sum(world.installer.started.values()) == 1
    written = len(account.writes), len(world.one.writes), len(world.kubernetes.applied)
    assert not run(loop.once()).performed
    assert written == (len(account.writes), len(world.one.writes), len(world.kubernetes.applied))


# --- from apply to running, with its servers


def test_a_cloud_is_built_from_its_manifest():
    reinstall = {"request": "first", "operatingSystem": "ubuntu2404-server_64"}
    spec = hosted(
        servers=[
            server("one-1", ["Frontend", "Node"], reinstall=reinstall),
            server("one-2", ["Node"], reinstall=reinstall),
        ]
    )
    world = FakeWorld()
    world.put(spec)
    for name, service in SERVICES.items():
        world.account_.add(service, ip=ADDRESSES[name])
    world.account_.blocks = {BLOCK: ""}
    cloud = Loop(world, SovereignCloudController(), KEY)
    servers = [Loop(world, BareMetalServerController(), ("BareMetalServer", "platform", f"rbx-{n}")) for n in ADDRESSES]
    phases = []

    async def build():
        for _ in range(400):
            looked = await cloud.once()
            phases.append(cloud.raw["status"].get("phase"))
            if looked.plan and not looked.plan.steps and looked.outcome.phase is Phase.DONE:
                return
            for one in servers:
                await one.once()
            world.clock.pass_(5)
            jobs = world.installer.jobs
            if any(s.state == "Running" for s in jobs.values()) and phases.count("Installing") > 3:
                jobs.update({d: InstallState("Succeeded") for d in jobs})
                world.one.version = "7.0.1"
                for address in ADDRESSES.values():
                    world.one.host(address)
            for (kind, _, _), raw in world.raw.items():
                if kind == "VirtualNetwork" and "Networks" in phases:
                    raw["status"] = {"observedGeneration": 1, "conditions": READY}
        raise AssertionError(looked)

    run(build())
    assert list(dict.fromkeys(phases)) == ["Servers", "vRack", "Installing", "Hosts", "Networks", "Running"]
    status = cloud.raw["status"]
    assert status["endpoint"] == "http://127.0.0.11:2633/RPC2"
    assert (status["version"], status["zone"], status["hostsReady"]) == ("7.0.1", "OpenNebula", "2/2")
    assert status["credentialsSecret"] == "rbx-oneadmin"
    assert status["hosts"][0] == {"name": "127.0.0.11", "id": "0", "state": "monitored"}
    assert world.account_.reinstalled == {"ubuntu2404-server_64": 2}
    assert sum(world.installer.started.values()) == 1
    assert world.account_.blocks == {BLOCK: "pn-1"}
    assert sum(w.startswith("attach 57") for w in world.account_.writes) == 1


def test_while_the_endpoint_is_down_status_stays():
    scene = Scene(settled=True)
    loop = scene.loop()
    run(loop.once())
    before = {k: scene.raw["status"][k] for k in ("endpoint", "version", "zone", "phase", "hostsReady", "hosts")}
    silent(scene)
    looked = run(loop.once())
    assert looked.outcome.phase is Phase.RETRY
    assert {k: scene.raw["status"][k] for k in before} == before


def test_at_rest_nothing_is_read_per_server_and_nothing_of_the_job():
    scene = Scene(settled=True)
    scene.account.reads.clear()
    assert scene.plan().steps == ()
    assert scene.account.reads == {"view": 1}


# --- where it answers


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (existing(), Endpoint("https://one.example.fr/RPC2", "admin")),
        (hosted(adopt=True), Endpoint("http://127.0.0.11:2633/RPC2", "admin")),
        (hosted(), Endpoint("http://127.0.0.11:2633/RPC2", "rbx-oneadmin")),
    ],
)
def test_the_endpoint_is_known_before_anything_answers(spec, expected):
    scene = Scene("servers", spec)
    assert endpoint_of(scene.cloud, scene.world.get) == expected


def test_the_endpoint_of_a_server_without_address_is_not_known():
    assert endpoint_of(Scene("nothing").cloud, {}.get) is None


@pytest.mark.parametrize(
    ("url", "insecure"),
    [
        ("https://1.1.1.1/RPC2", False),
        ("http://1.1.1.1:2633/RPC2", True),
        ("http://one.example.fr/RPC2", True),
        ("http://allowed.example.fr/RPC2", False),
        ("http://localhost:2633/RPC2", False),
        ("http://127.64.1.10:2633/RPC2", False),
        ("http://192.168.1.4/RPC2", False),
        ("http://[fd00::1]:2633/RPC2", False),
    ],
)
def test_plain_http_only_where_nobody_else_listens(url, insecure):
    assert Endpoint(url, "s").insecure(lambda host: host == "allowed.example.fr") is insecure


# --- the end


def deleting(scene, **spec):
    scene.raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    scene.raw["spec"].update(spec)
    return scene


def instance(scene):
    scene.world.put(
        {
            "kind": "VirtualNetwork",
            "metadata": {"name": "mine", "namespace": "tenant"},
            "spec": {"cloudRef": {"name": "rbx", "namespace": "platform"}, "vlanID": 5},
        }
    )


def vm(scene):
    scene.world.one.vms[7] = Vm(7, "web", 0, 3, 3, "1", 1, 1024, (), (), None, "", "", "")


def gone(scene, kind):
    for key in [k for k in scene.world.raw if k[0] == kind and "deletionTimestamp" in scene.world.raw[k]["metadata"]]:
        del scene.world.raw[key]


def test_a_cloud_in_use_stays():
    scene = deleting(Scene())
    instance(scene)
    plan = scene.plan()
    assert plan.outcome.reason == "InUse"
    assert "VirtualNetwork tenant/mine" in plan.outcome.message
    assert plan.steps == ()


def test_retain_takes_networks_then_servers_and_touches_nothing_outside():
    scene = deleting(Scene())
    silent(scene)
    loop = scene.loop()
    run(loop.once())
    assert sorted(scene.world.kubernetes.deleted) == ["rbx-vm-public", "rbx-vm-vlan100"]
    assert scene.plan().outcome.reason == "DeletingChildren"
    gone(scene, "VirtualNetwork")
    run(loop.once())
    assert sorted(scene.world.kubernetes.deleted)[:2] == ["rbx-one-1", "rbx-one-2"]
    gone(scene, "BareMetalServer")
    plan = scene.plan()
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
    assert SECRET in scene.world.kubernetes.secrets, "a retained cloud's only password"
    assert not scene.account.writes
    assert not scene.world.one.writes


def test_delete_gives_back_in_order_and_takes_the_secret_last():
    scene = deleting(Scene(), deletionPolicy="Delete")
    loop, world = scene.loop(), scene.world
    run(loop.once())
    assert {m["spec"]["deletionPolicy"] for m in world.kubernetes.applied} == {"Delete"}
    assert sorted(world.kubernetes.deleted) == ["rbx-vm-public", "rbx-vm-vlan100"]
    assert world.one.writes == [], "its networks first"
    gone(scene, "VirtualNetwork")
    run(loop.once())
    assert [w for w in world.one.writes if "update" not in w] == [
        "disable host 0", "delete host 0", "disable host 1", "delete host 1",
    ]  # fmt: skip
    assert world.account_.writes == []
    run(loop.once())
    assert world.account_.writes == [f"detach {BLOCK} pn-1"]
    assert len(world.kubernetes.deleted) == 2, "a server goes when all of that is over, and noted"
    for _ in range(5):  # parked, then the marks of block and vRack
        world.clock.pass_(70)
        run(loop.once())
    assert sorted(world.kubernetes.deleted)[:2] == ["rbx-one-1", "rbx-one-2"]
    assert SECRET in world.kubernetes.secrets
    gone(scene, "BareMetalServer")
    run(loop.once())
    assert SECRET not in world.kubernetes.secrets
    world.kubernetes.secrets[SECRET] = {}  # held by the finalizer that guards it until the cloud is released
    assert (scene.plan().steps, scene.plan().outcome.phase) == ((), Phase.DONE)


def test_hosts_that_others_registered_stay():
    scene = deleting(Scene(), deletionPolicy="Delete")
    gone_networks(scene)
    foreign_host(scene)
    assert [s.host_id for s in scene.plan().steps] == [1, 1]


def test_a_block_is_asked_to_leave_once():
    scene = deleting(Scene(), deletionPolicy="Delete")
    gone_networks(scene)
    scene.world.one.hosts.clear()
    scene.raw["status"]["external"] = {"blockAsked": f"{BLOCK} off pn-1@{UNIX - 5}"}
    assert (scene.plan().steps, scene.plan().outcome.reason) == ((), "ReleasingBlock")
    scene.raw["status"]["external"] = {"blockAsked": f"{BLOCK} off pn-1@{UNIX - HOURS}"}
    assert names(scene.plan()) == ("DetachBlock",)


def test_once_it_let_go_its_opennebula_is_not_asked_any_more():
    """It may end with its servers; what it gave back needs it no more."""
    scene = deleting(Scene(settled=True), deletionPolicy="Delete")
    gone_networks(scene)
    scene.raw["status"]["external"] = {"letGo": "yes"}
    silent(scene)
    assert names(scene.plan()).count("DeleteChild") == 2


def gone_networks(scene):
    for key in [k for k in scene.world.raw if k[0] == "VirtualNetwork"]:
        del scene.world.raw[key]


def test_delete_waits_while_any_machine_is_in_it():
    scene = deleting(Scene(settled=True), deletionPolicy="Delete")
    vm(scene)
    plan = scene.plan()
    assert plan.outcome.reason == "InUse"
    assert "VM 7 (web)" in plan.outcome.message
    assert plan.steps == ()


def test_delete_of_an_unreachable_cloud_waits_and_retain_does_not():
    scene = deleting(Scene(settled=True), deletionPolicy="Delete")
    silent(scene)
    assert scene.plan().outcome.phase is Phase.RETRY
    scene.raw["spec"]["deletionPolicy"] = "Retain"
    assert scene.plan().steps


def test_what_is_orphaned_lives_on():
    scene = deleting(Scene())
    scene.raw["metadata"]["finalizers"].append("orphan")
    for raw in scene.world.raw.values():
        raw["metadata"].pop("ownerReferences", None)
    plan = scene.plan()
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_an_endpoint_elsewhere_is_let_go_without_asking_it(policy):
    scene = deleting(Scene("nothing", existing(deletionPolicy=policy)))
    silent(scene)
    assert scene.plan().outcome.phase is Phase.DONE
