"""Between which sites latency is measured, how often, and what becomes of it."""

import asyncio
import logging
from copy import deepcopy

import pytest
from tests.fakes import objects
from tests.fakes.engine_bench import scenario
from tests.fakes.objects import NAMESPACE
from tests.unit.project.test_examples import named

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.base import PAUSED, Key
from sovereigncloud.kinds.endpoint.endpoint import server_key
from sovereigncloud.kinds.federatedzone.latency_routes import Site, routes, site_of
from sovereigncloud.ports.errors import Auth
from sovereigncloud.ports.installer.federation import Login
from sovereigncloud.ports.installer.installation import JumpHost
from sovereigncloud.ports.latency import Address, Trip

HOST_KEY = "ssh-ed25519 AAAAC3Nz"
SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----"
INTERVAL = 600.0


def entrance(host, **more):
    return {"host": host, "user": "root", "privateKeySecretRef": {"name": "key"}, "hostKey": HOST_KEY} | more


def existing(name, *, entered=True, endpoint="", ssh=None, **more):
    told = {
        "endpoint": endpoint or f"https://{name}.example.fr/RPC2",
        "credentialsSecretRef": {"name": "one"},
        **({"ssh": ssh or entrance(f"{name}.example.fr")} if entered else {}),
    }
    return objects.cloud(name, spec={"existing": told}, **more)


# --- between which ---------------------------------------------------------------------------------------------------------


def site(body, ssh_port=22, **children):
    return site_of(SovereignCloud.model_validate(body), lambda key: children.get(key.name), ssh_port)


PARIS = Key("SovereignCloud", NAMESPACE, "paris")
EXISTING = [
    (
        "as spec says",
        existing("paris"),
        Site(PARIS, Address("paris.example.fr", 443), Login("paris.example.fr", 22, "root", "key", HOST_KEY)),
    ),
    (
        "the port of the endpoint",
        existing("paris", entered=False, endpoint="http://10.0.0.1:2633/RPC2"),
        Site(PARIS, Address("10.0.0.1", 2633)),
    ),
    (
        "http's own port",
        existing("paris", entered=False, endpoint="http://10.0.0.1/RPC2"),
        Site(PARIS, Address("10.0.0.1", 80)),
    ),
    (
        "where nobody may log in others are still measured to it",
        existing("paris", entered=False),
        Site(PARIS, Address("paris.example.fr", 443)),
    ),
    ("nothing is done for one that is paused", existing("paris", annotations={PAUSED: "true"}), None),
]


@pytest.mark.parametrize(("why", "body", "expected"), EXISTING, ids=[row[0] for row in EXISTING])
def test_how_a_site_is_entered_and_where_it_answers(why, body, expected):
    assert site(body) == expected, why


def test_nothing_is_measured_of_one_that_is_being_deleted():
    body = existing("paris")
    body["metadata"] |= {"deletionTimestamp": "2026-11-24T00:00:00Z", "finalizers": ["x"]}
    assert site(body) is None


def hosted(*, host_key=HOST_KEY, ssh_port=22, bastion=None, front_ends=1):
    """The example's cloud on servers."""
    body = deepcopy(named("SovereignCloud")["ovh-rbx"]) | {"status": {}}
    if front_ends > 1:
        body["spec"]["hosted"]["openNebula"]["install"]["architecture"] = "HighlyAvailable"
        server = body["spec"]["hosted"]["ovh"]["servers"][0]
        body["spec"]["hosted"]["ovh"]["servers"] = [server | {"name": f"one-{number}"} for number in range(front_ends)]
    if bastion:
        body["spec"]["hosted"].setdefault("access", {})["bastion"] = bastion
    cloud = SovereignCloud.model_validate(body)
    servers = {}
    for server in cloud.spec.hosted.ovh.servers:
        key = server_key(cloud, server)
        child = objects.server(key.name, namespace=key.namespace)
        child["status"] = {"address": "198.51.100.7"} | ({"hostKey": host_key} if host_key else {})
        servers[key.name] = BareMetalServer.model_validate(child)
    return site_of(cloud, lambda key: servers.get(key.name), ssh_port)


