"""An in-memory stand-in for the shop: tiny, and as unkind as the real one may be."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from sovereigncloud.ports.errors import Conflict, NotFound
from sovereigncloud.ports.ovh.orders import (
    Bill,
    Cart,
    Catalogue,
    Family,
    Line,
    Money,
    Offer,
    Pricing,
    Renewal,
    Setting,
    Stock,
)

PLAN = "24scale01"
PAYMENT_SHOWS = 480.0  # seconds; payments were seen to take 8 minutes
DELIVERY = 2 * 86400.0
UNPAID_LIFE = 14 * 86400.0


def pricing(price, mode="default", duration="P1M", *, setup=False, commitment=0):
    return Pricing(mode, duration, Decimal(price), commitment, setup)


OFFER = Offer(
    plan_code=PLAN,
    currency="EUR",
    pricings=(
        pricing("99.00", setup=True, duration=""),
        pricing("130.00"),
        pricing("117.00", "degressivity12", commitment=12),
    ),
    families=(
        Family("memory", mandatory=True, default="ram-128g-x", options=("ram-128g-x", "ram-256g-x")),
        Family("storage", mandatory=True, default="", options=("raid-big-x", "raid-small-x")),
        Family("extras", mandatory=False, default="", options=("backup-x",)),
    ),
    settings=(
        Setting("dedicated_datacenter", mandatory=True, values=("rbx", "gra")),
        Setting("dedicated_os", mandatory=True, values=("none_64.en",)),
        Setting("region", mandatory=True, values=("europe",)),
    ),
    option_prices={
        option: (pricing(price), pricing(price, "degressivity12", commitment=12))
        for option, price in [
            ("ram-128g-x", "0.00"),
            ("ram-256g-x", "90.00"),
            ("raid-big-x", "40.00"),
            ("raid-small-x", "1.00"),
        ]
    }
    | {"backup-x": (pricing("12.00"),)},
)
PRICE = Money(Decimal("230.00"), "EUR")


@dataclass
class FakeCart:
    id: str
    description: str
    made: float
    basket: object = None
    read_only: bool = False


@dataclass
class FakeOrder:
    id: int
    made: float
    plan: str
    payments: list = field(default_factory=list)
    cancelled: bool = False
    domain: str = ""


class FakeShop:
    """Carts and orders of a FakeOvh, which delivers into that account."""

    def __init__(self, account):
        self.account, self.clock = account, account.clock
        self.offer = OFFER
        self.price = PRICE
        self.availability = "72H"
        self.method = 4711
        self.list_lag = 0.0
        self.cart_list = {}
        self.order_list = {}
        self.ended = set()
        self._ids = 0

    @property
    def now(self):
        return self.clock.now.timestamp()

    def number(self):
        self._ids += 1
        return self._ids

    def _do(self, what, effect):
        return self.account._write(what, effect)

    @property
    def paid(self):
        return [moment for order in self.order_list.values() for moment in order.payments]

    # -- reads

    async def catalogue(self, plan_code):
        found = self.offer if self.offer.plan_code == plan_code else None
        return Catalogue(found, frozenset({self.offer.plan_code}))

    async def stock(self, plan_code, datacenter):
        return (Stock("ram-128g", "raid", self.availability),)

    def _cart(self, cart):
        return Cart(cart.id, cart.description, cart.read_only)

    async def carts(self):
        self.account.settle()
        return tuple(self._cart(c) for c in self.cart_list.values() if c.made + self.list_lag <= self.now)

    async def cart(self, cart_id):
        self.account.settle()
        cart = self.cart_list.get(cart_id)
        return self._cart(cart) if cart else None

    async def quote(self, cart_id):
        assert self.cart_list[cart_id].basket is not None
        return self.price

    async def orders(self, since):
        self.account.settle()
        moment = since.timestamp()
        return tuple(o.id for o in self.order_list.values() if o.made >= moment and o.made + self.list_lag <= self.now)

    def _order(self, order_id):
        self.account.settle()
        if order_id not in self.order_list:
            raise NotFound("no such order")
        return self.order_list[order_id]

    async def status(self, order_id):
        order = self._order(order_id)
        if order.cancelled or (not order.payments and order.made + UNPAID_LIFE <= self.now):
            return "cancelled"
        if not order.payments or order.payments[0] + PAYMENT_SHOWS > self.now:
            return "notPaid"
        if order.payments[0] + DELIVERY > self.now:
            return "delivering"
        if not order.domain:
            order.domain = f"ns9{order.id}.example"
            self.account.add(order.domain, ip="127.0.0.19")
        return "delivered"

    async def bill(self, order_id):
        order = self._order(order_id)
        return Bill(self.price, datetime.fromtimestamp(order.made + UNPAID_LIFE, UTC))

    async def lines(self, order_id):
        order = self._order(order_id)
        return (Line("ram-128g-x", ""), Line(order.plan, order.domain))

    async def payment_method(self):
        return self.method

    async def renewal(self, service_name):
        return Renewal(date(2027, 1, 1), date(2027, 6, 1), service_name in self.ended)

    # -- writes

    async def open_cart(self, description):
        assert len(description) <= 512

        def effect():
            made = FakeCart(f"cart-{self.number()}", description, self.now)
            self.cart_list[made.id] = made
            return made.id

        return self._do(f"open {description.split()[0]}", effect)

    async def fill_cart(self, cart_id, basket):
        self._do("fill", lambda: self._open(cart_id).__setattr__("basket", basket))

    def _open(self, cart_id):
        cart = self.cart_list.get(cart_id)
        if cart is None:
            raise NotFound("no such cart")
        if cart.read_only:
            raise Conflict("read only")
        return cart

    async def describe_cart(self, cart_id, description):
        self._do("describe", lambda: self._open(cart_id).__setattr__("description", description))

    async def drop_cart(self, cart_id):
        self._do("drop", lambda: self.cart_list.pop(cart_id, None))

    async def check_out(self, cart_id):
        def effect():
            cart = self._open(cart_id)
            cart.read_only = True
            made = FakeOrder(1000 + self.number(), self.now, cart.basket.plan_code)
            self.order_list[made.id] = made
            return made.id

        return self._do("check out", effect)

    async def pay(self, order_id, method):
        def effect():
            order = self._order(order_id)
            if order.payments and order.payments[0] + PAYMENT_SHOWS <= self.now:
                raise Conflict("not unpaid")
            order.payments.append(self.now)  # until the first shows, a second is taken just as well

        assert method == self.method
        self._do("pay", effect)

    async def end_at_expiration(self, service_name):
        self._do("end", lambda: self.ended.add(service_name))
