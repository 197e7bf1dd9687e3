"""``/order``: the catalogue, stock, carts, and what becomes of them at checkout."""

import uuid
from datetime import datetime
from typing import Final

from sovereigncloud_sandbox.ovh.calls import Call, Route
from sovereigncloud_sandbox.ovh.shop import (
    FAMILIES,
    OPTIONS,
    SERVERS,
    SETTINGS,
    TAX,
    catalogue,
    is_sold,
    money,
    price_of,
)
from sovereigncloud_sandbox.ovh.state import Cart, CartItem, Order
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, conflict, no_such_object, timestamp

_SUBSIDIARIES: Final = ("CZ", "DE", "ES", "EU", "FI", "FR", "GB", "IE", "IT", "LT", "MA", "NL", "PL", "PT", "SN", "TN")


def _catalogue(call: Call) -> Json:
    subsidiary = call.query.get("ovhSubsidiary", "")
    if subsidiary not in _SUBSIDIARIES:
        raise bad_request("Missing parameter: [ovhSubsidiary]")
    return catalogue(call.world.state, subsidiary)


def _stock(call: Call) -> list[Json]:
    plan, places = call.query.get("planCode"), call.query.get("datacenters", "rbx,gra,sbg").split(",")
    stock = call.world.state.stock
    return [
        {
            "datacenters": [{"availability": stock.get(code, "72H"), "datacenter": place} for place in places],
            "fqn": f"{code}.ram-{size}-ecc-4800.softraid-{disks}",
            "gpu": None,
            "memory": f"ram-{size}-ecc-4800",
            "planCode": code,
            "server": code,
            "storage": f"softraid-{disks}",
            "systemStorage": None,
        }
        for code in SERVERS
        if plan in (None, code)
        for size in ("128g", "256g")
        for disks in ("2x960nvme", "2x1920nvme")
    ]


# -- carts


def _document(cart: Cart) -> Json:
    return {
        "cartId": cart.id,
        "description": cart.description,
        "expire": timestamp(cart.expires),
        "items": [item.id for item in cart.items],
        "readOnly": cart.read_only,
    }


def _list(call: Call) -> list[str]:
    call.demand(call.route.action)
    state, wanted = call.world.state, call.query.get("description")
    shown = call.world.clock() - state.timing.cart_listed_after
    return [
        cart.id
        for cart in state.carts.values()
        if cart.account == call.caller.account and cart.created <= shown and wanted in (None, cart.description)
    ]


def _expiry(call: Call, text: object) -> float:
    now, longest = call.world.clock(), call.world.state.timing.cart_life
    try:
        asked = datetime.fromisoformat(str(text)).timestamp() if text else now + 86400.0
    except ValueError:
        raise bad_request(f"[expire] Given data ({text}) is not valid for type datetime") from None
    return min(asked, now + longest)


def _create(call: Call) -> Json:
    subsidiary, body = call.required("ovhSubsidiary"), call.body()
    if subsidiary not in _SUBSIDIARIES:
        raise bad_request(f"[ovhSubsidiary] Given data ({subsidiary}) is not valid for type OvhSubsidiaryEnum")
    cart = Cart(
        id=str(uuid.uuid4()),
        subsidiary=subsidiary,
        description=str(body.get("description") or ""),
        created=call.world.clock(),
        expires=_expiry(call, body.get("expire")),
    )
    call.world.state.carts[cart.id] = cart
    return _document(cart)


def _cart(call: Call) -> Cart:
    cart = call.world.state.carts.get(call.given["cartId"])
    if cart is None:
        raise no_such_object("cartId", call.given["cartId"])
    return cart


def _own(call: Call) -> Cart:
    call.demand(call.route.action)
    cart = _cart(call)
    if cart.account not in {"", call.caller.account}:
        raise no_such_object("cartId", cart.id)
    return cart


def _open(call: Call) -> Cart:
    cart = _cart(call)
    if cart.read_only:
        raise conflict(f"Cart {cart.id} is read only: it has already been validated")
    return cart


def _read(call: Call) -> Json:
    return _document(_cart(call))


