"""The budget of a credential on the wire: whom it is counted for, who goes first, and what holds everything."""

import asyncio
import gc
import time

import pytest

from sovereigncloud.engine.settings import Settings
from sovereigncloud.kinds.planning.urgency import Urgency, at
from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.ovh import Endpoint, Limits, ovh_factory
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import SERVERS, VRACK, add_server
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.world import World

SERVER, SPARE = SERVERS[0], SERVERS[1]
NARROW = Limits(rate=10.0, burst=2, threads=4, timeout=(1.0, 2.0))


@pytest.fixture
async def simulator():
    async with Simulator() as running:
        yield running


def factory(simulator, limits=NARROW):
    connection = simulator.connection()
    where = {"ovh-eu": Endpoint(connection["endpoint"], connection["tokenURL"])}
    return ovh_factory(limits, where)


def oauth2(simulator):
    client = simulator.world.state.service_accounts[0]
    return {"clientId": client.client_id, "clientSecret": client.client_secret}


def keys(simulator):
    key = simulator.world.state.application_keys[0]
    return {
        "applicationKey": key.application_key,
        "applicationSecret": key.application_secret,
        "consumerKey": key.consumer_key,
    }


async def test_two_secrets_with_one_credential_share_a_budget(simulator):
    make = factory(simulator)
    one, same, other = (make("ovh-eu", secret(simulator)) for secret in (oauth2, oauth2, keys))
    began = time.monotonic()
    await asyncio.gather(*(account.server(SERVER) for account in (one, same) for _ in range(4)))
    assert time.monotonic() - began >= 0.55, "two at once, six more at ten a second"
    assert one._calls.budget is same._calls.budget
    assert one._calls.budget is not other._calls.budget, "another credential has a budget of its own"


async def test_a_password_that_was_changed_gives_no_second_budget(simulator):
    make = factory(simulator, Limits(rate=0.01, burst=2))
    before = make("ovh-eu", oauth2(simulator))
    await asyncio.gather(*(before.server(SERVER) for _ in range(2)))
    simulator.world.state.service_accounts[0].client_secret = "rotated"
    assert make("ovh-eu", oauth2(simulator)).allowance.left < 1


async def test_a_budget_is_not_kept_for_a_credential_that_nobody_uses(simulator):
    make = factory(simulator)
    account = make("ovh-eu", oauth2(simulator))
    await asyncio.gather(*(account.server(SERVER) for _ in range(2)))
    del account
    gc.collect()
    assert make("ovh-eu", oauth2(simulator)).allowance.left == 2


async def test_a_persons_call_is_sent_before_those_of_a_sweep_that_stand_in_line(simulator):
    account = factory(simulator, Limits(rate=2.0, burst=2))("ovh-eu", oauth2(simulator))
    await account.server(SERVER)  # the token

    async def asked(urgency, name):
        with at(urgency):
            await account.server(name)

    simulator.journal.reset()
    sweep = [asyncio.create_task(asked(Urgency.RECHECK, SPARE)) for _ in range(6)]
    await asyncio.sleep(0)
    await asyncio.gather(*sweep, asked(Urgency.USER, SERVER))
    sent = [entry.path for entry in simulator.journal.entries()]
    assert next(n for n, path in enumerate(sent) if SERVER in path) <= 3, "most of the sweep was sent after it"


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "Tue, 24 Nov 2026 13:00:30 GMT", "Date": "Tue, 24 Nov 2026 13:00:00 GMT"}, 30.0),
        ({"Retry-After": "Tue, 24 Nov 2026 12:00:00 GMT", "Date": "Tue, 24 Nov 2026 13:00:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
    ],
    ids=["seconds", "a date, by the API's own clock", "a date that is over", "a word"],
)
async def test_a_retry_after_of_either_form_is_kept(simulator, given, waits):
    account = factory(simulator)("ovh-eu", oauth2(simulator))
    simulator.faults.add(fault({"preset": "rate-limited", "count": 1, "path": "/dedicated", "headers": given}))
    with pytest.raises(Retry):
        await account.server(SERVER)
    paused = account.allowance.paused
    assert (29 < paused <= 30) if waits else (4 < paused <= 5), "without a word of the API, a few seconds"


async def test_who_stands_in_line_when_the_api_asks_for_a_long_pause_is_sent_away(simulator):
    account = factory(simulator)("ovh-eu", oauth2(simulator))
    await account.server(SERVER)
    calls = [asyncio.create_task(account.server(SERVER)) for _ in range(6)]
    simulator.faults.add(fault({"preset": "rate-limited", "headers": {"Retry-After": "60"}}))
    began = time.monotonic()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - began < 2, "no worker waits for a minute"
    assert {type(error) for error in errors} == {Retry}
    assert not any(error.maybe_done for error in errors)
    assert len({str(error) for error in errors}) == 1, "and all say the same"


async def test_who_stands_in_line_when_the_api_goes_down_does_not_ask_it(simulator):
    account = factory(simulator, Limits(rate=10.0, burst=5, threads=5, timeout=(1.0, 2.0)))("ovh-eu", oauth2(simulator))
    await account.server(SERVER)
    await asyncio.sleep(0.2)
    simulator.faults.add(fault({"preset": "bad-gateway"}))
    simulator.journal.reset()
    await asyncio.gather(*(account.server(SERVER) for _ in range(12)), return_exceptions=True)
    assert account.allowance.refused
    assert simulator.journal.count() < 8


# --- what a sweep costs ------------------------------------------------------------------------------------------------------

SWEEPS = 5
"""Of the account in five minutes, with the interval that ships."""


@pytest.mark.parametrize(("servers", "requests"), [(1, 4), (35, 4), (200, 5)])
async def test_one_view_of_an_account_costs_a_handful_of_requests(servers, requests):
    world = World()
    world.state.servers.clear()
    for number in range(servers):
        add_server(world.state, f"ns{number}.example.eu", ip=f"192.0.{number // 200}.{number % 200}")
    async with Simulator(world) as simulator:
        account = factory(simulator, Limits(rate=1000.0, burst=1000))("ovh-eu", oauth2(simulator))
        await account.view(0.0, frozenset())  # the token
        simulator.journal.reset()
        view = await account.view(0.0, frozenset({VRACK}))
        assert len(view.servers) == servers
        assert simulator.journal.count() <= requests
        assert simulator.journal.count() == simulator.journal.count("GET"), "and nothing is written"
    assert requests * SWEEPS <= 60
    assert Settings().sweep_interval * SWEEPS == 300
