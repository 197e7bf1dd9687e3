"""What is written at OVHcloud about an order, before anything irreversible: descriptions of carts.

Neither a cart nor an order carries tags, and the API knows no idempotency key. A cart has a description, and that can be
searched. So the cart says whose it is, and a second, empty cart says which order came of it and that it is being paid: a
new cluster of the same installation reads there what became of it.
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
    CART = "cart"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A description. Times in seconds since the epoch, 0: not (yet).

    Attributes:
        plan: the plan code that is ordered.
        digest: names what is ordered, see `order_digest`.
        at: when the paper was made.
        filled: of a cart: all that is ordered is in it.
        checkout: of a cart: when it was last asked to be checked out.
        order: of an order: its number.
        paying: of an order: when it was last asked to be paid.
        lapsed: of an order: it became void unpaid, and counts no more.
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
    def tried(self) -> int:
        """The latest moment that is known before which it was not checked out for the last time: a description of before that, whose
        answer was lost, may come late and take away when it was.
        """
        return max(self.checkout, self.at)

    @property
    def text(self) -> str:
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


def read_paper(description: str) -> Paper | None:
    """None: nobody of ours wrote it."""
    first, _, rest = description.partition(" ")
    kind = next((k for k in Kind if first == f"{_PREFIX}{k}"), None)
    words = rest.split()
    said = dict(word.split("=", 1) for word in words if "=" in word)
    if kind is None or not said.get("installation") or not said.get("object"):
        return None

    def number(word: str) -> int:
        value = said.get(word, "")
        return int(value) if value.isdigit() else 0

    return Paper(
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
    """Names what is ordered; neither the consent nor the credential is part of it."""
    text = json.dumps(
        [order.plan_code, order.datacenter, order.duration, order.pricing_mode, sorted(order.options or ())]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:8]