def _edit(call: Call) -> Json:
    # Whether the description of a validated cart can still be written is not documented: here it cannot.
    cart, body = _open(call), call.body()
    if "description" in body:
        cart.description = call.required("description")
    if "expire" in body:
        cart.expires = _expiry(call, body["expire"])
    return _document(cart)


def _delete(call: Call) -> None:
    del call.world.state.carts[_own(call).id]


def _assign(call: Call) -> None:
    cart = _own(call)
    cart.account = call.caller.account


# -- items


def _items(call: Call) -> list[int]:
    return [item.id for item in _cart(call).items]


def _item(call: Call, cart: Cart) -> CartItem:
    for item in cart.items:
        if str(item.id) == call.given["itemId"]:
            return item
    raise no_such_object("itemId", call.given["itemId"])


def _item_document(call: Call, cart: Cart, item: CartItem) -> Json:
    price = price_of(call.world.state, item)
    return {
        "cartId": cart.id,
        "configurations": list(item.configurations),
        "duration": item.duration,
        "itemId": item.id,
        "offerId": None,
        "options": [one.id for one in cart.items if one.parent == item.id],
        "parentItemId": item.parent,
        "prices": [{"label": "TOTAL", "price": money(price), "promotions": None}],
        "productId": "baremetalServers",
        "settings": {"planCode": item.plan, "pricingMode": item.pricing_mode, "quantity": item.quantity},
    }


def _read_item(call: Call) -> Json:
    cart = _cart(call)
    return _item_document(call, cart, _item(call, cart))


def _new_item(call: Call, plans: object) -> CartItem:
    body, plan = call.body(), call.required("planCode")
    duration, mode, quantity = call.required("duration"), call.required("pricingMode"), body.get("quantity")
    if plan not in plans:  # type: ignore[operator]
        raise no_such_object("planCode", plan)
    if not is_sold(mode, duration) or not isinstance(quantity, int) or quantity < 1:
        raise bad_request(f"No price for {plan} with duration {duration}, pricingMode {mode} and quantity {quantity}")
    return CartItem(call.world.next_id(), plan, duration, mode, quantity)


def _add(call: Call) -> Json:
    cart = _open(call)
    item = _new_item(call, SERVERS)
    cart.items.append(item)
    return _item_document(call, cart, item)


def _add_option(call: Call) -> Json:
    cart = _open(call)
    parent = next((one for one in cart.items if one.id == call.body().get("itemId")), None)
    if parent is None:
        raise no_such_object("itemId", call.body().get("itemId"))
    sold = {o.code for family in FAMILIES.get(parent.plan, ()) for o in family.options}
    item = _new_item(call, sold & OPTIONS.keys())
    item.parent = parent.id
    cart.items.append(item)
    return _item_document(call, cart, item)


def _remove(call: Call) -> None:
    cart = _open(call)
    item = _item(call, cart)
    cart.items = [one for one in cart.items if item.id not in (one.id, one.parent)]


def _configurations(call: Call) -> list[int]:
    cart = _cart(call)
    label = call.query.get("label")
    return [number for number, (name, _) in _item(call, cart).configurations.items() if label in (None, name)]


def _configuration(call: Call) -> Json:
    item = _item(call, _cart(call))
    for number, (label, value) in item.configurations.items():
        if str(number) == call.given["configurationId"]:
            return {"id": number, "label": label, "value": value}
    raise no_such_object("configurationId", call.given["configurationId"])


def _configure(call: Call) -> Json:
    item = _item(call, _open(call))
    label, value = call.required("label"), call.required("value")
    if value not in SETTINGS.get(label, ()):
        raise bad_request(f"Invalid value {value} for configuration {label}")
    number = next((n for n, (name, _) in item.configurations.items() if name == label), None) or call.world.next_id()
    item.configurations[number] = [label, value]
    return {"id": number, "label": label, "value": value}


def _required(call: Call) -> list[Json]:
    item = _item(call, _cart(call))
    if item.plan not in SERVERS:
        return []
    return [{"fields": None, "label": label, "required": True, "type": "STRING"} for label in SETTINGS]


# -- checkout


