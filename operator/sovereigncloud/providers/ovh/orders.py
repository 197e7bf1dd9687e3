"""The port `Shop` over ``/order``, ``/me/order`` and ``serviceInfos``: ordering a server, and the end of one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from sovereigncloud.ports.errors import NotFound
from sovereigncloud.ports.ovh.orders import (
    Basket,
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
from sovereigncloud.providers.ovh.order_replies import (
    Availability,
    BillingDetail,
    BillingOrder,
    CartItem,
    CartReply,
    CatalogueReply,
    Checkout,
    Configuration,
    Extension,
    Me,
    Plan,
    Price,
    PublicPricing,
    ServiceInfos,
)
from sovereigncloud.providers.ovh.replies import PARSER
from sovereigncloud.providers.ovh.transport import Transport, path

T = TypeVar("T")

_CART: Final = "/v1/order/cart/{}"
_ORDER: Final = "/v1/me/order/{}"
_INFOS: Final = "/v1/dedicated/server/{}/serviceInfos"
_KEPT: Final = timedelta(days=180)  # asked for; how long OVHcloud keeps a cart is not documented
_CATALOGUE_AGE: Final = 600.0  # the catalogue is megabytes, and changes seldom
_UCENT: Final = Decimal(10) ** -8
_PER_ORDER: Final = 1


class Orders:
    """Ordering at one account under one credential."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls
        self._subsidiary = ""
        self._catalogue: CatalogueReply | None = None
        self._read_at = 0.0

    async def _read(self, kind: type[T], where: str, query: Mapping[str, str] | None = None) -> T:
        return PARSER.read(kind, await self._calls.call("GET", where, query=query), what=f"OVHcloud GET {where}")

    async def _post(self, kind: type[T], where: str, body: Mapping[str, Any]) -> T:
        return PARSER.read(kind, await self._calls.call("POST", where, body), what=f"OVHcloud POST {where}")

    # -- what there is

    async def catalogue(self, plan_code: str) -> Catalogue:
        if self._catalogue is None or time.monotonic() - self._read_at > _CATALOGUE_AGE:
            query = {"ovhSubsidiary": await self._contract()}
            where = "/v1/order/catalog/public/baremetalServers"
            self._catalogue, self._read_at = await self._read(CatalogueReply, where, query), time.monotonic()
        found = self._catalogue
        plan = next((p for p in found.plans if p.plan_code == plan_code), None)
        plans = frozenset(p.plan_code for p in found.plans)
        return Catalogue(_offer(plan, found) if plan else None, plans)

    async def _contract(self) -> str:
        """The subsidiary that the account has its contract with."""
        if not self._subsidiary:
            self._subsidiary = (await self._read(Me, "/v1/me")).subsidiary
        return self._subsidiary

    async def stock(self, plan_code: str, datacenter: str) -> tuple[Stock, ...]:
        query = {"planCode": plan_code, "datacenters": datacenter}
        rows = await self._read(list[Availability], "/v1/dedicated/server/datacenter/availabilities", query)
        return tuple(
            Stock(row.memory, row.storage, one.availability)
            for row in rows
            for one in row.datacenters
            if one.datacenter == datacenter
        )

    # -- carts

    async def carts(self) -> tuple[Cart, ...]:
        found = [await self.cart(one) for one in await self._read(list[str], "/v1/order/cart")]
        return tuple(cart for cart in found if cart is not None)

    async def cart(self, cart_id: str) -> Cart | None:
        try:
            found = await self._read(CartReply, path(_CART, cart_id))
        except NotFound:
            return None
        return Cart(found.id, found.description, found.read_only)

    async def open_cart(self, description: str) -> str:
        body = {"ovhSubsidiary": await self._contract(), "description": description, "expire": _expire()}
        cart = await self._post(CartReply, "/v1/order/cart", body)
        # One that is not assigned is in no list: should this not be reached, another one is made and this one expires.
        await self._calls.call("POST", path(f"{_CART}/assign", cart.id))
        return cart.id

    async def fill_cart(self, cart_id: str, basket: Basket) -> None:
        root = path(_CART, cart_id)
        items = [
            await self._read(CartItem, f"{root}/item/{number}")
            for number in await self._read(list[int], f"{root}/item")
        ]
        server = next((i for i in items if i.parent is None and i.is_for(basket.plan_code, basket)), None)
        options: set[str] = set()
        for item in items:
            wanted = server is not None and item.parent == server.id and item.plan in basket.options
            if item is server:
                continue
            if wanted and item.plan not in options and item.is_for(item.plan, basket):
                options.add(item.plan)
            elif item.parent is None or server is None or item.parent == server.id:
                await self._remove(f"{root}/item/{item.id}")
        if server is None:
            server = await self._post(CartItem, f"{root}/baremetalServers", _line(basket.plan_code, basket))
        await self._configure(f"{root}/item/{server.id}", basket)
        for plan in basket.options:
            if plan not in options:
                line = {**_line(plan, basket), "itemId": server.id}
                await self._calls.call("POST", f"{root}/baremetalServers/options", line)

    async def _configure(self, item: str, basket: Basket) -> None:
        where = f"{item}/configuration"
        said: dict[str, str] = {}
        for number in await self._read(list[int], where):
            found = await self._read(Configuration, f"{where}/{number}")
            said[found.label] = found.value
        for label, value in basket.settings:
            if said.get(label) != value:
                await self._calls.call("POST", where, {"label": label, "value": value})

    async def _remove(self, item: str) -> None:
        try:
            await self._calls.call("DELETE", item)
        except NotFound:
            return  # with its server, or by an earlier call

    async def describe_cart(self, cart_id: str, description: str) -> None:
        await self._calls.call("PUT", path(_CART, cart_id), {"description": description, "expire": _expire()})

    async def drop_cart(self, cart_id: str) -> None:
        await self._remove(path(_CART, cart_id))

    async def quote(self, cart_id: str) -> Money:
        return _money((await self._read(Checkout, path(f"{_CART}/checkout", cart_id))).prices.with_tax)

    async def check_out(self, cart_id: str) -> int:
        body = {"autoPayWithPreferredPaymentMethod": False, "waiveRetractationPeriod": False}
        where = path(f"{_CART}/checkout", cart_id)
        made = await self._post(Checkout, where, body)
        return made.order_id

    # -- orders

    async def orders(self, since: datetime) -> tuple[int, ...]:
        query = {"date.from": since.isoformat(timespec="seconds")}
        return tuple(await self._read(list[int], "/v1/me/order", query))

    async def status(self, order_id: int) -> str:
        return await self._read(str, f"{_ORDER}/status".format(order_id))

    async def bill(self, order_id: int) -> Bill:
        found = await self._read(BillingOrder, _ORDER.format(order_id))
        return Bill(_money(found.price), found.expires)

    async def lines(self, order_id: int) -> tuple[Line, ...]:
        root = f"{_ORDER}/details".format(order_id)
        found: list[Line] = []
        for number in await self._read(list[int], root):
            detail = await self._read(BillingDetail, f"{root}/{number}")
            try:
                extension = await self._read(Extension, f"{root}/{number}/extension")
            except NotFound:
                continue  # a line that is no product
            # Before it is delivered a server has no name; what stands there then is not documented.
            domain = detail.domain if "." in detail.domain else ""
            found.append(Line(extension.order.plan.code, domain))
        return tuple(found)

    async def payment_method(self) -> int | None:
        found = await self._read(list[int], "/v1/me/payment/method", {"default": "true"})
        return found[0] if found else None

    async def pay(self, order_id: int, method: int) -> None:
        await self._calls.call("POST", f"{_ORDER}/pay".format(order_id), {"paymentMethod": {"id": method}})

    # -- the end of a service

    async def renewal(self, service_name: str) -> Renewal:
        found = await self._read(ServiceInfos, path(_INFOS, service_name))
        return Renewal(found.expiration, found.engaged_up_to, bool(found.renew and found.renew.delete_at_expiration))

    async def end_at_expiration(self, service_name: str) -> None:
        where = path(_INFOS, service_name)
        found = await self._read(ServiceInfos, where)
        renew = found.renew.model_dump(by_alias=True) if found.renew else {"automatic": True, "forced": False}
        await self._calls.call("PUT", where, {"renew": {**renew, "deleteAtExpiration": True}})


