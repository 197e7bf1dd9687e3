"""Compliance of evaluated objects, as reported by their status. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key


@dataclass(frozen=True, slots=True)
class Judged:
    """Evaluated object to which policies apply.

    Attributes:
        key: the object.
        cloud: of the object; of an image the first bound one; of a cloud itself.
        compliant: status of its condition Compliant.
        broken: policies that the condition names as broken.
    """

    key: Key
    cloud: Key
    compliant: str
    broken: tuple[str, ...] = ()
