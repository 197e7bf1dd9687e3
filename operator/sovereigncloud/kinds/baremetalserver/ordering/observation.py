"""Read the state of a purchase: its records, its cart, its price and its order. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.ordering.cart import Choice, choose, in_stock
from sovereigncloud.kinds.baremetalserver.ordering.records import (
    Kind,
    PurchaseRecord,
    order_digest,
    read_purchase_record,
)
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.ports.ovh.orders import Bill, Money, Shop

CART_FACT = "cart"
ORDER_FACT = "order"
NOTE_FACT = "orderNote"
UNPAID = "notPaid"
_VOID = frozenset({"cancelled", "cancelling"})
_UNDER_WAY = frozenset({"checking", "delivering", "delivered", "documentsRequested"})
_BEFORE = 3600.0  # clocks differ; an order cannot be older than its cart by more


@dataclass(frozen=True, slots=True)
class RecordedCart:
    """A cart with the record in its description."""

    cart: str
    record: PurchaseRecord
    read_only: bool


@dataclass(frozen=True, slots=True)
class Purchase:
    """The state of one purchase.

    Attributes:
        mark: of the object that orders.
        choice: the cart contents; None once ordered.
        stocked: whether it can be delivered.
        cart: the cart used for the order.
        quote: the price of the cart.
        candidates: orders that may come from the cart, where the answer of the checkout was lost.
        open_carts: ids of all checked-out carts of this installation without a known order, this one included, oldest first.
        last_checkout: when the last of them was checked out.
        note: the order record.
        order: the order number; 0: none is known.
        status: of the order, as OVHcloud names it.
        bill: of an unpaid order.
        method: the payment method that would be used.
        domain: the server that was delivered.
        differs: number of an order in progress under this object's name for another configuration; 0: none.
    """

    mark: Mark
    choice: Choice | None = None
    stocked: bool = True
    cart: RecordedCart | None = None
    quote: Money | None = None
    candidates: tuple[int, ...] = ()
    open_carts: tuple[str, ...] = ()
    last_checkout: int = 0
    note: RecordedCart | None = None
    order: int = 0
    status: str = ""
    bill: Bill | None = None
    method: int | None = None
    domain: str = ""
    differs: int = 0


def order_of(resource: BareMetalServer) -> ServerOrder | None:
    """Return the order in spec, if any."""
    return resource.spec.ovh.order if resource.spec.ovh else None


async def shop_of(resource: BareMetalServer, context: Context) -> Shop:
    """Return the ordering API, with the credential that may order."""
    ovh, order = resource.spec.ovh, order_of(resource)
    assert ovh is not None  # noqa: S101 - asked for an object that orders
    ref = (order.credentials_secret_ref if order else None) or ovh.credentials_secret_ref
    return (await context.ovh(ovh.endpoint, resource.metadata.namespace, ref.name)).orders


async def observe_purchase(resource: BareMetalServer, order: ServerOrder, context: Context) -> Purchase:
    """Read the state of the purchase: by the ids in status, else by a search of the cart descriptions."""
    shop, mark = await shop_of(resource, context), context.mark(resource)
    found = await _find_by_status(resource, shop, Purchase(mark))
    records: tuple[RecordedCart, ...] = ()
    if found.note is None:
        records = await _read_records(shop, mark)
        found = await _find_by_records(found, records, order, shop)
    if found.order:
        return await _read_order(found, order, shop)
    if found.differs:
        return found
    if found.cart is not None and found.cart.read_only:
        return await _find_order(found, records or await _read_records(shop, mark), order, context, shop)
    choice = choose(order, await shop.catalogue(order.plan_code))
    if choice.basket is None:
        return replace(found, choice=choice)
    stock = await shop.stock(order.plan_code, order.datacenter)
    found = replace(found, choice=choice, stocked=in_stock(stock, choice.basket.options))
    if found.cart is not None and found.cart.record.filled:
        found = replace(found, quote=await shop.quote(found.cart.cart))
    return found


async def _find_by_status(resource: BareMetalServer, shop: Shop, found: Purchase) -> Purchase:
    facts = resource.external
    note = await _read_cart(shop, facts.get(NOTE_FACT))
    known = facts.get(ORDER_FACT, "")
    number = int(known) if known.isdigit() else 0
    if note is not None and not note.record.lapsed:
        return replace(found, note=note, order=number or note.record.order)
    if number:
        return replace(found, order=number)
    cart = await _read_cart(shop, facts.get(CART_FACT))
    return replace(found, cart=cart)


async def _read_cart(shop: Shop, cart_id: str | None) -> RecordedCart | None:
    cart = await shop.cart(cart_id) if cart_id else None
    record = read_purchase_record(cart.description) if cart else None
    return RecordedCart(cart.id, record, cart.read_only) if cart and record else None


async def _read_records(shop: Shop, mark: Mark) -> tuple[RecordedCart, ...]:
    """Read all cart records of this installation, oldest first."""
    read = ((cart, read_purchase_record(cart.description)) for cart in await shop.carts())
    ours = [
        RecordedCart(cart.id, record, cart.read_only)
        for cart, record in read
        if record and record.mark.installation == mark.installation
    ]
    return tuple(sorted(ours, key=lambda w: (w.record.at, w.cart)))


async def _find_by_records(
    found: Purchase, records: tuple[RecordedCart, ...], order: ServerOrder, shop: Shop
) -> Purchase:
    """Find the order record, else the cart, of this object.

    After a cluster rebuild the records of its predecessor count as well.
    """
    mine = [w for w in records if w.record.mark.object == found.mark.object]
    over = max((w.record.at for w in mine if w.record.lapsed), default=-1)
    notes = [w for w in mine if w.record.kind is Kind.ORDER and not w.record.lapsed]
    digest = order_digest(order)
    if found.order:
        return replace(found, note=_latest_record(found.order, notes))
    ours = [n for n in notes if n.record.digest == digest]
    if ours:
        return replace(found, note=_latest_record(ours[-1].record.order, ours), order=ours[-1].record.order)
    for other in notes:
        if await shop.status(other.record.order) in _UNDER_WAY:
            return replace(found, differs=other.record.order)
    carts = [w for w in mine if w.record.kind is Kind.CART and w.record.digest == digest and w.record.at > over]
    known = found.cart if found.cart is not None and found.cart.record.digest == digest else None
    # One that was checked out comes first: that is how far it is.
    return replace(found, cart=next((w for w in carts if w.read_only), known or next(iter(carts), None)))


def _latest_record(order: int, notes: Iterable[RecordedCart]) -> RecordedCart | None:
    """Return the record of an order with the latest payment attempt.

    After a lost answer there may be two records, and the second may be listed only after the payment attempt was
    written to the first. Without the latest attempt the order would be paid again.
    """
    return max((n for n in notes if n.record.order == order), key=lambda n: n.record.paying, default=None)


async def _read_order(found: Purchase, order: ServerOrder, shop: Shop) -> Purchase:
    found = replace(found, status=await shop.status(found.order))
    if found.status == UNPAID:
        method = await shop.payment_method() if order.approval else None
        return replace(found, bill=await shop.bill(found.order), method=method)
    if found.status == "delivered":
        lines = await shop.lines(found.order)
        return replace(found, domain=next((line.domain for line in lines if line.plan_code == order.plan_code), ""))
    return found


async def _find_order(
    found: Purchase, records: tuple[RecordedCart, ...], order: ServerOrder, context: Context, shop: Shop
) -> Purchase:
    """Find the order of a checked-out cart whose answer was lost, by date and plan."""
    cart = found.cart
    if cart is None:
        return found
    linked = {w.record.order for w in records if w.record.kind is Kind.ORDER}
    carts = [w for w in records if _is_open(w, records, order.plan_code)]
    if cart.cart not in {w.cart for w in carts}:
        carts.append(cart)  # it may be missing in the list for a moment
    for other in carts:
        known = _known_order(other, context) if other.cart != cart.cart else ""
        if known:
            linked.add(int(known))
            carts = [w for w in carts if w.cart != other.cart]
    since = datetime.fromtimestamp(min(w.record.at for w in carts) - _BEFORE, UTC)
    unlinked = sorted(set(await shop.orders(since)) - linked)
    candidates = [number for number in unlinked if await _is_for(number, order.plan_code, shop)]
    carts.sort(key=lambda w: (w.record.at, w.cart))
    last_checkout = max(w.record.last_attempt for w in carts)
    return replace(
        found, candidates=tuple(candidates), open_carts=tuple(w.cart for w in carts), last_checkout=last_checkout
    )


def _is_open(recorded_cart: RecordedCart, records: Iterable[RecordedCart], plan: str) -> bool:
    """Whether a cart was checked out and no record names its order."""
    record = recorded_cart.record
    if record.kind is not Kind.CART or not recorded_cart.read_only or record.plan != plan:
        return False
    return not any(
        w.record.kind is Kind.ORDER and w.record.mark.object == record.mark.object and w.record.at >= record.at
        for w in records
    )


def _known_order(recorded_cart: RecordedCart, context: Context) -> str:
    """Return the order of another object's cart, where the status of that object knows it."""
    kind, _, rest = recorded_cart.record.mark.object.partition("/")
    namespace, _, name = rest.partition("/")
    other = context.get(Key(kind, namespace, name))
    known = other.external.get(ORDER_FACT, "") if other is not None else ""
    return known if known.isdigit() else ""


async def _is_for(number: int, plan: str, shop: Shop) -> bool:
    if await shop.status(number) in _VOID:
        return False
    return any(line.plan_code == plan for line in await shop.lines(number))
