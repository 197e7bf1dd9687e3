"""Ordering behind the port `Shop`, against the simulator's catalogue, carts, orders and payments."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.contract.test_ovh_adapter import FAST, endpoint, failure, secret, until

from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.kinds.baremetalserver.ordering.cart import choose, in_stock
from sovereigncloud.ports.errors import Conflict, NotFound, OutsideError, Rejected
from sovereigncloud.ports.ovh.orders import Money
from sovereigncloud.providers.ovh import ovh_factory
from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.seed import SERVERS
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.world import World

PLAN = "24scale01"
ORDER = ServerOrder.model_validate({"planCode": PLAN, "datacenter": "rbx"})
PRICE = Money(Decimal("274.79"), "EUR")  # (129.99 a month + 99.00 once) and 20 % of tax


@pytest.fixture
async def simulator():
    world = World()
    timing = world.state.timing
    timing.cart_listed_after = timing.order_listed_after = 0.0
    timing.payment = timing.check = timing.delivery = 0.1
    async with Simulator(world) as running:
        yield running


@pytest.fixture(params=["keys", "oauth2"])
def shop(request, simulator):
    make = ovh_factory(FAST, {"ovh-eu": endpoint(simulator)})
    return make("ovh-eu", secret(simulator, request.param)).orders


async def basket(shop, order=ORDER):
    return choose(order, await shop.catalogue(order.plan_code)).basket


async def filled(shop):
    cart = await shop.open_cart("mine")
    await shop.fill_cart(cart, await basket(shop))
    return cart


def since():
    return datetime.now(UTC) - timedelta(hours=1)


async def test_the_catalogue_tells_what_is_needed_to_choose_and_about_what_it_costs(shop):
    found = await shop.catalogue(PLAN)
    choice = choose(ORDER, found)
    assert found.plans == {"24scale01", "24scale02"}
    assert choice.problem is None
    assert choice.estimate == PRICE
    assert dict(choice.basket.settings) == {
        "dedicated_datacenter": "rbx",
        "dedicated_os": "none_64.en",
        "region": "europe",
    }
    assert [o.split("-")[0] for o in choice.basket.options] == ["bandwidth", "ram", "softraid", "vrack"]
    assert (await shop.catalogue("moon01")).offer is None


async def test_the_catalogue_is_megabytes_and_read_once(simulator, shop):
    for plan in (PLAN, "24scale02", PLAN):
        await shop.catalogue(plan)
    assert simulator.journal.count("GET", "/order/catalog/public/baremetalServers") == 1


async def test_stock_is_told_for_the_datacentre_that_is_asked_for(simulator, shop):
    options = (await basket(shop)).options
    assert in_stock(await shop.stock(PLAN, "rbx"), options)
    tamper.change_shop(simulator.world, {"stock": {PLAN: "unavailable"}})
    assert not in_stock(await shop.stock(PLAN, "rbx"), options)


async def test_a_cart_is_filled_priced_and_ordered_once_and_nothing_is_paid(simulator, shop):
    cart = await filled(shop)
    assert await shop.quote(cart) == PRICE
    number = await shop.check_out(cart)
    assert (await shop.cart(cart)).read_only
    assert await shop.orders(since()) == (number,)
    assert await shop.status(number) == "notPaid"
    assert (await shop.bill(number)).price == PRICE
    assert simulator.world.state.orders[number].payments == []
    assert isinstance(await failure(shop.check_out(cart)), Conflict)
    assert len(simulator.world.state.orders) == 1


async def test_filling_again_changes_nothing_and_mends_what_is_too_much(simulator, shop):
    cart = await filled(shop)
    items = [i.plan for i in simulator.world.state.carts[cart].items]
    simulator.journal.reset()
    await shop.fill_cart(cart, await basket(shop))
    assert simulator.journal.count("POST") == 0
    simulator.world.state.carts[cart].items[0].quantity = 2  # somebody's hand
    await shop.fill_cart(cart, await basket(shop))
    assert sorted(i.plan for i in simulator.world.state.carts[cart].items) == sorted(items)
    assert await shop.quote(cart) == PRICE


@pytest.mark.parametrize("nth", range(1, 10))
async def test_a_lost_answer_while_filling_leaves_nothing_twice(simulator, shop, nth):
    cart = await shop.open_cart("mine")
    path = f"/order/cart/{cart}/(item|baremetal)"
    simulator.faults.add(fault({"kind": "lost-response", "method": "POST", "path": path, "nth": nth, "count": 1}))
    for _ in range(3):
        try:
            await shop.fill_cart(cart, await basket(shop))
        except OutsideError:
            continue
    assert await shop.quote(cart) == PRICE


async def test_carts_are_found_by_description_also_without_their_ids(shop):
    cart = await shop.open_cart("mine")
    await shop.describe_cart(cart, "mine filled")
    assert [(c.id, c.description, c.read_only) for c in await shop.carts()] == [(cart, "mine filled", False)]
    await shop.drop_cart(cart)
    await shop.drop_cart(cart)
    assert await shop.carts() == ()
    assert await shop.cart(cart) is None


async def test_the_description_of_a_cart_that_was_checked_out_stays(shop):
    cart = await filled(shop)
    await shop.check_out(cart)
    assert isinstance(await failure(shop.describe_cart(cart, "other")), Conflict)


async def test_a_paid_order_is_delivered_after_a_while_and_names_its_server(simulator, shop):
    number = await shop.check_out(await filled(shop))
    assert [line.domain for line in await shop.lines(number) if line.plan_code == PLAN] == [""]
    await shop.pay(number, await shop.payment_method())

    async def delivered():
        return await shop.status(number) == "delivered"

    await until(delivered)
    (name,) = [line.domain for line in await shop.lines(number) if line.plan_code == PLAN]
    assert simulator.world.state.servers[name].document["region"] == "eu-west-rbx"
    assert isinstance(await failure(shop.pay(number, await shop.payment_method())), Conflict)
    assert len(simulator.world.state.orders[number].payments) == 1


async def test_until_a_payment_shows_a_second_one_is_taken_too(simulator, shop):
    """Why an order is never paid twice only because it still says that it is unpaid."""
    simulator.world.state.timing.payment = 60.0
    number = await shop.check_out(await filled(shop))
    for _ in range(2):
        await shop.pay(number, await shop.payment_method())
    assert await shop.status(number) == "notPaid"
    assert len(simulator.world.state.orders[number].payments) == 2


async def test_an_unpaid_order_becomes_void_and_a_cart_expires(simulator, shop):
    timing = simulator.world.state.timing
    timing.order_life, timing.cart_life = 0.2, 0.5
    cart = await filled(shop)
    number = await shop.check_out(cart)

    async def void():
        return await shop.status(number) == "cancelled"

    async def gone():
        return await shop.cart(cart) is None

    await until(void)
    await until(gone)


async def test_new_carts_and_orders_are_missing_in_the_lists_for_a_while(simulator, shop):
    timing = simulator.world.state.timing
    timing.cart_listed_after = timing.order_listed_after = 60.0
    cart = await filled(shop)
    number = await shop.check_out(cart)
    assert (await shop.carts(), await shop.orders(since())) == ((), ())
    assert (await shop.cart(cart)).id == cart
    assert await shop.status(number) == "notPaid"


async def test_an_account_without_a_payment_method_says_so(simulator, shop):
    tamper.change_shop(simulator.world, {"payment_methods": {}})
    assert await shop.payment_method() is None


async def test_what_is_not_sold_is_refused(shop):
    cart = await shop.open_cart("mine")
    wrong = (await basket(shop)).__class__(PLAN, "P3M", "default", (), ())
    assert isinstance(await failure(shop.fill_cart(cart, wrong)), Rejected)
    assert isinstance(await failure(shop.quote(cart)), Rejected)
    assert isinstance(await failure(shop.status(1)), NotFound)


async def test_a_server_is_set_to_end_at_its_expiration_and_nothing_else_of_it_changes(simulator, shop):
    server = simulator.world.state.servers[SERVERS[0]]
    server.renew_period, server.engaged_until = 3, server.expires
    before = await shop.renewal(SERVERS[0])
    assert (before.ends, before.committed_until) == (False, before.expires)
    await shop.end_at_expiration(SERVERS[0])
    after = await shop.renewal(SERVERS[0])
    assert (after.ends, after.expires, server.renew_period) == (True, before.expires, 3)
    assert isinstance(await failure(shop.renewal("ns1.example.org")), NotFound)
