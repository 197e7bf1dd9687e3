"""Room that is spoken for: a machine that was placed takes it before OpenNebula tells of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.core.placement import Demand


@dataclass(frozen=True, slots=True)
class Reservation:
    """A machine that was placed and may not show in a view yet.

    Attributes:
        object: whose it is, as in its mark.
        cluster: by its number; None: wherever in the cloud.
        labels: of the object, each as name=value.
    """

    object: str
    cluster: int | None
    demand: Demand
    labels: tuple[str, ...] = ()