def _expire() -> str:
    return (datetime.now(UTC) + _KEPT).isoformat(timespec="seconds")


def _line(plan: str, basket: Basket) -> dict[str, Any]:
    return {
        "planCode": plan,
        "duration": basket.duration,
        "pricingMode": basket.pricing_mode,
        "quantity": _PER_ORDER,
    }


def _money(price: Price) -> Money:
    return Money(Decimal(str(price.value)), price.currency)


def _offer(plan: Plan, catalogue: CatalogueReply) -> Offer:
    options = {option for family in plan.families for option in family.addons or ()}
    return Offer(
        plan_code=plan.plan_code,
        currency=catalogue.locale.currency,
        pricings=tuple(_pricing(p) for p in plan.pricings),
        families=tuple(
            Family(f.name, bool(f.mandatory), f.default, tuple(f.addons or ())) for f in plan.families if f.addons
        ),
        settings=tuple(Setting(s.name, s.mandatory, tuple(s.values or ())) for s in plan.settings),
        option_prices={
            addon.plan_code: tuple(_pricing(p) for p in addon.pricings)
            for addon in catalogue.addons
            if addon.plan_code in options
        },
    )


def _pricing(found: PublicPricing) -> Pricing:
    return Pricing(
        mode=found.mode,
        duration=f"P{found.interval}M" if found.unit == "month" else "",
        price=(Decimal(found.price) + Decimal(found.tax)) * _UCENT,
        commitment=found.commitment,
        setup="installation" in found.capacities and "renew" not in found.capacities,
    )
