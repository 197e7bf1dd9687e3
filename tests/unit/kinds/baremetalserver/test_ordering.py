"""Ordering a server: what is shown before, what is bought, and that no crash, loss or delay buys twice."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.kinds.cloud_fakes import GRACE, INSTALLATION, NOON, FakeWorld, Loop, run
from tests.unit.kinds.order_fakes import DELIVERY, PAYMENT_SHOWS, PLAN, PRICE, UNPAID_LIFE, FakeCart, FakeOrder

from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.baremetalserver.ordering.records import Kind, Paper, order_digest, read_paper
from sovereigncloud.ports.ovh.orders import Money

KEY = ("BareMetalServer", "platform", "one-1")
ENOUGH = {"maxPrice": "230.00", "currency": "EUR"}
UNIX = int(NOON.timestamp())


def manifest(name="one-1", *, approval=None, uid="u1", **order):
    wanted = {"planCode": PLAN, "datacenter": "rbx", **order} | ({"approval": approval} if approval else {})
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "BareMetalServer",
        "metadata": {"name": name, "namespace": "platform", "uid": uid},
        "spec": {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "order": wanted}},
    }


def world_with(*, approval=None, **order):
    world = FakeWorld()
    world.put(manifest(approval=approval, **order))
    return world


def plan_of(world, key=KEY):
    async def planned():
        controller = BareMetalServerController()
        resource = controller.resource.model_validate(world.raw[key])
        observed = await controller.observe(resource, world)
        return controller.plan(resource, observed, world.now)

    return run(planned())


def loop_of(world, key=KEY):
    return Loop(world, BareMetalServerController(), key)


def quiet(world, key=KEY):
    return run(loop_of(world, key).until_quiet(4000))


def shop_of(world):
    return world.account_.orders


def order_spec(world):
    resource = BareMetalServerController.resource.model_validate(world.raw[KEY])
    return resource.spec.ovh.order


def paper(world, kind, *, uid="u1", object_="BareMetalServer/platform/one-1", installation=INSTALLATION, **values):
    base = Paper(
        kind=kind,
        mark=Mark(installation, object_, uid),
        plan=PLAN,
        digest=order_digest(order_spec(world)),
        at=UNIX,
    )
    return replace(base, **values)


def with_cart(world, made, *, read_only=False, name="cart-a"):
    shop_of(world).cart_list[name] = FakeCart(name, made.text, UNIX - 100, basket=object(), read_only=read_only)
    return world


def with_order(world, number=77, *, paid=None, plan=PLAN, **values):
    order = FakeOrder(number, UNIX - 90, plan, **values)
    if paid is not None:
        order.payments.append(UNIX - paid)
    shop_of(world).order_list[number] = order
    return world


# --- situations


def fresh(world):
    return world


def filled(world):
    return with_cart(world, paper(world, Kind.CART, filled=True))


def checked_out(world):
    return with_cart(world, paper(world, Kind.CART, filled=True, checkout=UNIX - 90), read_only=True)


def heard_of(world):
    """Checked out, its order recorded in a paper, unpaid."""
    checked_out(with_order(world))
    return with_cart(world, paper(world, Kind.ORDER, order=77), name="note")


def lost(world):
    return with_order(checked_out(world))


def noted(world, *, paid=None, **values):
    checked_out(with_order(world, paid=paid, **values))
    return with_cart(world, paper(world, Kind.ORDER, order=77, paying=UNIX - paid if paid else 0), name="note")


def changed(**values):
    def change(world):
        for name, value in values.items():
            setattr(shop_of(world), name, value)
        return world

    return change


def expired(world):
    shop_of(world).order_list[77].made = UNIX - UNPAID_LIFE - 10
    return world


@dataclass
class Case:
    why: str
    scene: tuple
    steps: tuple = ()
    reason: str = ""
    says: tuple = ()
    approval: dict | None = None
    order: dict = field(default_factory=dict)


ALL = ("OpenCart", "FillCart", "CheckOut", "PayOrder")
CASES = [
    Case("nothing is there: all that would be done is one plan, with about what it costs", (fresh,), ALL),
    Case("a filled cart is priced; ordering waits for consent", (filled,), ("CheckOut", "PayOrder")),
    Case("with consent the same is done", (filled,), ("CheckOut", "PayOrder"), approval=ENOUGH),
    Case(
        "a cart of this name from before the cluster was lost is gone on with",
        (lambda w: with_cart(w, paper(w, Kind.CART, uid="u0", filled=True)),),
        ("CheckOut", "PayOrder"),
    ),
    Case(
        "a cart of another installation is another's, whatever its object is called",
        (lambda w: with_cart(w, paper(w, Kind.CART, installation="other", filled=True)),),
        ALL,
    ),
    Case(
        "a cart for another order of this name is not gone on with",
        (lambda w: with_cart(w, paper(w, Kind.CART, digest="00000000", filled=True)),),
        ALL,
    ),
    Case(
        "dearer than allowed: nothing is bought, both prices are named",
        (filled,),
        reason="PriceAboveLimit",
        says=("230.00 EUR", "229.99 EUR"),
        approval={"maxPrice": "229.99", "currency": "EUR"},
    ),
    Case(
        "a price in another currency is never paid",
        (filled,),
        reason="PriceAboveLimit",
        approval={"maxPrice": "9999", "currency": "USD"},
    ),
    Case(
        "out of stock: it waits, and is looked at again",
        (filled, changed(availability="unavailable")),
        reason="OutOfStock",
        says=("230.00 EUR",),
        approval=ENOUGH,
    ),
    Case(
        "an unknown plan is refused, naming near ones",
        (fresh,),
        reason="NotForSale",
        says=(PLAN,),
        order={"planCode": "24scale1"},
    ),
    Case(
        "a datacentre that does not have it is refused",
        (fresh,),
        reason="NotForSale",
        says=("order.datacenter", "gra"),
        order={"datacenter": "sbg"},
    ),
    Case(
        "a price that is not offered is refused, naming those that are",
        (fresh,),
        reason="NotForSale",
        says=("P1M degressivity12",),
        order={"duration": "P1Y"},
    ),
    Case(
        "two options of one family are refused",
        (fresh,),
        reason="NotForSale",
        says=("memory",),
        order={"options": ["ram-128g-x", "ram-256g-x"]},
    ),
    Case(
        "an unknown option is refused",
        (fresh,),
        reason="NotForSale",
        says=("ram-128g-x",),
        order={"options": ["ram-129g-x"]},
    ),
    Case(
        "the answer to a checkout was lost: its order is found and recorded", (lost,), ("LinkOrder",), approval=ENOUGH
    ),
    Case(
        "the order does not show yet: it is waited for, nothing is ordered again",
        (checked_out,),
        reason="Ordering",
        approval=ENOUGH,
    ),
    Case(
        "an order for another plan is not this object's",
        (checked_out, lambda w: with_order(w, plan="24scale02")),
        reason="Ordering",
        approval=ENOUGH,
    ),
    Case(
        "an order that another object's paper names is not this object's",
        (
            lost,
            lambda w: with_cart(
                w, paper(w, Kind.ORDER, object_="BareMetalServer/platform/one-2", order=77), name="theirs"
            ),
        ),
        reason="Ordering",
        approval=ENOUGH,
    ),
    Case(
        "a cancelled order is nobody's",
        (checked_out, lambda w: with_order(w, cancelled=True)),
        reason="Ordering",
        approval=ENOUGH,
    ),
    Case("an order that is recorded is paid, with consent", (heard_of,), ("PayOrder",), approval=ENOUGH),
    Case("without consent it is not paid", (heard_of,), ("PayOrder",)),
    Case(
        "the order costs more than the quote did: it is not paid",
        (heard_of, changed(price=Money(Decimal("230.01"), "EUR"))),
        reason="PriceAboveLimit",
        says=("order 77", "230.01 EUR"),
        approval=ENOUGH,
    ),
    Case(
        "no payment method: a person adds one",
        (heard_of, changed(method=None)),
        reason="NoPaymentMethod",
        approval=ENOUGH,
    ),
    Case(
        "asked to be paid a moment ago: it is not asked again although it says unpaid",
        (lambda w: noted(w, paid=400),),
        reason="Paying",
        approval=ENOUGH,
    ),
    Case(
        "asked half an hour ago and still unpaid: the request never arrived, and is made again",
        (
            lambda w: checked_out(with_order(w)),
            lambda w: with_cart(w, paper(w, Kind.ORDER, order=77, paying=UNIX - 1801), name="n"),
        ),
        ("PayOrder",),
        approval=ENOUGH,
    ),
    Case("paid: it is delivered, which may take days", (lambda w: noted(w, paid=1000),), reason="Delivering"),
    Case("void unpaid: it is forgotten and ordered anew", (heard_of, expired), ("LapseOrder",), approval=ENOUGH),
    Case(
        "cancelled after it was paid: a person says what next, nothing is ordered",
        (lambda w: noted(w, paid=1000, cancelled=True),),
        reason="OrderCancelled",
        approval=ENOUGH,
    ),
    Case(
        "an earlier object of this name had something else ordered and paid: a person decides",
        (
            lambda w: with_order(w, paid=1000),
            lambda w: with_cart(w, paper(w, Kind.ORDER, order=77, digest="00000000"), name="note"),
        ),
        reason="OrderDiffers",
        says=("77",),
        approval=ENOUGH,
    ),
    Case(
        "an earlier object of this name had something else ordered and not paid: that lapses by itself",
        (
            with_order,
            lambda w: with_cart(w, paper(w, Kind.ORDER, order=77, digest="00000000"), name="note"),
        ),
        ALL,
        approval=ENOUGH,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_plan(case):
    world = world_with(approval=case.approval, **case.order)
    for change in case.scene:
        change(world)
    plan = plan_of(world)
    assert tuple(type(s).__name__ for s in plan.steps) == case.steps, case.why
    assert (plan.outcome.reason or "") == case.reason, plan.outcome
    for words in case.says:
        assert words in plan.outcome.message, plan.outcome
    consented = case.approval is not None
    for step in plan.steps:
        if type(step).__name__ in {"CheckOut", "PayOrder"}:
            assert bool(step.needs) is not consented
            assert step.cost


def test_the_plan_says_what_it_costs_and_what_to_set_before_anything_is_bought():
    world = world_with()
    last = quiet(world)
    order, payment = last.plan.steps
    assert order.cost == "230.00 EUR with tax for the first P1M, in stock"
    assert order.needs == payment.needs == 'spec.ovh.order.approval: {maxPrice: "230.00", currency: EUR}'
    assert shop_of(world).order_list == {}
    assert world.raw[KEY]["status"]["order"] == {"state": "Quoting", "cart": "cart-1", "price": "230.00 EUR"}


def test_before_any_cart_is_made_the_catalogue_says_about_what_it_costs():
    plan = plan_of(world_with(pricingMode="degressivity12"))
    assert plan.steps[-1].cost == "about 118.00 EUR with tax for the first P1M, committed for 12 months, in stock"
    assert "raid-small-x, ram-128g-x" in plan.steps[1].target, "the default, and without one the cheapest"


def test_a_server_of_a_cloud_names_the_cloud_to_write_the_consent_in():
    world = world_with()
    owner = {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": "rbx", "uid": "c"}
    world.raw[KEY]["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    assert (
        plan_of(world)
        .steps[-1]
        .needs.startswith("order.approval of server one-1 in SovereignCloud platform/rbx: {maxPrice:")
    )


def test_from_nothing_to_a_server_that_is_ready_and_marked():
    world = world_with(approval=ENOUGH)
    last = quiet(world)
    shop, status = shop_of(world), world.raw[KEY]["status"]
    assert last.outcome.reason == ""
    (order,) = shop.order_list.values()
    assert len(shop.paid) == 1
    assert status["serviceName"] == status["external"]["serviceName"] == order.domain
    assert world.account_.servers[order.domain].tags["sovereigncloud.io/uid"] == "u1"
    assert status["order"]["state"] == "Delivered"
    assert status["order"]["id"] == order.id
    assert world.now - NOON > timedelta(seconds=DELIVERY), "it waited for days, without a deadline"
    before = len(world.account_.writes), dict(world.account_.reads)
    run(loop_of(world).once())
    assert len(world.account_.writes) == before[0]


def test_three_of_a_kind_whose_answers_were_all_lost_get_a_server_each():
    world = FakeWorld()
    keys = [("BareMetalServer", "platform", f"one-{n}") for n in range(3)]
    for n, key in enumerate(keys):
        world.put(manifest(key[2], approval=ENOUGH, uid=f"u{n}"))
    loops = [loop_of(world, key) for key in keys]
    account, shop = world.account_, shop_of(world)
    real = account._write

    def losing(what, effect):
        if what == "check out":
            account.faults[:] = ["lost"]
        return real(what, effect)

    account._write = losing
    for _ in range(4000):
        looked = [run(one.once()) for one in loops]
        if all(one.plan is not None and one.outcome.phase == 0 for one in looked):
            break
        world.clock.pass_(60)
    names = {world.raw[key]["status"]["serviceName"] for key in keys}
    assert len(names) == len(shop.order_list) == len(shop.paid) == 3


REBUILT_AT = ["open cart", "cart filled", "order made", "order recorded", "paying", "delivering"]


@pytest.mark.parametrize("stage", range(len(REBUILT_AT)), ids=REBUILT_AT)
def test_a_rebuilt_cluster_goes_on_with_the_order_and_never_orders_or_pays_again(stage):
    """Empty etcd, the same manifest, the same installation id, another UID."""
    world = world_with(approval=ENOUGH)
    loop = loop_of(world)

    async def until_stage():
        for _ in range(stage + 1):
            looked = await loop.once()
            world.clock.pass_(looked.outcome.after or 1.0)

    run(until_stage())
    shop = shop_of(world)
    before = (len(shop.order_list), len(shop.paid))
    world.raw[KEY]["status"] = {"observedGeneration": -1}
    world.raw[KEY]["metadata"]["uid"] = "u2"
    world.clock.pass_(GRACE)
    last = quiet(world)
    assert last.outcome.reason == ""
    assert (len(shop.order_list), len(shop.paid)) == (1, 1), f"before the loss: {before}"
    assert world.account_.servers[world.raw[KEY]["status"]["serviceName"]].tags["sovereigncloud.io/uid"] == "u2"


def test_a_paid_order_is_waited_for_before_its_object_goes_with_delete():
    world = world_with(approval=ENOUGH)
    noted(world, paid=1000)
    raw = world.raw[KEY]
    raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    raw["spec"]["deletionPolicy"] = "Delete"
    waiting = plan_of(world)
    assert (waiting.outcome.reason, waiting.steps) == ("Delivering", ())
    assert "Retain" in waiting.outcome.message
    world.clock.pass_(DELIVERY)
    quiet(world)
    assert shop_of(world).ended == {shop_of(world).order_list[77].domain}
    raw["spec"]["deletionPolicy"] = "Retain"
    assert plan_of(world).outcome.reason == ""


def test_an_unpaid_order_holds_up_no_deletion():
    world = world_with(approval=ENOUGH)
    heard_of(world)
    raw = world.raw[KEY]
    raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    raw["spec"]["deletionPolicy"] = "Delete"
    assert (plan_of(world).steps, plan_of(world).outcome.reason) == ((), "")


def test_a_cart_with_which_nothing_was_ordered_goes_with_its_object():
    world = world_with()
    quiet(world)
    raw = world.raw[KEY]
    raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    raw["spec"]["deletionPolicy"] = "Delete"
    quiet(world)
    assert shop_of(world).cart_list == {}


# --- papers


@pytest.mark.parametrize(
    "values",
    [
        {"kind": Kind.CART},
        {"kind": Kind.CART, "filled": True, "checkout": 12},
        {"kind": Kind.ORDER, "order": 7, "paying": 13},
        {"kind": Kind.ORDER, "order": 7, "lapsed": True},
    ],
)
def test_papers_are_read_as_they_were_written(values):
    written = Paper(mark=Mark("prod", "BareMetalServer/a/b", "u"), plan="p", digest="d", at=5, **values)
    assert read_paper(written.text) == written


@pytest.mark.parametrize(
    "text", ["", "mine", "sovereigncloud.io/cart", "sovereigncloud.io/boat installation=a object=b"]
)
def test_what_nobody_of_ours_wrote_is_no_paper(text):
    assert read_paper(text) is None


# --- never twice

FAULTS = ("ok", "ok", "before", "lost", "late", "crash")
EVENTS = ("rebuilt", "forgot", "minute", "hour", "over", "look", "look", "look")


class Story:
    """One order, a loop over it, and what happens to both."""

    def __init__(self, lag):
        self.world = world_with(approval=ENOUGH)
        self.shop = shop_of(self.world)
        self.shop.list_lag = lag
        self.loop = loop_of(self.world)

    def rebuilt(self):
        self.world.clock.pass_(GRACE)
        self.loop.raw["status"] = {"observedGeneration": -1}
        self.loop.raw["metadata"]["uid"] += "x"

    def forgot(self):
        self.loop.raw["status"].pop("external", None)

    def minute(self):
        self.world.clock.pass_(60)

    def hour(self):
        self.world.clock.pass_(3600)

    def look(self):
        pass

    async def told(self, events):
        for event in events:
            looked = await self.loop.once()
            self.world.clock.pass_(getattr(looked.outcome, "after", None) or 5.0)
            if event == "over":
                await self.loop.until_quiet(4000)
            else:
                getattr(self, event)()
        self.world.account_.faults.clear()
        return await self.loop.until_quiet(4000)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=20),
    events=st.lists(st.sampled_from(EVENTS), max_size=10),
    lag=st.sampled_from([0.0, 30.0]),
)
@example(faults=["ok"] * 9 + ["lost"], events=["look"] * 5 + ["rebuilt"], lag=0.0).via(
    "the answer to a payment is lost, and the cluster before the payment shows"
)
@example(faults=["ok", "ok", "late", "ok", "ok", "ok", "late"], events=["over"], lag=30.0).via(
    "that the cart is filled is written late, over that it was checked out, and the order is not listed yet"
)
@example(faults=["ok", "ok", "ok", "ok", "lost", "late", "late"], events=["over"], lag=30.0).via(
    "which order it is is written twice, and the second paper is listed after the attempt to pay was written on the first"
)
def test_whatever_happens_one_server_is_paid_for_once(faults, events, lag):
    story = Story(lag)
    story.world.account_.faults = list(faults)
    last = run(story.told(events))
    assert len(story.shop.paid) == 1, story.world.account_.writes
    assert last.outcome.reason == "", last.outcome
    assert PAYMENT_SHOWS < 1800
    assert PRICE.amount == Decimal(230)