def test_a_cloud_on_servers_is_entered_as_its_installer_enters_it():
    login = hosted(ssh_port=2222).login
    assert login == Login("198.51.100.7", 2222, "ubuntu", "ovh-rbx-oneadmin", HOST_KEY)
    through = hosted(
        bastion={"host": "b.example.fr", "user": "jump", "hostKey": HOST_KEY, "privateKeySecretRef": {"name": "b"}}
    )
    assert through.login.jump_host == JumpHost("b.example.fr", 22, "jump", HOST_KEY, "b")
    assert hosted(front_ends=3).login.host == "198.51.100.7", "one of several front-ends stands where they all do"


NOT_ENTERED = [
    ("whose host key nobody proved: the first that answers is not believed", {"host_key": ""}),
    ("whose SSH nobody is to ask", {"ssh_port": 0}),
]


@pytest.mark.parametrize(("why", "given"), NOT_ENTERED, ids=[row[0] for row in NOT_ENTERED])
def test_a_cloud_on_servers_is_not_entered(why, given):
    found = hosted(**given)
    assert found.login is None, why
    assert found.address.host


def test_routes_lead_from_where_one_may_log_in_to_every_other_cloud_of_the_namespace():
    paris, lyon = site(existing("paris")), site(existing("lyon", entered=False))
    metz, theirs = site(existing("metz")), site(existing("theirs", namespace="another"))
    found = {(one.cloud.name, other.cloud.name) for one, other in routes([paris, lyon, metz, theirs])}
    assert found == {("paris", "lyon"), ("paris", "metz"), ("metz", "paris"), ("metz", "lyon")}


# --- how often, and what becomes of it -----------------------------------------------------------------------------------------


class Sites:
    """Everything is 12 ms away, except what is said here."""

    def __init__(self):
        self.asked, self.answers, self.at_once, self.most, self.error = [], {}, 0, 0, None

    async def trips(self, entry, targets):
        self.asked.append((entry, tuple(targets)))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(1.0)
        self.at_once -= 1
        if self.error:
            raise self.error
        return {target: self.answers.get(target.host, Trip(0.012)) for target in targets}


async def two_clouds(b, *others):
    b.sites = Sites()
    b.api.create(NAMESPACE, "key", {"sshPrivateKey": SECRET})
    for body in (existing("paris"), existing("lyon", entered=False), *others):
        b.api.apply(body)
    await b.start()
    await b.after(30)


def metric(b, one, other):
    labels = {"from": f"{NAMESPACE}/{one}", "to": f"{NAMESPACE}/{other}"}
    return b.metrics.registry.get_sample_value("sovereign_site_latency_seconds", labels)


def cloud(name):
    return Key("SovereignCloud", NAMESPACE, name)


@scenario
async def test_it_is_measured_once_in_ten_minutes_and_stands_in_no_status(b):
    await two_clouds(b)
    ((entry, targets),) = b.sites.asked
    assert (entry.login.host, entry.key) == ("paris.example.fr", SECRET)
    assert targets == (Address("lyon.example.fr", 443),)
    assert metric(b, "paris", "lyon") == 0.012
    assert metric(b, "lyon", "paris") is None, "nobody may log in there"
    between = b.engine.distances.between
    assert between(cloud("paris"), cloud("lyon")) == between(cloud("lyon"), cloud("paris")) == 12.0
    b.quiet()
    await b.after(INTERVAL - 60)
    assert len(b.sites.asked) == 1
    b.sites.answers["lyon.example.fr"] = Trip(0.034)
    await b.after(120)
    assert len(b.sites.asked) == 2
    assert metric(b, "paris", "lyon") == 0.034
    assert b.api.writes == []


@scenario
async def test_of_two_ways_the_quicker_counts(b):
    await two_clouds(b, existing("metz"))
    b.sites.answers = {"paris.example.fr": Trip(0.05), "metz.example.fr": Trip(0.007)}
    await b.after(INTERVAL + 60)
    assert b.engine.distances.between(cloud("metz"), cloud("paris")) == 7.0


