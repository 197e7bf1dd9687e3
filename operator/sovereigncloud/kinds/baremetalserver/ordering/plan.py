"""Buying a server, so that it is bought once: cart, what goes into it, checkout, the paper of the order, payment.

Each is a step of its own and can be resumed. Checkout makes an unpaid order, which expires by itself; of one cart it is made
once. `PayOrder` alone costs money: consent in spec, the quote's and the order's price within it, the order still unpaid, and
the attempt written down at OVHcloud before it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.core.outcome import Outcome, blocked, stalled, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.baremetalserver.ordering.observation import (
    CART_FACT,
    NOTE_FACT,
    ORDER_FACT,
    UNPAID,
    Purchase,
    Written,
    order_of,
)
from sovereigncloud.kinds.baremetalserver.ordering.records import Kind, Paper, order_digest
from sovereigncloud.kinds.endpoint.endpoint import owner_of
from sovereigncloud.ports.ovh.orders import Basket, Money, Shop

PATH = "spec.ovh.order"
_SOON = 1.0
_AGAIN = 60.0
_DELIVERY = 300.0
_SETTLED = 1800.0
"""After so long an order that is still unpaid was not paid by an earlier attempt: payments were seen to take 8 minutes
(facts, ordering), and a write takes effect within a minute after the client gave up."""
_HEARD = 120.0  # several carts checked out at once: by then each object has written down what it heard
_UNCLEAR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCart(Step):
    shows_late: ClassVar[bool] = True
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class FillCart(Step):
    cart: str
    basket: Basket
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOut(Step):
    """Makes the order, unpaid, unless the cart costs more than `limit` by then."""

    shows_late: ClassVar[bool] = True
    cart: str
    paper: Paper
    limit: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOrder(Step):
    """Writes down at OVHcloud which order it is."""

    shows_late: ClassVar[bool] = True
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOrder(Step):
    """`note` has the attempt written on it first."""

    shows_late: ClassVar[bool] = True
    order: int
    note: str
    paper: Paper
    limit: Money | None
    method: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LapseOrder(Step):
    """An unpaid order became void: it counts no more."""

    note: str
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCart(Step):
    """Nothing was ordered with it, and nobody wants it any more."""

    cart: str


OrderStep = OpenCart | FillCart | CheckOut | LinkOrder | PayOrder | LapseOrder | DropCart


# --- planning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Deal:
    """What a decision about an order is made from."""

    resource: BareMetalServer
    order: ServerOrder
    purchase: Purchase
    now: datetime

    @property
    def unix(self) -> int:
        return int(self.now.timestamp())

    @property
    def limit(self) -> Money | None:
        approval = self.order.approval
        return Money(Decimal(approval.max_price), approval.currency) if approval else None

    @property
    def what(self) -> str:
        return f"{self.order.plan_code} in {self.order.datacenter}"

    @property
    def field(self) -> str:
        """Where a person writes the consent: a server of a cloud has no manifest of its own."""
        owner = owner_of(self.resource)
        if owner is None:
            return f"{PATH}.approval"
        return f"order.approval of server {self.resource.outside_name} in {owner}"

    def paper(self, kind: Kind) -> Paper:
        return Paper(
            kind=kind,
            mark=self.purchase.mark,
            plan=self.order.plan_code,
            digest=order_digest(self.order),
            at=self.unix,
        )

    def consent(self, price: Money) -> str:
        """What to set before it may be bought for this price; empty: it may."""
        if self.limit is not None:
            return ""
        return f'{self.field}: {{maxPrice: "{price.amount:.2f}", currency: {price.currency}}}'


def plan_purchase(resource: BareMetalServer, purchase: Purchase, now: datetime) -> Plan:
    """The next steps of an order; empty and done: a server was delivered, `purchase.domain`."""
    order = order_of(resource)
    if order is None:
        return Plan()
    deal = _Deal(resource, order, purchase, now)
    if purchase.differs:
        return Plan(outcome=_differs(purchase.differs))
    if purchase.order:
        return _plan_order(deal)
    if purchase.cart is not None and purchase.cart.read_only:
        return _plan_search(deal, purchase.cart)
    return _plan_cart(deal)


def _plan_cart(deal: _Deal) -> Plan:
    """Nothing was ordered: all that is still to be done, with what it costs."""
    purchase, choice = deal.purchase, deal.purchase.choice
    if choice is None or choice.basket is None or choice.estimate is None:
        return Plan(outcome=choice.problem if choice and choice.problem else waiting(Reason.ORDERING, "reading prices"))
    cart = purchase.cart
    price = purchase.quote or choice.estimate
    steps: list[Step] = []
    if cart is None:
        paper = deal.paper(Kind.CART)
        steps.append(OpenCart(action=Action.CREATE, target=f"cart for {deal.what}", fields=(PATH,), paper=paper))
    if cart is None or not cart.paper.filled:
        steps.append(_fill(deal, cart, choice.basket))
    too_dear = _above(deal, price, "it costs")
    cost = _cost(deal, price, exact=purchase.quote is not None)
    steps.append(
        CheckOut(
            action=Action.CREATE,
            target=f"order of {deal.what}",
            fields=(PATH,),
            cost=cost,
            needs=deal.consent(price),
            cart=cart.cart if cart else "",
            paper=cart.paper if cart else deal.paper(Kind.CART),
            limit=deal.limit,
        )
    )
    steps.append(_pay(deal, price, cost))
    if purchase.quote is not None:
        if not purchase.stocked:
            message = f"{deal.what} is out of stock ({price}); it is ordered when it is there: nothing to do"
            return Plan(outcome=replace(blocked(message, reason=Reason.OUT_OF_STOCK), after=_DELIVERY))
        if too_dear is not None:
            return Plan(outcome=too_dear)
    return Plan(steps=tuple(steps))


def _fill(deal: _Deal, cart: Written | None, basket: Basket) -> FillCart:
    return FillCart(
        action=Action.UPDATE,
        target=f"cart for {deal.what}: {', '.join(basket.options) or 'no options'}",
        fields=(PATH,),
        cart=cart.cart if cart else "",
        basket=basket,
        paper=cart.paper if cart else deal.paper(Kind.CART),
    )


def _pay(deal: _Deal, price: Money, cost: str) -> PayOrder:
    purchase = deal.purchase
    note = purchase.note
    return PayOrder(
        action=Action.CREATE,
        target=f"payment of order {purchase.order}" if purchase.order else f"payment of {deal.what}",
        fields=(PATH,),
        cost=cost,
        needs=deal.consent(price),
        order=purchase.order,
        note=note.cart if note else "",
        paper=note.paper if note else deal.paper(Kind.ORDER),
        limit=deal.limit,
        method=purchase.method or 0,
    )


def _cost(deal: _Deal, price: Money, *, exact: bool) -> str:
    choice = deal.purchase.choice
    committed = f", committed for {choice.commitment} months" if choice and choice.commitment else ""
    stock = "" if choice is None else ", in stock" if deal.purchase.stocked else ", out of stock"
    about = "" if exact else "about "
    return f"{about}{price} with tax for the first {deal.order.duration}{committed}{stock}"


def _plan_search(deal: _Deal, cart: Written) -> Plan:
    """The cart was checked out, and which order came of it was not heard."""
    purchase = deal.purchase
    age = deal.unix - max(purchase.youngest, cart.paper.tried)
    found, carts = purchase.candidates, purchase.open_carts
    if len(found) == len(carts) and (len(carts) == 1 or age > _HEARD):
        # Equal orders of several objects: which is whose does not matter, as long as each has one.
        paper = replace(deal.paper(Kind.ORDER), order=found[carts.index(cart.cart)])
        return Plan(steps=(_link(paper),))
    if age < _UNCLEAR:
        message = f"cart {cart.cart} was checked out; waiting until its order shows"
        return Plan(outcome=waiting(Reason.ORDERING, message, after=10.0))
    listed = ", ".join(str(n) for n in found) or "none"
    message = (
        f"cart {cart.cart} was checked out, and which order came of it cannot be told: orders of {deal.order.plan_code} since"
        f" then: {listed}. Nothing is ordered or paid. Let those that nobody wants expire unpaid; or pay one in OVHcloud's"
        " console and make a BareMetalServer with its serviceName once it is there"
    )
    return Plan(outcome=stalled(Reason.ORDER_STATUS_UNKNOWN, message, after=_DELIVERY))


def _link(paper: Paper) -> LinkOrder:
    return LinkOrder(action=Action.CREATE, target=f"record of order {paper.order}", fields=(PATH,), paper=paper)


def _plan_order(deal: _Deal) -> Plan:
    purchase, number = deal.purchase, deal.purchase.order
    if purchase.note is None:
        return Plan(steps=(_link(replace(deal.paper(Kind.ORDER), order=number)),))
    match purchase.status:
        case "notPaid":
            return _plan_payment(deal, purchase.note)
        case "cancelled" | "cancelling":
            return _plan_cancelled(deal, purchase.note)
        case "documentsRequested":
            message = (
                f"OVHcloud asks for papers before it delivers order {number}: see the account's e-mail or its console"
            )
            return Plan(outcome=stalled(Reason.DOCUMENTS_REQUESTED, message, after=_DELIVERY))
        case "delivered" if purchase.domain:
            return Plan()
        case "checking":
            message = f"order {number}: OVHcloud checks the payment"
        case "delivered" | "delivering":
            message = f"order {number} is paid and is being delivered, which may take days"
        case other:
            message = f"order {number} is {other or 'in no state that is known'}"
    return Plan(outcome=waiting(Reason.DELIVERING, message, after=_DELIVERY))


def _plan_payment(deal: _Deal, note: Written) -> Plan:
    purchase = deal.purchase
    number, bill = purchase.order, purchase.bill
    if bill is None:
        return Plan(outcome=waiting(Reason.ORDERING, f"reading order {number}", after=_SOON))
    attempt = note.paper.paying
    if attempt and deal.unix - attempt < _SETTLED:
        message = f"order {number} was asked to be paid; waiting until OVHcloud shows it"
        return Plan(outcome=waiting(Reason.PAYING, message, after=_AGAIN))
    if not attempt and bill.expires is not None and bill.expires <= deal.now:
        return Plan(steps=(_lapse(deal, note),))
    if (too_dear := _above(deal, bill.price, f"order {number} costs")) is not None:
        return Plan(outcome=too_dear)
    if deal.limit is not None and purchase.method is None:
        message = (
            f"order {number} cannot be paid: the account has no default payment method; add one in OVHcloud's console"
        )
        return Plan(outcome=stalled(Reason.NO_PAYMENT_METHOD, message, after=_DELIVERY))
    return Plan(steps=(_pay(deal, bill.price, _cost(deal, bill.price, exact=True)),))


def _plan_cancelled(deal: _Deal, note: Written) -> Plan:
    """Void and never paid, it is ordered anew; paid once, a person says what next."""
    if not note.paper.paying:
        return Plan(steps=(_lapse(deal, note),))
    message = (
        f"order {deal.purchase.order} was cancelled after it was asked to be paid; see OVHcloud's console for why and for the"
        " refund. To order again, make another BareMetalServer"
    )
    return Plan(outcome=stalled(Reason.ORDER_CANCELLED, message, after=_DELIVERY))


def _lapse(deal: _Deal, note: Written) -> LapseOrder:
    paper = replace(note.paper, lapsed=True, at=deal.unix)
    target = f"record of order {note.paper.order}, which became void unpaid"
    return LapseOrder(action=Action.UPDATE, target=target, fields=(PATH,), note=note.cart, paper=paper)


def _above(deal: _Deal, price: Money, what: str) -> Outcome | None:
    limit = deal.limit
    if limit is None or _within(price, limit):
        return None
    message = f"{what} {price}, and {deal.field} allows {limit}: nothing is bought. Allow more, or order something else"
    return stalled(Reason.PRICE_ABOVE_LIMIT, message, after=_DELIVERY)


def _within(price: Money, limit: Money) -> bool:
    return price.currency == limit.currency and price.amount <= limit.amount


def _differs(number: int) -> Outcome:
    message = (
        f"order {number} of an earlier object of this name is for another plan, datacentre, price or options, and was paid:"
        " write in spec what was ordered, or choose another metadata.name for this server"
    )
    return stalled(Reason.ORDER_DIFFERS, message, after=_DELIVERY)


# --- performing ------------------------------------------------------------------------------------------------------


async def perform_purchase(step: OrderStep, shop: Shop, now: datetime) -> Outcome:
    """One write, or one that is written down first. What was done is looked at before the next."""
    match step:
        case OpenCart():
            cart = await shop.open_cart(step.paper.text)
            return _on(Reason.ORDERING, "a cart was made", {CART_FACT: cart})
        case FillCart():
            await shop.fill_cart(step.cart, step.basket)
            await shop.describe_cart(step.cart, replace(step.paper, filled=True).text)
            return _on(Reason.ORDERING, "the cart was filled")
        case CheckOut():
            return await _check_out(step, shop, now)
        case LinkOrder():
            note = await shop.open_cart(step.paper.text)
            facts = {NOTE_FACT: note, ORDER_FACT: str(step.paper.order)}
            return _on(Reason.ORDERING, f"order {step.paper.order} is recorded", facts)
        case PayOrder():
            return await _pay_now(step, shop, now)
        case LapseOrder():
            await shop.describe_cart(step.note, step.paper.text)
            facts = {NOTE_FACT: "", ORDER_FACT: "", CART_FACT: ""}
            return _on(Reason.ORDERING, f"order {step.paper.order} became void unpaid; it is ordered anew", facts)
        case DropCart():
            await shop.drop_cart(step.cart)
            return _on(Reason.RELEASED, f"cart {step.cart} was dropped", {CART_FACT: ""})


async def _check_out(step: CheckOut, shop: Shop, now: datetime) -> Outcome:
    await shop.describe_cart(step.cart, replace(step.paper, checkout=int(now.timestamp())).text)
    price = await shop.quote(step.cart)
    if step.limit is None or not _within(price, step.limit):
        return waiting(Reason.ORDERING, f"the price is {price} now; looking again", after=_SOON)
    number = await shop.check_out(step.cart)
    message = f"order {number} was made for {price}, unpaid"
    return replace(_on(Reason.ORDERING, message, {ORDER_FACT: str(number)}), events=((Reason.ORDERED, message),))


async def _pay_now(step: PayOrder, shop: Shop, now: datetime) -> Outcome:
    """The state and the price once more; then the attempt is written down, then it is made."""
    if not step.order or not step.note:
        return waiting(Reason.ORDERING, "the order is not made and recorded yet", after=_SOON)
    status, bill = await shop.status(step.order), await shop.bill(step.order)
    if status != UNPAID or step.limit is None or not _within(bill.price, step.limit):
        return waiting(
            Reason.ORDERING, f"order {step.order} is {status} for {bill.price} now; looking again", after=_SOON
        )
    await shop.describe_cart(step.note, replace(step.paper, paying=int(now.timestamp())).text)
    await shop.pay(step.order, step.method)
    message = f"order {step.order} was paid, {bill.price}"
    return replace(_on(Reason.PAYING, message, after=_AGAIN), events=((Reason.PAID, message),))


def _on(reason: Reason, message: str, facts: Mapping[str, str] | None = None, after: float = _SOON) -> Outcome:
    return replace(waiting(reason, message, after=after), facts=facts or {})


def plan_giving_up(purchase: Purchase) -> Plan:
    """The object is deleted with Delete, and no server of its order is there: a paid one cannot be called back, so it is waited
    for and then set to end; an unpaid one becomes void by itself; a cart is dropped.
    """
    if is_paid(purchase):
        message = (
            f"order {purchase.order} is paid and is being delivered; what it delivers is set to end at its expiration once it"
            " is there. Set spec.deletionPolicy: Retain to let go of it now"
        )
        return Plan(outcome=waiting(Reason.DELIVERING, message, after=_DELIVERY))
    cart = purchase.cart
    if purchase.order or cart is None or cart.read_only:
        return Plan()
    target = f"cart {cart.cart}, with which nothing was ordered"
    return Plan(steps=(DropCart(action=Action.DELETE, target=target, fields=("spec.deletionPolicy",), cart=cart.cart),))


def is_paid(purchase: Purchase) -> bool:
    """Whether money was spent, or may have been."""
    attempted = purchase.note is not None and bool(purchase.note.paper.paying)
    void = purchase.status in {"cancelled", "cancelling"}
    return bool(purchase.order) and not void and (purchase.status != UNPAID or attempted)


# --- telling ---------------------------------------------------------------------------------------------------------

_STATES = {
    "checking": "Checking",
    "documentsRequested": "DocumentsRequested",
    "delivering": "Delivering",
    "delivered": "Delivered",
    "cancelling": "Cancelled",
    "cancelled": "Cancelled",
}


def order_status(purchase: Purchase, before: Mapping[str, object]) -> dict[str, object]:
    """For `status.order`."""
    note = purchase.note
    paying = note is not None and note.paper.paying
    state = _STATES.get(purchase.status, "Paying" if paying else "Unpaid" if purchase.order else "Quoting")
    price = purchase.bill.price if purchase.bill else purchase.quote
    shown: dict[str, object] = {
        "id": purchase.order or None,
        "state": state,
        "cart": purchase.cart.cart if purchase.cart else before.get("cart"),
        "price": str(price) if price else before.get("price"),
    }
    return {key: value for key, value in shown.items() if value is not None}
