"""Purchase records at OVHcloud, written to cart descriptions before anything irreversible.

Carts and orders carry no tags, and the API knows no idempotency key, but a cart has a searchable description. So the
cart names its owner, and a second, empty cart names the resulting order and the payment attempt. A rebuilt cluster of
the same installation reads the state of the purchase from there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.core.identity import Mark

_PREFIX = "sovereigncloud.io/"


class Kind(StrEnum):
    """Type of a purchase record."""

    CART = "cart"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRecord:
    """A purchase record. Times are in seconds since the epoch; 0: not (yet).

    Attributes:
        plan: the plan code that is ordered.
        digest: names what is ordered, see `order_digest`.
        at: when the record was made.
        filled: of a cart: its contents are complete.
        checkout: of a cart: when its checkout was last requested.
        order: of an order: its number.
        paying: of an order: when its payment was last requested.
        lapsed: of an order: it expired unpaid and is ignored.
    """

    kind: Kind
    mark: Mark
    plan: str
    digest: str
    at: int
    filled: bool = False
    checkout: int = 0
    order: int = 0
    paying: int = 0
    lapsed: bool = False

    @property
    def last_attempt(self) -> int:
        """Return the latest time at which the cart may have been checked out, as far as the record tells.

        A delayed write of an older description can erase `checkout`; `at` is then the best known time.
        """
        return max(self.checkout, self.at)

    @property
    def text(self) -> str:
        """Serialize the record as a cart description."""
        words = {
            "installation": self.mark.installation,
            "object": self.mark.object,
            "uid": self.mark.uid,
            "plan": self.plan,
            "for": self.digest,
            "at": self.at,
            "order": self.order,
            "checkout": self.checkout,
            "paying": self.paying,
        }
        said = [f"{word}={value}" for word, value in words.items() if value]
        flags = [word for word, holds in (("filled", self.filled), ("lapsed", self.lapsed)) if holds]
        return " ".join([f"{_PREFIX}{self.kind}", *said, *flags])


def read_purchase_record(description: str) -> PurchaseRecord | None:
    """Parse a cart description; None: the operator did not write it."""
    first, _, rest = description.partition(" ")
    kind = next((k for k in Kind if first == f"{_PREFIX}{k}"), None)
    words = rest.split()
    said = dict(word.split("=", 1) for word in words if "=" in word)
    if kind is None or not said.get("installation") or not said.get("object"):
        return None

    def number(word: str) -> int:
        value = said.get(word, "")
        return int(value) if value.isdigit() else 0

    return PurchaseRecord(
        kind=kind,
        mark=Mark(said["installation"], said["object"], said.get("uid", "")),
        plan=said.get("plan", ""),
        digest=said.get("for", ""),
        at=number("at"),
        filled="filled" in words,
        checkout=number("checkout"),
        order=number("order"),
        paying=number("paying"),
        lapsed="lapsed" in words,
    )


def order_digest(order: ServerOrder) -> str:
    """Hash what is ordered; consent and credential are not part of it."""
    text = json.dumps(
        [order.plan_code, order.datacenter, order.duration, order.pricing_mode, sorted(order.options or ())]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:8]