@scenario
async def test_why_it_is_not_measured_is_said_once(b):
    log = Log()
    try:
        await two_clouds(b)
        b.sites.answers["lyon.example.fr"] = Trip(None, "sshd there does not forward")
        await b.after(3 * INTERVAL)
        assert metric(b, "paris", "lyon") is None
        b.sites.error = Auth("it has another host key", where="SSH paris.example.fr:22")
        await b.after(2 * INTERVAL)
        b.sites.error, b.sites.answers = None, {}
        await b.after(2 * INTERVAL)
        assert metric(b, "paris", "lyon") == 0.012
    finally:
        log.end()
    way = f"latency from {NAMESPACE}/paris to {NAMESPACE}/lyon"
    assert log.said == [
        f"{way} is not measured: sshd there does not forward",
        f"{way} is not measured: SSH paris.example.fr:22: it has another host key",
        f"{way} is measured",
    ]
    assert b.ready(cloud("paris")), "no state of anything"


class Log:
    """What distances say, at the level info."""

    def __init__(self):
        self.said, self._logger = [], logging.getLogger("sovereigncloud.engine.views.latency_probes")
        self._handler = logging.Handler()
        self._handler.emit = lambda record: self.said.append(record.getMessage())
        self._before = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self._handler)

    def end(self):
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._before)


@scenario
async def test_an_error_of_ours_is_tried_again_when_its_time_comes_and_holds_up_nobody(b):
    await two_clouds(b, existing("metz"))
    b.sites.error = TypeError("a defect")
    asked = len(b.sites.asked)
    await b.after(INTERVAL + 60)
    assert len(b.sites.asked) == asked + 2, "each of the two once"
    assert metric(b, "metz", "paris") is None
    b.sites.error = None
    await b.after(INTERVAL)
    assert metric(b, "metz", "paris") == metric(b, "paris", "metz") == 0.012


@scenario
async def test_without_the_key_nobody_knocks_and_its_name_is_said(b):
    log = Log()
    try:
        b.api.create(NAMESPACE, "other", {"nothing": "x"})
        await two_clouds(b, existing("metz", ssh=entrance("metz.example.fr", privateKeySecretRef={"name": "other"})))
    finally:
        log.end()
    assert {entry.login.host for entry, _ in b.sites.asked} == {"paris.example.fr"}
    assert any(line.endswith(f"Secret {NAMESPACE}/other has no sshPrivateKey") for line in log.said)


@scenario
async def test_nobody_knocks_where_a_cloud_does_not_answer(b):
    b.outside.fail("view", Auth("no"), times=1000)
    await two_clouds(b)
    assert b.sites.asked == []


@scenario
async def test_what_is_not_measured_any_more_is_not_believed_for_ever(b):
    await two_clouds(b)
    b.outside.fail("view", Auth("no"), times=10_000)
    await b.after(2 * INTERVAL)
    assert metric(b, "paris", "lyon") == 0.012, "a cloud that is silent for a while is as far as it was"
    await b.after(2 * INTERVAL)
    assert metric(b, "paris", "lyon") is None
    assert b.engine.distances.between(cloud("paris"), cloud("lyon")) is None


@scenario
async def test_with_a_cloud_go_its_distances(b):
    await two_clouds(b)
    b.api.apply(existing("lyon", entered=False, annotations={PAUSED: "true"}))
    await b.after(60)
    assert metric(b, "paris", "lyon") is None


@scenario(site_latency_interval=0)
async def test_where_it_is_switched_off_nobody_logs_in(b):
    await two_clouds(b)
    await b.after(INTERVAL)
    assert b.sites.asked == []


@scenario
async def test_few_sites_are_entered_at_once(b):
    await two_clouds(b, *(existing(f"site-{number}") for number in range(9)))
    assert len(b.sites.asked) == 10
    assert b.sites.most == 4
