"""From an order in spec and the catalogue to what goes into the cart and about what it costs. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.ordering import ServerOrder
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.ports.ovh.orders import Basket, Catalogue, Family, Money, Offer, Pricing, Setting, Stock

_NO_SYSTEM = "none_64.en"  # an operating system comes with spec.reinstall, on request
_CENT = Decimal("0.01")
_EMPTY = frozenset({"unavailable", "comingSoon", "unknown"})
_OVERSEAS = {
    "canada": frozenset({"bhs", "ca", "tor", "yyz"}),
    "apac": frozenset({"sgp", "sg", "syd", "au", "ynm", "in", "mum"}),
    "usa": frozenset({"vin", "hil", "us"}),
}
"""Words of the setting `region`, by the code of the datacentre (facts, locations); any other is in Europe."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be ordered, or why it cannot be.

    Attributes:
        estimate: by the catalogue; the cart's own quote counts.
        commitment: months that the price commits to.
    """

    basket: Basket | None = None
    estimate: Money | None = None
    commitment: int = 0
    problem: Outcome | None = None


def choose(order: ServerOrder, catalogue: Catalogue) -> Choice:
    """The basket for an order: what spec says, and of each mandatory family that it does not speak of the default."""
    offer = catalogue.offer
    if offer is None:
        near = _near(order.plan_code, catalogue.plans)
        return _refused(f"the catalogue has no plan {order.plan_code}; near it: {near}; change order.planCode")
    pricing = _pricing(offer.pricings, order)
    if pricing is None:
        offered = sorted({f"{p.duration} {p.mode}" for p in offer.pricings if not p.setup})
        return _refused(
            f"{order.plan_code} has no price for duration {order.duration} and pricingMode {order.pricing_mode}; it has"
            f" {', '.join(offered) or 'none'}"
        )
    options = _options(order, offer)
    if isinstance(options, Outcome):
        return Choice(problem=options)
    settings = _settings(order, offer.settings)
    if isinstance(settings, Outcome):
        return Choice(problem=settings)
    basket = Basket(order.plan_code, order.duration, order.pricing_mode, options, settings)
    priced = [offer.pricings, *(offer.option_prices.get(o, ()) for o in options)]
    total = sum((_first_payment(pricings, order) for pricings in priced), Decimal(0))
    return Choice(basket, Money(total.quantize(_CENT, ROUND_HALF_UP), offer.currency), pricing.commitment)


def in_stock(rows: Iterable[Stock], options: Iterable[str]) -> bool:
    """Whether what was chosen can be delivered. Rows name memory and storage by the option's code without its plan."""
    rows, options = tuple(rows), tuple(options)
    ours = tuple(r for r in rows if _is_of(r.memory, options) and _is_of(r.storage, options)) or rows
    return any(r.availability not in _EMPTY for r in ours)


def _is_of(part: str, options: Iterable[str]) -> bool:
    return not part or any(o == part or o.startswith(f"{part}-") for o in options)


def _pricing(pricings: Iterable[Pricing], order: ServerOrder) -> Pricing | None:
    wanted = _months(order.duration)
    return next(
        (p for p in pricings if not p.setup and p.mode == order.pricing_mode and _months(p.duration) == wanted), None
    )


def _first_payment(pricings: tuple[Pricing, ...], order: ServerOrder) -> Decimal:
    setup = sum((p.price for p in pricings if p.setup and p.mode == order.pricing_mode), Decimal(0))
    rent = _pricing(pricings, order)
    return setup + (rent.price if rent else Decimal(0))


def _months(duration: str) -> int:
    found = re.fullmatch(r"P(\d+)([MY])", duration)
    return int(found[1]) * (12 if found[2] == "Y" else 1) if found else -1


def _options(order: ServerOrder, offer: Offer) -> tuple[str, ...] | Outcome:
    asked = list(order.options or ())
    known = {option for family in offer.families for option in family.options}
    unknown = [o for o in asked if o not in known]
    if unknown:
        return _refusal(
            f"{offer.plan_code} has no option {unknown[0]}; near it: {_near(unknown[0], known)}; change order.options"
        )
    chosen: list[str] = []
    for family in offer.families:
        wished = [o for o in asked if o in family.options]
        if len(wished) > 1:
            return _refusal(f"{' and '.join(wished)} are both of the family {family.name}: choose one in order.options")
        if wished or family.mandatory:
            chosen.append(wished[0] if wished else _default(family, offer, order))
    unsold = [o for o in chosen if _pricing(offer.option_prices.get(o, ()), order) is None]
    if unsold:
        return _refusal(
            f"option {unsold[0]} has no price for duration {order.duration} and pricingMode {order.pricing_mode}: change"
            " order.options, or order by another price"
        )
    return tuple(sorted(chosen))


def _default(family: Family, offer: Offer, order: ServerOrder) -> str:
    """The catalogue's default, else the one that costs least."""
    if family.default:
        return family.default
    sold = [o for o in family.options if _pricing(offer.option_prices.get(o, ()), order)] or family.options
    return min(sold, key=lambda o: (_first_payment(offer.option_prices.get(o, ()), order), o))


def _settings(order: ServerOrder, settings: Iterable[Setting]) -> tuple[tuple[str, str], ...] | Outcome:
    said: list[tuple[str, str]] = []
    for setting in settings:
        wanted = _said(order, setting)
        if wanted is None:
            if setting.mandatory:
                return _refusal(f"{order.plan_code} wants to know its {setting.name}, which spec has no field for")
            continue
        if setting.values and wanted not in setting.values:
            field = "order.datacenter" if setting.name == "dedicated_datacenter" else setting.name
            return _refusal(
                f"{order.plan_code} is not sold with {setting.name} {wanted}; change {field}: it can be"
                f" {', '.join(setting.values[:10])}"
            )
        said.append((setting.name, wanted))
    return tuple(sorted(said))


def _said(order: ServerOrder, setting: Setting) -> str | None:
    match setting.name:
        case "dedicated_datacenter":
            return order.datacenter
        case "dedicated_os":
            return _NO_SYSTEM
        case "region":
            return next((region for region, codes in _OVERSEAS.items() if order.datacenter in codes), "europe")
        case _:
            return setting.values[0] if len(setting.values) == 1 else None


def _near(word: str, words: Iterable[str]) -> str:
    known = sorted(words)
    return ", ".join(difflib.get_close_matches(word, known, n=5, cutoff=0.3) or known[:5]) or "nothing"


def _refusal(message: str) -> Outcome:
    return stalled(Reason.NOT_FOR_SALE, message, after=300.0)


def _refused(message: str) -> Choice:
    return Choice(problem=_refusal(message))
