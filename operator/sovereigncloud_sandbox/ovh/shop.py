"""The catalogue of dedicated servers: two plans of a Scale range, with memory, storage, bandwidth and vRack as options.

Codes and prices are invented in the form of real ones; amounts are in hundred-millionths of a euro, as the API has them.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from sovereigncloud_sandbox.ovh.state import CartItem, State
from sovereigncloud_sandbox.ovh.wire import Json

_EURO: Final = 100_000_000
TAX: Final = 0.2
REGION_OF: Final = {
    "rbx": "eu-west-rbx",
    "gra": "eu-west-gra",
    "sbg": "eu-west-sbg",
    "fra": "eu-west-lim",
    "waw": "eu-central-waw",
    "bhs": "ca-east-bhs",
}
MODES: Final = {"default": 0, "degressivity12": 12, "upfront12": 12}
_EVERY: Final = {"default": (1, 1.0), "degressivity12": (1, 0.9), "upfront12": (12, 10.2)}


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan or an option: euros a month, euros once."""

    code: str
    monthly: float
    setup: float = 0.0


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    mandatory: bool
    options: tuple[Plan, ...]


def _families(plan: str) -> tuple[Family, ...]:
    return (
        Family("memory", True, (Plan(f"ram-128g-ecc-4800-{plan}", 0.0), Plan(f"ram-256g-ecc-4800-{plan}", 90.0))),
        Family("storage", True, (Plan(f"softraid-2x960nvme-{plan}", 0.0), Plan(f"softraid-2x1920nvme-{plan}", 40.0))),
        Family("bandwidth", True, (Plan(f"bandwidth-1000-{plan}", 0.0), Plan(f"bandwidth-2000-{plan}", 100.0))),
        Family("vrack", True, (Plan(f"vrack-bandwidth-25000-{plan}", 0.0),)),
        Family("extras", False, (Plan(f"backup-storage-{plan}", 12.0),)),
    )


SERVERS: Final = {plan.code: plan for plan in (Plan("24scale01", 129.99, 99.0), Plan("24scale02", 199.99, 149.0))}
FAMILIES: Final = {code: _families(code) for code in SERVERS}
OPTIONS: Final = {o.code: o for families in FAMILIES.values() for f in families for o in f.options}
SETTINGS: Final = {
    "dedicated_datacenter": tuple(REGION_OF),
    "dedicated_os": ("none_64.en", "ubuntu2404-server_64.en"),
    "region": ("europe", "canada"),
}


def months(duration: str) -> int:
    """Of an ISO duration: P1M, P1Y, P12M; 0: it is none that is sold."""
    found = re.fullmatch(r"P(\d+)([MY])", duration)
    return int(found[1]) * (12 if found[2] == "Y" else 1) if found else 0


def is_sold(mode: str, duration: str) -> bool:
    return mode in _EVERY and months(duration) == _EVERY[mode][0]


def price_of(state: State, item: CartItem) -> float:
    """The first payment without tax, in euros."""
    plan = SERVERS.get(item.plan) or OPTIONS[item.plan]
    _, factor = _EVERY[item.pricing_mode]
    return round((plan.monthly * factor + plan.setup) * item.quantity * state.price_factor, 2)


def money(value: float) -> Json:
    """An ``order.Price``."""
    return {
        "currencyCode": "EUR",
        "priceInUcents": round(value * _EURO),
        "text": f"{value:.2f} €",
        "value": round(value, 2),
    }


def catalogue(state: State, subsidiary: str) -> Json:
    """An ``order.catalog.public.DedicatedServerCatalog``."""
    return {
        "addons": [_plan(state, option, ()) for option in OPTIONS.values()],
        "catalogId": 12345,
        "locale": {"currencyCode": "EUR", "subsidiary": subsidiary, "taxRate": TAX * 100},
        "planFamilies": [],
        "plans": [_plan(state, plan, FAMILIES[code]) for code, plan in SERVERS.items()],
        "products": [],
    }


def _plan(state: State, plan: Plan, families: tuple[Family, ...]) -> Json:
    settings = SETTINGS if families else {}
    return {
        "addonFamilies": [
            {
                "addons": [o.code for o in f.options],
                "default": f.options[0].code if f.mandatory else None,
                "exclusive": True,
                "mandatory": f.mandatory,
                "name": f.name,
            }
            for f in families
        ],
        "blobs": None,
        "configurations": [
            {"isCustom": False, "isMandatory": True, "name": name, "values": list(values)}
            for name, values in settings.items()
        ],
        "consumptionConfiguration": None,
        "family": "scale" if families else None,
        "invoiceName": plan.code,
        "planCode": plan.code,
        "pricingType": "rental",
        "pricings": [one for mode in _EVERY for one in _pricings(state, plan, mode)],
        "product": plan.code,
    }


def _pricings(state: State, plan: Plan, mode: str) -> list[Json]:
    interval, factor = _EVERY[mode]
    rent = _pricing(state, plan.monthly * factor, mode, ["renew"], interval, "month")
    return [_pricing(state, plan.setup, mode, ["installation"], 0, "none"), rent]


def _pricing(state: State, price: float, mode: str, capacities: list[str], interval: int, unit: str) -> Json:
    price = round(price * state.price_factor, 2)
    engagement: dict[str, Any] | None = None
    if MODES[mode]:
        engagement = {
            "defaultEndAction": "STOP_ENGAGEMENT_FALLBACK_DEFAULT_PRICE",
            "duration": "P12M",
            "type": "upfront" if mode.startswith("upfront") else "periodic",
        }
    return {
        "capacities": capacities,
        "commitment": MODES[mode],
        "description": "rental" if interval else "installation fees",
        "engagementConfiguration": engagement,
        "interval": interval,
        "intervalUnit": unit,
        "mode": mode,
        "mustBeCompleted": False,
        "phase": 1,
        "price": round(price * _EURO),
        "promotions": None,
        "quantity": {"max": None, "min": 1},
        "repeat": {"max": None, "min": 1},
        "strategy": "tiered",
        "tax": round(price * TAX * _EURO),
        "type": "rental",
    }
