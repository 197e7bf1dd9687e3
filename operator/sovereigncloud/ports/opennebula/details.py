"""What only people ask for: whose things are, by name, and every attribute of them. No sweep reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Particulars:
    """Of a machine, a network or an image. `attributes`: the single ones of the template that can be updated."""

    owner: str = ""
    group: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
