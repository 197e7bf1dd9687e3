"""Rights are asked for once for many objects, kept while they are good, and asked again soon where one lacks."""

import asyncio

from tests.fakes import objects
from tests.fakes.api_server import ApiServer
from tests.fakes.engine_bench import scenario as bench
from tests.fakes.objects import NAMESPACE
from tests.fakes.outside import Account, ServerController
from tests.fakes.virtual_time import now, run

from sovereigncloud.api import BareMetalServer
from sovereigncloud.core.outcome import DONE
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.engine.loop.preflight import GRANTED_FOR, REFUSED_FOR, Preflight
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.ports.errors import Auth, Retry

REINSTALL = {"reinstall": {"request": "first", "operatingSystem": "ubuntu2404-server_64"}}
URN = "urn:v1:eu:resource:dedicatedServer:one-1.eu"
LACKS = "dedicatedServer:apiovh:reinstall"


def server(name="one-1"):
    body = objects.server(name)
    body["spec"] |= REINSTALL
    return BareMetalServer.model_validate(body)


class Scene:
    def __init__(self):
        self.api, self.account = ApiServer(), Account()
        self.api.create(NAMESPACE, "ovh", {"clientId": "id", "clientSecret": "secret"})
        self.made = 0
        self.preflight = Preflight(Clients(self.api, None, self.make, clock=now), lambda _: None, now)
        self.rights = self.account.rights

    def make(self, *_):
        self.made += 1
        return self.account

    async def lacking(self, name="one-1", **more):
        outcome = await self.preflight.lacking(server(name), **more)
        return outcome and (outcome.reason, outcome.message)


def scenario(test):
    def wrapper():
        async def body():
            await test(Scene())

        run(body())

    wrapper.__name__ = test.__name__
    return wrapper


@scenario
async def test_what_is_granted_costs_nothing_any_more_for_an_hour(s):
    assert await s.lacking() is None
    asked = len(s.rights.asked)
    await asyncio.sleep(GRANTED_FOR - 1)
    assert await s.lacking() is None
    assert len(s.rights.asked) == asked == 1
    await asyncio.sleep(2)
    await s.lacking()
    assert len(s.rights.asked) == 2


@scenario
async def test_all_that_lacks_is_one_message(s):
    s.rights.refusals[URN] = {LACKS, "dedicatedServer:apiovh:put"}
    reason, message = await s.lacking()
    assert reason == "MissingRights"
    assert f"on dedicatedServer one-1.eu: dedicatedServer:apiovh:put, {LACKS}" in message
    assert "prefecture/ovh" in message


@scenario
async def test_what_lacks_is_asked_again_after_a_minute_and_not_before(s):
    s.rights.refusals[URN] = {LACKS}
    await s.lacking()
    s.rights.refusals.clear()
    await asyncio.sleep(REFUSED_FOR / 2)
    assert await s.lacking()
    assert len(s.rights.asked) == 1
    await asyncio.sleep(REFUSED_FOR / 2)
    assert await s.lacking() is None


@scenario
async def test_a_right_that_was_taken_away_is_found_out_when_a_call_is_refused(s):
    await s.lacking()
    s.rights.refusals[URN] = {LACKS}
    await asyncio.sleep(REFUSED_FOR)
    assert await s.lacking() is None, "nobody asks again without a reason"
    refused = Auth("User not granted", where="OVHcloud POST /v1/dedicated/server/one-1.eu/reinstall")
    outcome = await s.preflight.explained(refused, server())
    assert outcome.reason == "MissingRights"
    assert LACKS in outcome.message


@scenario
async def test_what_another_api_refused_is_not_explained(s):
    s.rights.refusals[URN] = {LACKS}
    assert await s.preflight.explained(Auth("no", where="OpenNebula one.vm.allocate"), server()) is None
    assert await s.preflight.explained(Retry("busy", where="OVHcloud GET /v1/me"), server()) is None


@scenario
async def test_many_at_once_ask_who_they_are_once(s):
    identity, calls = s.rights.identity, []

    async def counted():
        calls.append(1)
        return await identity()

    s.rights.identity = counted
    await asyncio.gather(*(s.lacking(f"one-{number}") for number in range(30)))
    assert len(calls) == 1


@scenario
async def test_a_check_that_does_not_work_holds_nothing_up(s):
    for error in (Retry("down"), Auth("may not even ask")):
        s.rights.error = error
        assert await s.lacking() is None


@scenario
async def test_a_misspelt_name_alone_is_not_called_a_right_that_lacks(s):
    every = {"get", "put", "reinstall", "task/get", "install/status/get", "virtualNetworkInterface/get"}
    every |= {"specifications/hardware/get", "install/compatibleTemplates/get"}
    s.rights.refusals[URN] = {f"dedicatedServer:apiovh:{verb}" for verb in every}
    assert await s.lacking() is None
    s.rights.refusals["urn:v1:eu:resource:account:xx1111-ovh"] = {"account:apiovh:services/get"}
    s.rights.refusals[URN] |= {"account:apiovh:services/get"}
    reason, message = await s.lacking("one-1", anew=True) or (await asyncio.sleep(61), await s.lacking(anew=True))[1]
    assert reason == "MissingRights"
    assert "nothing is granted there: is it in this account?" in message


@scenario
async def test_another_credential_in_the_secret_is_asked_anew(s):
    s.rights.refusals[URN] = {LACKS}
    assert await s.lacking()
    s.account = Account()
    s.api.create(NAMESPACE, "ovh", {"clientId": "other", "clientSecret": "secret"})
    await asyncio.sleep(61)
    assert await s.lacking() is None


@scenario
async def test_nothing_is_kept_of_a_secret_that_nobody_uses(s):
    await s.lacking()
    s.preflight.drop(NAMESPACE, "ovh")
    assert (s.preflight._known, s.preflight._asking) == ({}, {})


# --- in the engine -----------------------------------------------------------------------------------------------------------


class Marking(ServerController):
    """A server that wants one thing to be done to it."""

    def __init__(self):
        self.done = []

    def plan(self, resource, observed, now):
        if self.done:
            return Plan()
        return Plan(steps=(Step(action=Action.UPDATE, target="mark of server"),))

    async def perform(self, step, resource, world):
        self.done.append(step.target)
        return DONE


@bench
async def test_nothing_is_done_while_a_right_lacks_and_then_it_is(b):
    marking = Marking()
    b.api.create(NAMESPACE, "ovh", {"clientId": "id", "clientSecret": "secret"})
    b.account.servers = {"one-1.eu"}
    b.account.rights.refusals = {
        urn: {"account:apiovh:iam/resource/tag/add"} for urn in (URN, "urn:v1:eu:resource:account:xx1111-ovh")
    }
    b.api.apply(objects.server("one-1"))
    make = b.make

    def made():
        engine = make()
        engine._controllers["BareMetalServer"] = marking
        return engine

    b.make = made
    await b.start()
    await b.after(10)
    one = objects.key("one-1", "BareMetalServer")
    assert (marking.done, b.reason(one)) == ([], "Stalled/MissingRights")
    assert "account:apiovh:iam/resource/tag/add" in b.message(one)
    writes = len(b.api.writes)
    await b.after(300)
    assert len(b.api.writes) == writes, "what does not change is not written again"
    b.account.rights.refusals.clear()
    await b.after(2 * REFUSED_FOR)
    assert marking.done == ["mark of server"]
    assert b.ready(one)
    asked = len(b.account.rights.asked)
    await b.after(1000)
    assert len(b.account.rights.asked) == asked, "at rest nobody asks"
