"""Selection of a dedicated server by service name, tags or an order."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, Rule, SecretRef
from sovereigncloud.api.common.rules import checked, immutable

TAG_KEYS = Rule(
    "self.all(key, key.matches('^[a-zA-Z0-9_.:/=+@-]{1,128}$'))",
    "a tag key has 1 to 128 letters, digits or _ . : / = + @ -, as OVHcloud allows them: for example rack or team/cloud",
)

PlanCode = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]*$",
        json_schema_extra={WORDS: "must be a plan code of OVHcloud's catalogue, for example 24scale01-v1"},
    ),
]
"""A code of OVHcloud's catalogue."""


class TagSelector(Model):
    """Selects the one server of the account that has these tags."""

    match_tags: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(min_length=1, max_length=8, json_schema_extra=checked(TAG_KEYS)),
    ] = Field(
        description="IAM tags (key and value) that the server must all have, for example {role: one-1}. They must match"
        " exactly one server of the account. The selected server stays selected when its tags change later."
    )


class OrderApproval(Model):
    """Approval of an order up to a maximum price."""

    max_price: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{1,9}(\.[0-9]{1,2})?$",
            max_length=12,
            json_schema_extra={WORDS: 'must be an amount in quotes with a dot before the cents: for example "1200.00"'},
        ),
    ] = Field(
        description="Maximum price of the order including tax. The order is not paid if the quoted price in status.plan or"
        " the price of the order itself is higher."
    )
    currency: Annotated[
        str,
        Field(
            pattern=r"^[A-Z]{3}$",
            max_length=3,
            json_schema_extra={WORDS: "must be the three capital letters of a currency: for example EUR"},
        ),
    ] = Field(description="Currency of maxPrice, for example EUR. The operator never pays a price in another currency.")


_AGAIN = "what was asked for may be ordered already; make another BareMetalServer for another machine"


class ServerOrder(Model):
    """Order of a new server. Nothing is paid before approval sets a maximum price."""

    plan_code: PlanCode = Field(
        description="Plan code of the server in the OVHcloud catalogue, for example 24scale01-v1. Cannot be changed."
    )
    datacenter: Annotated[
        str,
        Field(
            max_length=32,
            pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
            json_schema_extra={WORDS: "must be a code of OVHcloud's datacentres in lower case, for example rbx"},
        ),
    ] = Field(description="Data centre code of the OVHcloud catalogue, for example rbx. Cannot be changed.")
    duration: Annotated[
        str,
        Field(
            pattern=r"^P[1-9][0-9]?[MY]$",
            max_length=4,
            json_schema_extra={
                WORDS: "must be a duration of the catalogue, for example P1M for a month or P1Y for a year"
            },
        ),
    ] = Field(
        default="P1M",
        description="Billing period as an ISO 8601 duration, for example P1M for one month, the default. Cannot be changed.",
    )
    pricing_mode: Annotated[
        str,
        Field(
            max_length=64,
            pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$",
            json_schema_extra={WORDS: "must be a pricing mode of the catalogue, for example default or degressivity12"},
        ),
    ] = Field(
        default="default",
        description="Pricing mode of the catalogue, for example default, upfront12 or degressivity12; the latter two commit"
        " to twelve months. Absent: default. Cannot be changed.",
    )
    options: Annotated[list[PlanCode], Field(max_length=16)] | None = Field(
        default=None,
        description="Plan codes of options, at most one per family (memory, storage, bandwidth, vrack). Absent, or for a"
        " mandatory family without an entry: the default of the catalogue. Cannot be changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with API credentials that may order and pay, with the same keys as the provider's"
        " credentialsSecretRef. Absent: the provider's credentials are used.",
    )
    approval: OrderApproval | None = Field(
        default=None,
        description="Approval to pay for the order. Absent: status.plan shows the price and nothing is ordered.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("planCode", _AGAIN),
        immutable("datacenter", _AGAIN),
        immutable("duration", _AGAIN),
        immutable("pricingMode", _AGAIN),
        immutable("options", _AGAIN),
    )


WHICH = Rule(
    "[has(self.serviceName), has(self.tagSelector), has(self.order)].exists_one(present, present)",
    "exactly one of serviceName, tagSelector and order must be set: serviceName or tagSelector for a server that is there,"
    " order to buy one",
)


def stays_the_same(remedy: str) -> tuple[Rule, ...]:
    """Return the rules that the selected server cannot be changed."""
    return (
        WHICH,
        immutable("serviceName", remedy),
        immutable("tagSelector", remedy),
        Rule("has(self.order) == has(oldSelf.order)", f"order cannot be added or removed: {remedy}", field=".order"),
    )


class WhichServer(Model):
    """Server selection: exactly one of the three. A class with these fields needs the rules of `stays_the_same`."""

    service_name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="OVHcloud service name of the server, for example ns3012345.ip-57-131-167.eu. Exactly one of"
        " serviceName, tagSelector and order is set. Cannot be changed.",
    )
    tag_selector: TagSelector | None = Field(
        default=None,
        description="Selects the server by its IAM tags. Exactly one of serviceName, tagSelector and order is set. Cannot"
        " be changed.",
    )
    order: ServerOrder | None = Field(
        default=None,
        description="Orders a new server. Exactly one of serviceName, tagSelector and order is set; after creation only"
        " approval and credentialsSecretRef of an order can be changed.",
    )


class OrderStatus(Model):
    """Progress of the order."""

    id: int | None = Field(
        default=None, description="ID of the order at OVHcloud, a number of its API; set when it was placed."
    )
    state: (
        Literal["Quoting", "Unpaid", "Paying", "Checking", "DocumentsRequested", "Delivering", "Delivered", "Cancelled"]
        | None
    ) = Field(
        default=None,
        description="State of the order. Quoting: the cart is filled and priced, nothing is ordered. Unpaid: ordered; it"
        " expires without payment. Paying: payment was requested. Checking: OVHcloud checks the payment."
        " DocumentsRequested: OVHcloud requests documents from the account's owner. Delivering: OVHcloud"
        " prepares the server, which can take days. Delivered: the server is available. Cancelled: OVHcloud or a"
        " user cancelled the order.",
    )
    cart: str | None = Field(default=None, description="ID of the OVHcloud cart of the order.")
    price: str | None = Field(default=None, description="Price including tax, in the account's currency.")
