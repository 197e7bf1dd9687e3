"""The reference architectures, how a cloud is reached, and when the installer may run again: in which situation what."""

from dataclasses import dataclass, field, replace

import pytest
from tests.unit.kinds.cloud_fakes import run
from tests.unit.kinds.sovereigncloud.test_plan import UNIX, Scene, hosted, names, server, silent

from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.policy import Policy, decide
from sovereigncloud.kinds.endpoint.access import access_hash
from sovereigncloud.kinds.endpoint.endpoint import Endpoint, endpoint_of, front_end, sunstone_of
from sovereigncloud.kinds.sovereigncloud.installation.records import (
    INSTALLED_TAG,
    RERUNS_TAG,
    WIPED,
    inventory_hash,
    words_with,
)
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import Network, Vm

TLS = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
VIP = {"address": "10.1.0.10", "cidr": 24, "interface": "vrack_bond"}
NAMED = {"fqdn": "one.example.fr", "tls": {"secretRef": {"name": "one-tls"}}}
WHERE = "spec.hosted.openNebula.install.rerun.request"


def spec(architecture="Basic", *, servers=None, access=None, rerun="", **install):
    made = hosted(servers=servers)
    built = made["spec"]["hosted"]
    built["openNebula"]["install"] |= {"architecture": architecture, **install}
    if access:
        built["access"] = access
    if rerun:
        built["openNebula"]["install"]["rerun"] = {"request": rerun}
    return made


def three(**more):
    fronts = [
        server("one-1", ["Frontend", "Node"]),
        server("one-2", ["Frontend", "Node"]),
        server("one-3", ["Frontend"]),
    ]
    return spec("HighlyAvailable", servers=fronts, virtualIP=VIP, **more)


def edge():
    return spec("Edge", servers=[server("one-1", ["Frontend"]), server("one-2", ["Node"], site="lyon")])


class Built(Scene):
    """A scene whose spec may have a third server, and a certificate."""

    def __init__(self, stage="running", spec=None, **more):
        self.third = spec is not None and len(spec["spec"]["hosted"]["ovh"]["servers"]) > 2
        super().__init__(stage, spec, **more)
        self.world.kubernetes.secrets["platform", "one-tls"] = {"tls.crt": TLS, "tls.key": "KEY", "ca.crt": TLS}

    def compose(self):
        if self.third:
            from tests.unit.kinds.cloud_fakes import interfaces  # noqa: PLC0415

            self.account.add("ns-one-3", ip="127.0.0.13", interfaces=interfaces("ns-one-3", vrack="pn-1"))
        super().compose()

    def ready(self, kind):
        from tests.unit.kinds.sovereigncloud import test_plan as test_plan_sovereigncloud  # noqa: PLC0415

        test_plan_sovereigncloud.ADDRESSES["one-3"] = "127.0.0.13"
        try:
            super().ready(kind)
        finally:
            del test_plan_sovereigncloud.ADDRESSES["one-3"]


def machine(scene):
    """A machine runs in the cloud."""
    scene.world.one.vms[7] = Vm(7, "web", 0, 3, 3, "1", 1, 512, (), (), None, "127.0.0.12", "", "")


def change(**fields):
    """Spec as it is after the cloud was built: another access, another word, another server."""

    def changed(scene):
        raw = scene.raw["spec"]["hosted"]
        raw["openNebula"]["install"] |= {k: v for k, v in fields.items() if k != "access"}
        if "access" in fields:
            raw["access"] = fields["access"]

    return changed


def wiped(name):
    return lambda scene: scene.account.servers[name].tags.update({INSTALLED_TAG: WIPED})


def word_used(word):
    def used(scene):
        scene.account.servers["ns1"].tags[RERUNS_TAG] = words_with(scene.cloud, {}, word)

    return used


def remembered(word):
    def used(scene):
        scene.raw["status"]["external"] = {"rerun": words_with(scene.cloud, {}, word)}

    return used


