"""What was judged, as its status says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key


@dataclass(frozen=True, slots=True)
class Judged:
    """An object that policies bind.

    Attributes:
        key: the object.
        cloud: in which it is, of an image the first that is bound; of a cloud it is itself.
        compliant: status of its condition Compliant.
        broken: policies that the condition says are broken.
    """

    key: Key
    cloud: Key
    compliant: str
    broken: tuple[str, ...] = ()
