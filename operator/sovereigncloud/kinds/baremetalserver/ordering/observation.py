"""What is read of an order: its papers, its cart, what it would cost, and how far it is. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.ordering.cart import Choice, choose, in_stock
from sovereigncloud.kinds.baremetalserver.ordering.records import Kind, Paper, order_digest, read_paper
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
class Written:
    """A cart with what its description says."""

    cart: str
    paper: Paper
    read_only: bool


@dataclass(frozen=True, slots=True)
class Purchase:
    """Everything about one order.

    Attributes:
        mark: of the object that orders.
        choice: what is to be ordered; None once it was.
        stocked: whether it can be delivered.
        cart: with what it was, or will be, ordered.
        quote: what the cart costs.
        candidates: orders that the cart may have made, where that was not heard.
        open_carts: ids of the carts of this installation of which that must be told, this one included, oldest first.
        youngest: when the last of them was checked out.
        note: the paper of its order.
        order: its number; 0: none is known.
        status: of the order, in OVHcloud's words.
        bill: of an unpaid order.
        method: what it would be paid with.
        domain: the server that was delivered.
        differs: an order of this object's name for something else is under way.
    """

    mark: Mark
    choice: Choice | None = None
    stocked: bool = True
    cart: Written | None = None
    quote: Money | None = None
    candidates: tuple[int, ...] = ()
    open_carts: tuple[str, ...] = ()
    youngest: int = 0
    note: Written | None = None
    order: int = 0
    status: str = ""
    bill: Bill | None = None
    method: int | None = None
    domain: str = ""
    differs: int = 0


def order_of(resource: BareMetalServer) -> ServerOrder | None:
    return resource.spec.ovh.order if resource.spec.ovh else None


async def shop_of(resource: BareMetalServer, context: Context) -> Shop:
    """The shop under the credential that may order."""
    ovh, order = resource.spec.ovh, order_of(resource)
    assert ovh is not None  # noqa: S101 - asked for an object that orders
    ref = (order.credentials_secret_ref if order else None) or ovh.credentials_secret_ref
    return (await context.ovh(ovh.endpoint, resource.metadata.namespace, ref.name)).orders


async def observe_purchase(resource: BareMetalServer, order: ServerOrder, context: Context) -> Purchase:
    """How far the order is. What status knows is asked for by its number, everything else is searched for."""
    shop, mark = await shop_of(resource, context), context.mark(resource)
    found = await _by_facts(resource, shop, Purchase(mark))
    papers: tuple[Written, ...] = ()
    if found.note is None:
        papers = await _papers(shop, mark)
        found = await _by_papers(found, papers, order, shop)
    if found.order:
        return await _followed(found, order, shop)
    if found.differs:
        return found
    if found.cart is not None and found.cart.read_only:
        return await _search(found, papers or await _papers(shop, mark), order, context, shop)
    choice = choose(order, await shop.catalogue(order.plan_code))
    if choice.basket is None:
        return replace(found, choice=choice)
    stock = await shop.stock(order.plan_code, order.datacenter)
    found = replace(found, choice=choice, stocked=in_stock(stock, choice.basket.options))
    if found.cart is not None and found.cart.paper.filled:
        found = replace(found, quote=await shop.quote(found.cart.cart))
    return found


async def _by_facts(resource: BareMetalServer, shop: Shop, found: Purchase) -> Purchase:
    facts = resource.external
    note = await _written(shop, facts.get(NOTE_FACT))
    known = facts.get(ORDER_FACT, "")
    number = int(known) if known.isdigit() else 0
    if note is not None and not note.paper.lapsed:
        return replace(found, note=note, order=number or note.paper.order)
    if number:
        return replace(found, order=number)
    cart = await _written(shop, facts.get(CART_FACT))
    return replace(found, cart=cart)


async def _written(shop: Shop, cart_id: str | None) -> Written | None:
    cart = await shop.cart(cart_id) if cart_id else None
    paper = read_paper(cart.description) if cart else None
    return Written(cart.id, paper, cart.read_only) if cart and paper else None


async def _papers(shop: Shop, mark: Mark) -> tuple[Written, ...]:
    """All that this installation wrote, oldest first."""
    read = ((cart, read_paper(cart.description)) for cart in await shop.carts())
    ours = [
        Written(cart.id, paper, cart.read_only)
        for cart, paper in read
        if paper and paper.mark.installation == mark.installation
    ]
    return tuple(sorted(ours, key=lambda w: (w.paper.at, w.cart)))


async def _by_papers(found: Purchase, papers: tuple[Written, ...], order: ServerOrder, shop: Shop) -> Purchase:
    """The paper of the order, else of the cart: this object's, or its predecessor's from before a rebuilt cluster."""
    mine = [w for w in papers if w.paper.mark.object == found.mark.object]
    over = max((w.paper.at for w in mine if w.paper.lapsed), default=-1)
    notes = [w for w in mine if w.paper.kind is Kind.ORDER and not w.paper.lapsed]
    digest = order_digest(order)
    if found.order:
        return replace(found, note=_note_of(found.order, notes))
    ours = [n for n in notes if n.paper.digest == digest]
    if ours:
        return replace(found, note=_note_of(ours[-1].paper.order, ours), order=ours[-1].paper.order)
    for other in notes:
        if await shop.status(other.paper.order) in _UNDER_WAY:
            return replace(found, differs=other.paper.order)
    carts = [w for w in mine if w.paper.kind is Kind.CART and w.paper.digest == digest and w.paper.at > over]
    known = found.cart if found.cart is not None and found.cart.paper.digest == digest else None
    # One that was checked out comes first: that is how far it is.
    return replace(found, cart=next((w for w in carts if w.read_only), known or next(iter(carts), None)))


def _note_of(order: int, notes: Iterable[Written]) -> Written | None:
    """The paper of an order. Where an answer was lost there may be two, and the second may be listed only after the attempt to pay
    was written on the first: the one that tells of the latest attempt counts, else it would be paid again.
    """
    return max((n for n in notes if n.paper.order == order), key=lambda n: n.paper.paying, default=None)


async def _followed(found: Purchase, order: ServerOrder, shop: Shop) -> Purchase:
    found = replace(found, status=await shop.status(found.order))
    if found.status == UNPAID:
        method = await shop.payment_method() if order.approval else None
        return replace(found, bill=await shop.bill(found.order), method=method)
    if found.status == "delivered":
        lines = await shop.lines(found.order)
        return replace(found, domain=next((line.domain for line in lines if line.plan_code == order.plan_code), ""))
    return found


async def _search(
    found: Purchase, papers: tuple[Written, ...], order: ServerOrder, context: Context, shop: Shop
) -> Purchase:
    """The order of a cart that was checked out, where the answer was lost: by its date and its plan."""
    cart = found.cart
    if cart is None:
        return found
    linked = {w.paper.order for w in papers if w.paper.kind is Kind.ORDER}
    carts = [w for w in papers if _is_open(w, papers, order.plan_code)]
    if cart.cart not in {w.cart for w in carts}:
        carts.append(cart)  # it may be missing in the list for a moment
    for other in carts:
        known = _known_order(other, context) if other.cart != cart.cart else ""
        if known:
            linked.add(int(known))
            carts = [w for w in carts if w.cart != other.cart]
    since = datetime.fromtimestamp(min(w.paper.at for w in carts) - _BEFORE, UTC)
    unlinked = sorted(set(await shop.orders(since)) - linked)
    candidates = [number for number in unlinked if await _is_for(number, order.plan_code, shop)]
    carts.sort(key=lambda w: (w.paper.at, w.cart))
    youngest = max(w.paper.tried for w in carts)
    return replace(found, candidates=tuple(candidates), open_carts=tuple(w.cart for w in carts), youngest=youngest)


def _is_open(written: Written, papers: Iterable[Written], plan: str) -> bool:
    """Whether a cart was checked out and no paper tells its order."""
    paper = written.paper
    if paper.kind is not Kind.CART or not written.read_only or paper.plan != plan:
        return False
    return not any(
        w.paper.kind is Kind.ORDER and w.paper.mark.object == paper.mark.object and w.paper.at >= paper.at
        for w in papers
    )


def _known_order(written: Written, context: Context) -> str:
    """The order of another object's cart, where that object's status knows it already."""
    kind, _, rest = written.paper.mark.object.partition("/")
    namespace, _, name = rest.partition("/")
    other = context.get(Key(kind, namespace, name))
    known = other.external.get(ORDER_FACT, "") if other is not None else ""
    return known if known.isdigit() else ""


async def _is_for(number: int, plan: str, shop: Shop) -> bool:
    if await shop.status(number) in _VOID:
        return False
    return any(line.plan_code == plan for line in await shop.lines(number))
