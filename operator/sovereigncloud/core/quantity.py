"""Kubernetes quantities and Go durations, read exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTOR = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50,
}  # fmt: skip
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MIB = Decimal(2) ** 20


@lru_cache(maxsize=1024)  # a sweep reads the same few sizes of thousands of machines
def quantity(text: str | int) -> Decimal:
    """The number that a quantity stands for. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        raise ValueError(f"not a quantity: {text!r} (examples: 4Gi, 500m, 2)")
    return Decimal(match[1]) * _FACTOR[match[2] or ""]


@lru_cache(maxsize=1024)
def mebibytes(text: str | int) -> int:
    """Whole MiB, as OpenNebula counts memory and disks. Raises ValueError where it is not a whole number of MiB."""
    value = quantity(text) / _MIB
    if value != value.to_integral_value() or value < 1:
        raise ValueError(
            f"{text} is not a whole number of MiB: OpenNebula counts in MiB, write for example 4Gi or 512Mi"
        )
    return int(value)


def seconds(duration: str) -> float:
    """Seconds of a Go duration such as 1h30m. Raises ValueError."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(a + b for a, b in parts) != duration:
        raise ValueError(f"not a duration: {duration!r} (examples: 300s, 24h)")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