def _checked(cart: Cart) -> None:
    """What is not complete cannot be ordered."""
    if not cart.account:
        raise bad_request(f"Cart {cart.id} is not assigned")
    servers = [item for item in cart.items if item.parent is None]
    if not servers:
        raise bad_request(f"Cart {cart.id} is empty")
    for server in servers:
        said = {label for label, _ in server.configurations.values()}
        if lacking := [label for label in SETTINGS if label not in said]:
            raise bad_request(f"Missing mandatory configuration {lacking[0]} of item {server.id}")
        taken = [item.plan for item in cart.items if item.parent == server.id]
        for family in FAMILIES[server.plan]:
            count = sum(taken.count(o.code) for o in family.options)
            if count > 1 or (family.mandatory and not count):
                raise bad_request(f"{count} options of family {family.name} of item {server.id}")


def _priced(call: Call, cart: Cart, order: int | None) -> Json:
    prices = {item.id: price_of(call.world.state, item) for item in cart.items}
    total = sum(prices.values())
    return {
        "contracts": [{"content": "...", "name": "General terms", "url": "https://contracts.example.org/general.pdf"}],
        "details": [
            {
                "cartItemID": item.id,
                "description": item.plan,
                "detailType": "DURATION",
                "domain": "*",
                "originalTotalPrice": money(prices[item.id]),
                "quantity": item.quantity,
                "reductionTotalPrice": money(0.0),
                "reductions": [],
                "totalPrice": money(prices[item.id]),
                "unitPrice": money(prices[item.id] / item.quantity),
            }
            for item in cart.items
        ],
        "orderId": order,
        "prices": {
            "originalWithoutTax": None,
            "reduction": None,
            "tax": money(total * TAX),
            "withTax": money(total * (1 + TAX)),
            "withoutTax": money(total),
        },
        "url": None if order is None else f"https://order.example.org/{order}",
    }


def _simulate(call: Call) -> Json:
    cart = _own(call)
    _checked(cart)
    return _priced(call, cart, None)


def _summary(call: Call) -> Json:
    return _priced(call, _cart(call), None)


def _check_out(call: Call) -> Json:
    _own(call)
    cart = _open(call)
    _checked(cart)
    body, state, now = call.body(), call.world.state, call.world.clock()
    number = call.world.next_id()
    answer = _priced(call, cart, number)
    state.orders[number] = Order(
        id=number,
        account=cart.account,
        cart=cart.id,
        created=now,
        expires=now + state.timing.order_life,
        items=[*cart.items],
        price=answer["prices"]["withoutTax"]["value"],
        payments=[now] if body.get("autoPayWithPreferredPaymentMethod") else [],
    )
    cart.read_only = True
    call.world.changed()
    return answer


_C: Final = "/order/cart/{cartId}"
_I: Final = f"{_C}/item/{{itemId}}"
_A: Final = "order:apiovh:cart/"

ROUTES: Final = (
    Route("GET", "/order/catalog/public/baremetalServers", _catalogue, public=True),
    Route("GET", "/dedicated/server/datacenter/availabilities", _stock, public=True),
    Route("GET", "/order/cart", _list, f"{_A}get"),
    Route("POST", "/order/cart", _create, public=True),
    Route("GET", _C, _read, public=True),
    Route("PUT", _C, _edit, public=True),
    Route("DELETE", _C, _delete, f"{_A}delete"),
    Route("POST", f"{_C}/assign", _assign, f"{_A}assign"),
    Route("GET", f"{_C}/item", _items, public=True),
    Route("GET", _I, _read_item, public=True),
    Route("DELETE", _I, _remove, public=True),
    Route("GET", f"{_I}/configuration", _configurations, public=True),
    Route("POST", f"{_I}/configuration", _configure, public=True),
    Route("GET", f"{_I}/configuration/{{configurationId}}", _configuration, public=True),
    Route("GET", f"{_I}/requiredConfiguration", _required, public=True),
    Route("POST", f"{_C}/baremetalServers", _add, public=True),
    Route("POST", f"{_C}/baremetalServers/options", _add_option, public=True),
    Route("GET", f"{_C}/summary", _summary, public=True),
    Route("GET", f"{_C}/checkout", _simulate, f"{_A}checkout/simulate"),
    Route("POST", f"{_C}/checkout", _check_out, f"{_A}checkout/execute"),
)
