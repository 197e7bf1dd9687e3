"""The door to OVHcloud's shop: catalogue, carts, orders, payment, and the end of a service.

Only `pay` costs money. `check_out` leaves an unpaid order, which expires by itself; a cart is a piece of paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with tax."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency}"


@dataclass(frozen=True, slots=True)
class Pricing:
    """A price of the catalogue, with tax. `commitment` in months; `setup`: paid once."""

    mode: str
    duration: str
    price: Decimal
    commitment: int
    setup: bool


@dataclass(frozen=True, slots=True)
class Family:
    """Options of which at most one is taken."""

    name: str
    mandatory: bool
    default: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """Something to be said of the server: values that may be said, empty: any."""

    name: str
    mandatory: bool
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan of the catalogue. `option_prices` by plan code of the option."""

    plan_code: str
    currency: str
    pricings: tuple[Pricing, ...]
    families: tuple[Family, ...]
    settings: tuple[Setting, ...]
    option_prices: Mapping[str, tuple[Pricing, ...]]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What may be ordered: the offer of the plan, where there is one, and the names of all plans."""

    offer: Offer | None
    plans: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stock:
    """Whether a configuration is there: `availability` in OVHcloud's words, for example 1H-low, 72H, unavailable."""

    memory: str
    storage: str
    availability: str


@dataclass(frozen=True, slots=True)
class Cart:
    """A cart. `read_only`: it was checked out."""

    id: str
    description: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Basket:
    """What a cart is to hold: one server, its options, what must be said of it."""

    plan_code: str
    duration: str
    pricing_mode: str
    options: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bill:
    """What an order says of itself; unpaid, it is void after `expires`."""

    price: Money
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order: plan code (empty where the API does not tell), and the service, once it is there."""

    plan_code: str
    domain: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a service goes on: until when it is paid, until when it is committed, whether it ends then."""

    expires: date | None
    committed_until: date | None
    ends: bool


class Shop(Protocol):
    """Ordering at one OVHcloud account under one credential."""

    async def catalogue(self, plan_code: str) -> Catalogue: ...
    async def stock(self, plan_code: str, datacenter: str) -> tuple[Stock, ...]: ...

    async def carts(self) -> tuple[Cart, ...]:
        """Every cart of the account; one that was made a moment ago may be missing."""
        ...

    async def cart(self, cart_id: str) -> Cart | None:
        """None: there is none, or it expired."""
        ...

    async def open_cart(self, description: str) -> str:
        """Returns its id. A cart is kept as long as OVHcloud lets it be."""
        ...

    async def fill_cart(self, cart_id: str, basket: Basket) -> None:
        """Adds what is missing, takes out what does not belong there. May be asked again."""
        ...

    async def describe_cart(self, cart_id: str, description: str) -> None: ...
    async def drop_cart(self, cart_id: str) -> None: ...
    async def quote(self, cart_id: str) -> Money:
        """What the cart would cost, without ordering anything."""
        ...

    async def check_out(self, cart_id: str) -> int:
        """Makes an unpaid order of the cart, once; returns its id. Conflict: it was checked out before."""
        ...

    async def orders(self, since: datetime) -> tuple[int, ...]: ...
    async def status(self, order_id: int) -> str:
        """notPaid, checking, delivering, delivered, documentsRequested, cancelling, cancelled, unknown."""
        ...

    async def bill(self, order_id: int) -> Bill: ...
    async def lines(self, order_id: int) -> tuple[Line, ...]: ...
    async def payment_method(self) -> int | None:
        """The account's default; None: it has none."""
        ...

    async def pay(self, order_id: int, method: int) -> None:
        """The only call that costs money."""
        ...

    async def renewal(self, service_name: str) -> Renewal: ...
    async def end_at_expiration(self, service_name: str) -> None:
        """The service is not renewed; reversible until a day before (facts, termination)."""
        ...
