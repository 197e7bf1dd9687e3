"""Servers live in an account, not in a cloud: read together, and braked for the cloud that is built on them."""

from tests.fakes import objects
from tests.fakes.engine_bench import scenario
from tests.fakes.objects import CLOUD, NAMESPACE, key, server

from sovereigncloud.ports.errors import Auth, Retry

ONE, TWO = key("one-1", "BareMetalServer"), key("one-2", "BareMetalServer")


async def two_servers(b, **owned):
    b.api.create(NAMESPACE, "ovh", {"clientId": "id", "clientSecret": "secret"})
    b.account.servers = {"one-1.eu", "one-2.eu"}
    for name in ("one-1", "one-2"):
        b.api.apply(server(name, **owned))
    await b.start()
    await b.after(10)
    assert b.ready(ONE)
    assert b.ready(TWO)


async def built_on_them(b):
    b.api.apply(objects.cloud(endpoint=None))
    uid = b.api.objects[CLOUD]["metadata"]["uid"]
    owner = {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "SovereignCloud",
        "name": "paris",
        "uid": uid,
        "controller": True,
    }
    await two_servers(b, ownerReferences=[owner])


@scenario
async def test_at_rest_one_read_serves_all_servers_of_an_account(b):
    await two_servers(b)
    b.quiet()
    views = b.account.views
    await b.after(600)
    assert 9 <= b.account.views - views <= 11
    assert b.api.writes == []
    assert b.account.asked == []


@scenario
async def test_a_server_of_nobodys_cloud_that_is_gone_is_found_out(b):
    await two_servers(b)
    b.account.servers.discard("one-1.eu")
    await b.after(130)
    assert b.reason(ONE) == "Stalled/ExternallyDeleted"
    assert b.ready(TWO)


@scenario
async def test_one_server_of_a_cloud_that_is_gone_is_found_out(b):
    await built_on_them(b)
    b.account.servers.discard("one-1.eu")
    await b.after(200)
    assert b.reason(ONE) == "Stalled/ExternallyDeleted"


@scenario
async def test_all_servers_of_a_cloud_at_once_are_held(b):
    await built_on_them(b)
    b.account.servers.clear()
    await b.after(200)
    assert b.account.asked == []
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"
    assert b.ready(ONE)
    b.account.servers = {"one-1.eu", "one-2.eu"}
    await b.after(70)
    assert b.reason(CLOUD) == "Ready/AsDeclared"


@scenario
async def test_an_account_that_nobody_names_any_more_is_not_read(b):
    await two_servers(b)
    for which in (ONE, TWO):
        b.api.delete(which)
    await b.after(130)
    views = b.account.views
    await b.after(600)
    assert b.account.views == views
    assert b.engine.watches.accounts == {}
    b.api.apply(server("one-1"))
    await b.after(10)
    assert b.ready(ONE)


@scenario
async def test_an_account_that_does_not_answer_and_is_named_by_nobody_is_left_too(b):
    await two_servers(b)
    b.account.error = Auth("revoked")
    for which in (ONE, TWO):
        b.api.delete(which)
    await b.after(300)
    assert b.engine.watches.accounts == {}


@scenario
async def test_an_account_that_does_not_answer_is_said_on_its_servers(b):
    await two_servers(b)
    b.account.error = Retry("HTTP 503")
    await b.after(120)
    assert b.reason(ONE) == "Reconciling/RetryingAfterError"
    assert b.ready(ONE)
    b.account.error = None
    await b.after(120)
    assert b.reason(ONE) == "Ready/AsDeclared"


@scenario
async def test_a_vrack_that_was_not_read_along_is_read_before_anything_is_said_of_it(b):
    await two_servers(b)
    b.api.apply(server("one-1", vrack="pn-1"))
    await b.after(5)
    assert b.ready(ONE)
    assert b.account.vracks[-1] == {"pn-1"}
