"""Expiry and delivery: unpaid carts and orders expire, paid orders are checked and delivered."""

from sovereigncloud_sandbox.ovh.seed import add_server
from sovereigncloud_sandbox.ovh.shop import REGION_OF, months
from sovereigncloud_sandbox.ovh.state import Order, State

_PLACE = {"rbx": "rbx8", "gra": "gra3", "sbg": "sbg5", "lim": "lim3", "waw": "waw1", "bhs": "bhs8"}
_MONTH = 30 * 86400.0
_FIRST = 3_060_000  # the numbers of delivered servers begin here


def progress(state: State, now: float) -> None:
    """Let happen what is due."""
    for cart in [one for one in state.carts.values() if one.expires <= now]:
        del state.carts[cart.id]
    for order in state.orders.values():
        while (due := _due(state, order)) is not None and due <= now:
            _next(state, order, due)


def next_of_orders(state: State) -> list[float]:
    """When something happens to an order next."""
    return [due for order in state.orders.values() if (due := _due(state, order)) is not None]


def _due(state: State, order: Order) -> float | None:
    timing = state.timing
    if not order.payments:
        return order.expires if order.status == "notPaid" else None
    paid = order.payments[0]
    match order.status:
        case "notPaid":
            return paid + timing.payment
        case "checking":
            return paid + timing.payment + timing.check
        case "delivering":
            return paid + timing.payment + timing.check + timing.delivery
        case _:
            return None


def _next(state: State, order: Order, now: float) -> None:
    match order.status:
        case "notPaid":
            order.status = "checking" if order.payments else "cancelled"
        case "checking":
            order.status = "delivering"
        case _:
            deliver(state, order, now)


def deliver(state: State, order: Order, now: float) -> None:
    """The server of an order is there."""
    order.status = "delivered"
    if order.domain:
        return
    item = next(one for one in order.items if one.parent is None)
    said = dict(item.configurations.values())
    datacenter = str(said.get("dedicated_datacenter", "rbx"))
    number = sum(1 for one in state.orders.values() if one.domain)
    # Real names hold the address; the numbers are free ones of the guide's example range.
    address = f"57.131.167.{163 + number}"
    order.domain = f"ns{_FIRST + number}.ip-57-131-167.eu"
    server = add_server(
        state,
        order.domain,
        ip=address,
        account=order.account,
        region=REGION_OF[datacenter],
        datacenter=_PLACE.get(datacenter, "rbx8"),
    )
    term = months(item.duration)
    server.created, server.expires, server.renew_period = now, now + term * _MONTH, term
    if item.pricing_mode.endswith("12"):
        server.engaged_until = now + 12 * _MONTH