@dataclass
class Case:
    why: str
    changes: tuple = ()
    make: dict = field(default_factory=dict)
    steps: tuple = ()
    needs: bool = False
    reason: str = ""
    says: str = ""


INSTALL = ("InstallOpenNebula",)
CASES = [
    Case("a node was wiped, and there are no machines: the installer runs", (wiped("ns2"),), steps=INSTALL),
    Case("with a machine in the cloud it waits for a word", (machine, wiped("ns2")), steps=INSTALL, needs=True),
    Case(
        "the word is there: it runs, which the word asks for",
        (machine, wiped("ns2"), change(rerun={"request": "again"})),
        steps=INSTALL,
    ),
    Case(
        "a word that was carried out once is no consent to the next",
        (machine, wiped("ns2"), change(rerun={"request": "again"}), word_used("again")),
        steps=INSTALL,
        needs=True,
    ),
    Case(
        "a server is to be reinstalled by the same change: it is told first, and wiped before the installer runs",
        (
            machine,
            change(rerun={"request": "again"}),
            lambda scene: scene.raw["spec"]["hosted"]["ovh"]["servers"][1].update(
                reinstall={"request": "second", "operatingSystem": "ubuntu2404-server_64"}
            ),
        ),
        steps=("ApplyChild",),
        reason="WaitingForServers",
    ),
    Case("a new word alone asks for a run", (machine, change(rerun={"request": "again"})), steps=INSTALL),
    Case(
        "a rebuilt cluster: the word in spec is among those that the front-end remembers, nothing runs",
        (machine, change(rerun={"request": "again"}), word_used("again")),
    ),
    Case(
        "somebody removed that tag: status remembers the word, too",
        (machine, change(rerun={"request": "again"}), remembered("again")),
    ),
    Case("a word that is taken out of spec again asks for nothing", (machine, word_used("again"))),
    Case(
        "access was declared afterwards: the certificate needs a run, and with machines a word",
        (machine, change(access=NAMED)),
        steps=INSTALL,
        needs=True,
    ),
    Case("the same in a cloud without machines", (change(access=NAMED),), steps=INSTALL),
    Case("a name alone changes nothing on the servers", (machine, change(access={"fqdn": "one.example.fr"}))),
    Case(
        "other source ranges are another firewall",
        (machine, change(access={"allowedSourceRanges": ["192.0.2.0/24"]})),
        steps=INSTALL,
        needs=True,
    ),
    Case(
        "the front-end does not answer: whether there are machines is unknown, so a word is needed",
        (silent, wiped("ns2")),
        steps=INSTALL,
        needs=True,
    ),
    Case(
        "the front-end itself was wiped: it knows no machines, and nothing goes on without it",
        (silent, wiped("ns1")),
        steps=INSTALL,
    ),
    Case(
        "begun with consent and ended before the Job was known: it needs no second one",
        (
            machine,
            change(rerun={"request": "again"}),
            word_used("again"),
            lambda scene: scene.account.servers["ns1"].tags.update(
                {INSTALLED_TAG: f"{inventory_hash(scene.cloud)}:requested:{UNIX}"}
            ),
        ),
        steps=INSTALL,
    ),
    Case(
        "a rerun failed and the cloud answers: told with the word to set",
        (
            change(rerun={"request": "again"}),
            word_used("again"),
            lambda scene: scene.install(),
            lambda scene: scene.world.installer.jobs.update(
                {inventory_hash(scene.cloud): InstallState("Failed", "TASK [x] on one-2")}
            ),
        ),
        reason="InstallationFailed",
        says="rerun.request to a new word",
    ),
    Case(
        "and a new word begins the next run",
        (
            lambda scene: scene.world.installer.jobs.update({inventory_hash(scene.cloud): InstallState("Failed", "x")}),
            change(rerun={"request": "third"}),
        ),
        steps=INSTALL,
    ),
    Case(
        "the certificate's Secret is not there: named, and nothing is installed",
        (lambda scene: scene.world.kubernetes.secrets.pop(("platform", "one-tls")),),
        {"spec": spec(access=NAMED), "stage": "servers"},
        reason="WaitingForDependency",
        says="there is no Secret one-tls",
    ),
    Case(
        "it has no key",
        (lambda scene: scene.world.kubernetes.secrets["platform", "one-tls"].pop("tls.key"),),
        {"spec": spec(access=NAMED), "stage": "servers"},
        reason="WaitingForDependency",
        says="no tls.key",
    ),
    Case(
        "what stands there is no certificate",
        (lambda scene: scene.world.kubernetes.secrets["platform", "one-tls"].update({"tls.crt": "secret words"}),),
        {"spec": spec(access=NAMED), "stage": "servers"},
        reason="WaitingForDependency",
        says="is no certificate in PEM",
    ),
    Case("three front-ends: installed once all servers are ready", (), {"spec": three(), "stage": "servers"}, INSTALL),
    Case("three front-ends, installed: nothing", (), {"spec": three()}),
    Case(
        "one of three was replaced: its record is missing, the others say that the cloud was installed",
        (lambda scene: scene.account.servers["ns1"].tags.clear(),),
        {"spec": three()},
        steps=("RecordInstallation",),
    ),
    Case(
        "all three were wiped",
        (silent, wiped("ns1"), wiped("ns2"), wiped("ns-one-3")),
        {"spec": three()},
        steps=INSTALL,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_plan(case):
    scene = Built(**case.make)
    for changed in case.changes:
        changed(scene)
    plan = scene.plan()
    assert names(plan) == case.steps, case.why
    assert [bool(s.needs) for s in plan.steps if hasattr(s, "installation")] == [case.needs] * (case.steps == INSTALL)
    assert plan.outcome.reason == case.reason, case.why
    assert case.says in plan.outcome.message, case.why


def test_what_waits_is_shown_with_the_servers_and_the_word_to_set():
    """As `status.plan` and the condition say it; the suggested word is then consent to exactly this run."""
    scene = Built()
    machine(scene)
    wiped("ns2")(scene)
    decision = decide(scene.plan(), Policy())
    (step,) = decision.published
    assert (step.target, decision.steps) == ("OpenNebula 7.0 on one-1, one-2", ())
    assert decision.outcome.phase is Phase.APPROVAL
    suggested = step.needs.removeprefix(f"{WHERE}: ")
    assert step.needs in decision.outcome.message
    change(rerun={"request": suggested})(scene)
    assert [s.needs for s in scene.plan().steps] == [""]
    word_used(suggested)(scene)
    (again,) = scene.plan().steps
    assert again.needs.removeprefix(f"{WHERE}: ") != suggested, "a word that was used is not suggested again"


def test_a_run_is_recorded_before_its_word_and_its_job():
    scene = Built()
    machine(scene)
    change(rerun={"request": "again"})(scene)
    before = len(scene.account.writes)
    run(scene.loop().once())
    written = [w.partition("=")[0] for w in scene.account.writes[before:]]
    assert written == [f"tag {INSTALLED_TAG}", f"tag {INSTALLED_TAG}", f"tag {RERUNS_TAG}", f"tag {INSTALLED_TAG}"]
    assert list(scene.world.installer.started.values()) == [1]
    assert scene.raw["status"]["external"]["rerun"] == words_with(scene.cloud, {}, "again")


@pytest.mark.parametrize("lost", range(5))
def test_whatever_write_is_lost_a_word_makes_one_run(lost):
    scene = Built()
    machine(scene)
    change(rerun={"request": "again"})(scene)
    scene.account.faults = ["ok"] * lost + ["lost"]
    loop = scene.loop()

    async def go():
        for _ in range(8):
            await loop.once()
            scene.world.clock.pass_(61)
            jobs = scene.world.installer.jobs
            jobs.update({digest: InstallState("Succeeded") for digest in jobs})

    run(go())
    assert list(scene.world.installer.started.values()) == [1]
    assert names(scene.plan()) == ()


def test_the_digests_of_words_fit_into_a_tag():
    scene = Built()
    for number in range(60):
        word_used(f"word-{number}")(scene)
        tag = scene.account.servers["ns1"].tags[RERUNS_TAG]
        scene.raw["status"]["external"] = {}
        assert len(words_with(scene.cloud, {}, tag)) <= 256


# --- where it answers


@pytest.mark.parametrize(
    ("why", "made", "endpoint", "sunstone"),
    [
        (
            "with a certificate by its name, and its authority stands beside it",
            spec(access=NAMED),
            Endpoint("https://one.example.fr/RPC2", "rbx-oneadmin", "one-tls"),
            "https://one.example.fr",
        ),
        (
            "a name without a certificate: the operator keeps to the address, which is private or not",
            spec(access={"fqdn": "one.example.fr"}),
            Endpoint("http://127.0.0.11:2633/RPC2", "rbx-oneadmin"),
            "http://one.example.fr:2616",
        ),
        (
            "several front-ends: by the address of whichever leads",
            three(),
            Endpoint("http://10.1.0.10:2633/RPC2", "rbx-oneadmin"),
            "http://10.1.0.10:2616",
        ),
        (
            "several front-ends with a certificate: by the name, which leads to that address",
            three(access=NAMED),
            Endpoint("https://one.example.fr/RPC2", "rbx-oneadmin", "one-tls"),
            "https://one.example.fr",
        ),
        (
            "nothing is said of access",
            spec(),
            Endpoint("http://127.0.0.11:2633/RPC2", "rbx-oneadmin"),
            "http://127.0.0.11:2616",
        ),
    ],
)
def test_where_it_answers(why, made, endpoint, sunstone):
    scene = Built("servers", made)
    assert endpoint_of(scene.cloud, scene.world.get) == endpoint, why
    assert sunstone_of(scene.cloud, endpoint) == sunstone, why


@pytest.mark.parametrize(
    ("why", "installed", "expected"),
    [
        ("not begun: it is where it was", "0123", "http://127.0.0.11:2633/RPC2"),
        ("begun: it will be there", "0123-{access}", "https://one.example.fr/RPC2"),
        ("begun with another certificate's name", "0123-01234567", "http://127.0.0.11:2633/RPC2"),
    ],
)
def test_a_certificate_declared_afterwards_moves_the_endpoint_once_it_is_brought(why, installed, expected):
    scene = Built(spec=spec(access=NAMED))
    digest = access_hash(scene.cloud.spec.hosted.access)
    scene.raw["status"]["external"] = {"inventory": installed.format(access=digest)}
    assert endpoint_of(scene.cloud, scene.world.get).url == expected, why


def test_status_tells_sunstone_and_the_secret_of_its_administrator():
    scene = Built(spec=spec(access=NAMED))
    scene.raw["status"].pop("endpoint")
    run(scene.loop().once())
    told = scene.raw["status"]
    assert (told["endpoint"], told["sunstone"]) == ("https://one.example.fr/RPC2", "https://one.example.fr")
    assert told["adminSecret"] == told["credentialsSecret"] == "rbx-oneadmin"


def test_of_an_adopted_cloud_nobody_said_where_sunstone_is():
    scene = Scene(spec=hosted(adopt=True))
    run(scene.loop().once())
    assert not {"sunstone", "adminSecret"} & scene.raw["status"].keys()


def test_the_installer_is_told_the_keys_of_hosts_that_were_pinned():
    scene = Built("servers")
    scene.child("rbx-one-2")["status"]["hostKey"] = "ssh-ed25519 AAAA"
    (step,) = scene.plan().steps
    assert [t.host_key for t in step.installation.targets] == ["", "ssh-ed25519 AAAA"]


def test_the_front_ends_are_as_many_as_the_architecture_has():
    assert front_end(Scene("nothing", three()).cloud).name == "one-1"
    two = three()
    two["spec"]["hosted"]["ovh"]["servers"].pop()
    assert front_end(Scene("nothing", two).cloud) is None


# --- the hash


@pytest.mark.parametrize(
    ("why", "one", "other", "same"),
    [
        ("the same", spec(), spec(), True),
        ("what nobody says makes the hash that it always was", spec(), spec(access={"fqdn": "a.example.fr"}), True),
        ("a certificate", spec(), spec(access=NAMED), False),
        ("a word", spec(), spec(rerun="again"), False),
        ("another word", spec(rerun="again"), spec(rerun="third"), False),
        ("a site", spec(), edge(), False),
    ],
)
def test_what_the_hash_names(why, one, other, same):
    first, second = (inventory_hash(Scene("nothing", made).cloud) for made in (one, other))
    assert (first == second) is same, why


def test_the_way_of_ssh_and_the_order_of_ranges_are_no_access():
    from sovereigncloud.api.access import Access  # noqa: PLC0415

    bastion = {"host": "b.example.fr", "user": "jump", "hostKey": "ssh-ed25519 AAAA"}
    ranges = ["192.0.2.0/24", "198.51.100.0/24"]
    one = Access.model_validate({"allowedSourceRanges": ranges})
    other = Access.model_validate({"allowedSourceRanges": ranges[::-1], "bastion": bastion})
    assert access_hash(one) == access_hash(other) != access_hash(None) == access_hash(Access()) == ""


# --- sites


def networks(scene):
    mark = Mark("prod", "VirtualNetwork/platform/rbx-vm-public", "u")
    scene.world.one.networks = {
        4: Network(4, "vm_public", 0, 1, (0,), {}, (), 0, mark),
        5: Network(5, "somebody-elses", 0, 1, (0,), {}, (), 0, None),
    }


def test_the_hosts_of_a_site_become_a_cluster_of_its_name():
    scene = Built(spec=edge())
    networks(scene)
    one = scene.world.one
    run(scene.loop().until_quiet())
    (cluster,) = [c for c in one.clusters.values() if c.name == "lyon"]
    assert {h.name: h.cluster_id for h in one.hosts.values()} == {"127.0.0.12": cluster.id}
    assert cluster.datastores == {0, 1, 2}, "a host runs nothing without"
    assert cluster.networks == {4}, "the networks of this cloud, and nobody else's"
    written = len(one.writes)
    run(scene.loop().once())
    assert len(one.writes) == written


@pytest.mark.parametrize(
    ("why", "what", "observed"),
    [
        (
            "a host was put back into the default cluster",
            lambda one, lyon: one.hosts.update({1: replace(one.hosts[1], cluster_id=0)}),
            "host 1 is in cluster default",
        ),
        (
            "a datastore was taken out",
            lambda one, lyon: one.clusters.update({lyon.id: replace(lyon, datastores=frozenset({0, 2}))}),
            "datastore 1 is in cluster default only",
        ),
        (
            "a network was taken out",
            lambda one, lyon: one.clusters.update({lyon.id: replace(lyon, networks=frozenset())}),
            "network 4 is in cluster default only",
        ),
    ],
)
def test_what_somebody_took_out_of_a_site_is_drift(why, what, observed):
    scene = Built(spec=edge())
    networks(scene)
    run(scene.loop().until_quiet())
    lyon = next(c for c in scene.world.one.clusters.values() if c.name == "lyon")
    what(scene.world.one, lyon)
    plan = scene.plan()
    assert [(d.path, d.desired, d.observed) for d in plan.drift] == [
        ("spec.hosted.ovh.servers[one-2].site", "lyon", observed)
    ], why
    assert names(plan) == ("JoinCluster",)


def test_a_cluster_of_that_name_is_used_not_made_twice():
    scene = Built(spec=edge())
    run(scene.world.one.create_cluster("lyon"))
    run(scene.loop().until_quiet())
    assert scene.world.one.writes.count("create cluster lyon") == 1
