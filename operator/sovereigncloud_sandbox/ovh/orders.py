"""``/me/order`` and ``/me/payment/method``: orders, what they hold, and paying them."""

from datetime import datetime
from typing import Final

from sovereigncloud_sandbox.ovh.calls import Call, Route
from sovereigncloud_sandbox.ovh.shop import TAX, money, price_of
from sovereigncloud_sandbox.ovh.state import CartItem, Order
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, conflict, no_such_object, refuse, timestamp

_DAY: Final = 86400.0


def _moment(call: Call, name: str) -> float | None:
    text = call.query.get(name)
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise bad_request(f"[{name}] Given data ({text}) is not valid for type datetime") from None


def _list(call: Call) -> list[int]:
    call.demand(call.route.action)
    state = call.world.state
    since, until = _moment(call, "date.from"), _moment(call, "date.to")
    shown = call.world.clock() - state.timing.order_listed_after
    return [
        order.id
        for order in state.orders.values()
        if order.account == call.caller.account
        and order.created <= shown
        and (since is None or order.created >= since)
        and (until is None or order.created <= until)
    ]


def _order(call: Call) -> Order:
    call.demand(call.route.action)
    number = call.given["orderId"]
    order = call.world.state.orders.get(int(number)) if number.isdigit() else None
    if order is None or order.account != call.caller.account:
        raise no_such_object("orderId", number)
    return order


def _read(call: Call) -> Json:
    order = _order(call)
    return {
        "date": timestamp(order.created),
        "expirationDate": timestamp(order.expires),
        "metadatas": None,
        "orderId": order.id,
        "password": "unguessable",
        "pdfUrl": f"https://order.example.org/{order.id}.pdf",
        "priceWithTax": money(order.price * (1 + TAX)),
        "priceWithoutTax": money(order.price),
        "retractionDate": None if not order.payments else timestamp(order.payments[0] + 14 * _DAY),
        "tax": money(order.price * TAX),
        "url": f"https://order.example.org/{order.id}",
    }


def _status(call: Call) -> str:
    return _order(call).status


def _details(call: Call) -> list[int]:
    return [item.id for item in _order(call).items]


def _item(call: Call) -> tuple[Order, CartItem]:
    order = _order(call)
    for item in order.items:
        if str(item.id) == call.given["orderDetailId"]:
            return order, item
    raise no_such_object("orderDetailId", call.given["orderDetailId"])


def _detail(call: Call) -> Json:
    order, item = _item(call)
    price = price_of(call.world.state, item)
    return {
        "cancelled": order.status == "cancelled",
        "description": item.plan,
        "detailType": "DURATION",
        "domain": order.domain or "*",
        "orderDetailId": item.id,
        "quantity": str(item.quantity),
        "totalPrice": money(price),
        "unitPrice": money(price / item.quantity),
    }


def _extension(call: Call) -> Json:
    _, item = _item(call)
    return {
        "order": {
            "action": "installation",
            "configurations": [{"label": label, "value": value} for label, value in item.configurations.values()],
            "plan": {
                "code": item.plan,
                "duration": item.duration,
                "pricingMode": item.pricing_mode,
                "product": {"name": item.plan},
                "quantity": item.quantity,
            },
            "type": "plan",
        }
    }


def _pay(call: Call) -> None:
    order, method = _order(call), call.body().get("paymentMethod")
    number = method.get("id") if isinstance(method, dict) else None
    if call.world.state.payment_methods.get(number or 0) != order.account:
        raise no_such_object("paymentMethod.id", number)
    if order.status != "notPaid":
        # The status and the class of this refusal are not documented.
        raise conflict(f"Order {order.id} cannot be paid: it is {order.status}")
    # Until the payment shows, a second one is taken just as well: nothing is known that would hold it.
    order.payments.append(call.world.clock())
    call.world.changed()


def _payment(call: Call) -> Json:
    order = _order(call)
    if not order.payments or order.status == "notPaid":
        raise refuse(404, "Client::NotFound", f"Order {order.id} has no payment")
    return {
        "paymentDate": timestamp(order.payments[0]),
        "paymentIdentifier": None,
        "paymentType": "paymentMandate",
    }


def _methods(call: Call) -> list[int]:
    call.demand(call.route.action)
    return [n for n, account in call.world.state.payment_methods.items() if account == call.caller.account]


def _method(call: Call) -> Json:
    call.demand(call.route.action)
    number = call.given["paymentMethodId"]
    known = call.world.state.payment_methods
    if not number.isdigit() or known.get(int(number)) != call.caller.account:
        raise no_such_object("paymentMethodId", number)
    return {
        "billingContactId": None,
        "creationDate": timestamp(0.0),
        "default": True,
        "description": None,
        "expirationDate": None,
        "formSessionId": None,
        "icon": {"data": None, "name": "sepa", "url": None},
        "integration": None,
        "label": None,
        "lastUpdate": timestamp(0.0),
        "merchantId": None,
        "oneclick": True,
        "paymentMeanId": None,
        "paymentMethodId": int(number),
        "paymentSubType": None,
        "paymentType": "BANK_ACCOUNT",
        "status": "VALID",
    }


_O: Final = "/me/order/{orderId}"
_D: Final = f"{_O}/details/{{orderDetailId}}"
_A: Final = "account:apiovh:me/order/"

ROUTES: Final = (
    Route("GET", "/me/order", _list, f"{_A}get"),
    Route("GET", _O, _read, f"{_A}get"),
    Route("GET", f"{_O}/status", _status, f"{_A}status/get"),
    Route("GET", f"{_O}/details", _details, f"{_A}details/get"),
    Route("GET", _D, _detail, f"{_A}details/get"),
    Route("GET", f"{_D}/extension", _extension, f"{_A}details/extension/get"),
    Route("GET", f"{_O}/payment", _payment, f"{_A}payment/get"),
    Route("POST", f"{_O}/pay", _pay, f"{_A}pay"),
    Route("GET", "/me/payment/method", _methods, "account:apiovh:me/payment/method/get"),
    Route("GET", "/me/payment/method/{paymentMethodId}", _method, "account:apiovh:me/payment/method/get"),
)
