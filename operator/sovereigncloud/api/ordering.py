"""How a dedicated server is named that has no name yet: by its tags, or by an order."""

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
    """The one server of the account that carries these tags."""

    match_tags: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(min_length=1, max_length=8, json_schema_extra=checked(TAG_KEYS)),
    ] = Field(
        description="IAM tags, key and value, that the server carries, all of them: for example {role: one-1}. They must"
        " match exactly one server of the account. Once a server was found it stays the one, whatever becomes of its tags."
    )


class OrderApproval(Model):
    """Consent to buy, up to a price."""

    max_price: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{1,9}(\.[0-9]{1,2})?$",
            max_length=12,
            json_schema_extra={WORDS: 'must be an amount in quotes with a dot before the cents: for example "1200.00"'},
        ),
    ] = Field(
        description="The highest price of the order, with tax, that may be paid: what status.plan shows must not exceed it,"
        " and neither must the order itself."
    )
    currency: Annotated[
        str,
        Field(
            pattern=r"^[A-Z]{3}$",
            max_length=3,
            json_schema_extra={WORDS: "must be the three capital letters of a currency: for example EUR"},
        ),
    ] = Field(description="Currency of maxPrice, for example EUR. A price in another one is never paid.")


_AGAIN = "what was asked for may be ordered already; make another BareMetalServer for another machine"


class ServerOrder(Model):
    """A server that is bought. Nothing is paid before approval says up to which price."""

    plan_code: PlanCode = Field(
        description="Code of the server in OVHcloud's catalogue, for example 24scale01-v1. Cannot be changed."
    )
    datacenter: Annotated[
        str,
        Field(
            max_length=32,
            pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
            json_schema_extra={WORDS: "must be a code of OVHcloud's datacentres in lower case, for example rbx"},
        ),
    ] = Field(description="Where it is to stand: the catalogue's code, for example rbx. Cannot be changed.")
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
        description="How long one payment lasts, for example P1M for a month, the default. Cannot be changed.",
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
        description="Which price of the catalogue, for example default, upfront12 or degressivity12: the latter two commit to"
        " twelve months. Cannot be changed.",
    )
    options: Annotated[list[PlanCode], Field(max_length=16)] | None = Field(
        default=None,
        description="Codes of options, at most one of each family (memory, storage, bandwidth, vrack). Absent, or none of a"
        " mandatory family: the default of the catalogue. Cannot be changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret of a credential that may order and pay, with the same keys. Absent: the credential that manages"
        " the server.",
    )
    approval: OrderApproval | None = Field(
        default=None,
        description="Consent to pay. Absent: the price is shown in status.plan, and nothing is ordered.",
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
    """Which machine it is does not change."""
    return (
        WHICH,
        immutable("serviceName", remedy),
        immutable("tagSelector", remedy),
        Rule("has(self.order) == has(oldSelf.order)", f"order cannot be added or removed: {remedy}", field=".order"),
    )


class WhichServer(Model):
    """Which machine a server is: exactly one of the three. Whoever has them has the rules of `stays_the_same`."""

    service_name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="Which machine: the service name at OVHcloud, for example ns3012345.ip-57-131-167.eu. Exactly one of"
        " serviceName, tagSelector and order is set. Cannot be changed.",
    )
    tag_selector: TagSelector | None = Field(
        default=None,
        description="Which machine: the one that carries these tags. Exactly one of serviceName, tagSelector and order is"
        " set. Cannot be changed.",
    )
    order: ServerOrder | None = Field(
        default=None,
        description="The machine is bought. Exactly one of serviceName, tagSelector and order is set; of an order only"
        " approval and credentialsSecretRef can be changed.",
    )


class OrderStatus(Model):
    """How far the order is."""

    id: int | None = Field(default=None, description="Number of the order at OVHcloud, once it was made.")
    state: (
        Literal["Quoting", "Unpaid", "Paying", "Checking", "DocumentsRequested", "Delivering", "Delivered", "Cancelled"]
        | None
    ) = Field(
        default=None,
        description="Quoting: the cart is filled and priced, nothing is ordered. Unpaid: ordered, and void unless it is paid."
        " Paying: it was asked to pay. Checking: OVHcloud checks the payment. DocumentsRequested: OVHcloud asks the account's"
        " owner for papers. Delivering: the server is being built, which may take days. Delivered: it is there. Cancelled:"
        " OVHcloud or a person cancelled it.",
    )
    cart: str | None = Field(default=None, description="The cart at OVHcloud that it was, or will be, ordered with.")
    price: str | None = Field(default=None, description="What it costs, with tax, in the currency of the account.")
