"""OpenNebula clouds and OVHcloud accounts as the metrics report them: their view watch and call budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from sovereigncloud.engine.telemetry.metric_catalogue import Api
from sovereigncloud.engine.views.cloud_watch import ViewWatch


class Allowance(Protocol):
    """Call budget that a credential has left; see `providers.rate_limits.Allowance`."""

    @property
    def left(self) -> float: ...
    @property
    def size(self) -> float: ...
    @property
    def paused(self) -> float: ...
    @property
    def refused(self) -> bool: ...


@runtime_checkable
class Limited(Protocol):
    """A client that reports its call budget."""

    @property
    def allowance(self) -> Allowance: ...


@dataclass(frozen=True, slots=True)
class MonitoredAccount:
    """A cloud or an OVHcloud account that is read, for the metrics.

    Attributes:
        api: whose it is.
        name: namespace/name of its SovereignCloud or Secret.
        watch: reads it.
        client: None before the first read.
    """

    api: Api
    name: str
    watch: ViewWatch[Any]
    client: object
