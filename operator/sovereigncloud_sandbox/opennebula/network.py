"""The network between front-ends: their addresses, and partitions between clouds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from sovereigncloud_sandbox.opennebula import raft
from sovereigncloud_sandbox.opennebula.cloud import Cloud

_ONED_PORT = 2633
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """What answers at an address: a cloud, or one of the front-ends of a cloud that has several."""

    cloud: Cloud
    server: int | None = None


@dataclass(slots=True)
class Network:
    """Front-ends by "host:port", and pairs of clouds between which nothing passes, or since when it does again."""

    _places: dict[str, Place] = field(default_factory=dict)
    _cut: set[frozenset[str]] = field(default_factory=set)
    _healed: dict[frozenset[str], float] = field(default_factory=dict)
    repositories: dict[Any, Any] = field(default_factory=dict)  # of backups, by their servers
    dead_servers: set[str] = field(default_factory=set)  # that are of no cloud
    files: dict[str, Any] = field(default_factory=dict)  # of marketplaces, by URL

    def join(self, endpoint: str, cloud: Cloud, server: int | None = None) -> None:
        """From now on this answers there."""
        _NETWORKS[cloud] = self
        cloud.files, cloud.repositories, cloud.dead_servers = self.files, self.repositories, self.dead_servers
        self._places[_address(endpoint)] = Place(cloud, server)

    def leave(self, endpoint: str) -> None:
        """Nothing answers there any more."""
        self._places.pop(_address(endpoint), None)

    def clouds(self) -> Iterator[Cloud]:
        """Each cloud once."""
        seen: set[str] = set()
        for place in list(self._places.values()):
            if place.cloud.name not in seen:
                seen.add(place.cloud.name)
                yield place.cloud

    def find(self, endpoint: str) -> Place | None:
        """Who listens there. Behind the web server of a cloud, oned itself listens on its own port."""
        address = _address(endpoint)
        if address in self._places:
            return self._places[address]
        host, _, port = address.rpartition(":")
        if port != str(_ONED_PORT):
            return None
        return next((one for at, one in self._places.items() if at.rpartition(":")[0] == host), None)

    def reach(self, origin: Cloud, endpoint: str) -> Place | None:
        """Who answers there when `origin` calls; None where nobody does."""
        place = self.find(endpoint)
        cut = place is not None and frozenset({origin.name, place.cloud.name}) in self._cut
        return None if cut or place is None or not raft.answers(place.cloud, place.server) else place

    def cut(self, one: Cloud, other: Cloud) -> None:
        """Nothing passes between two clouds."""
        self._cut.add(frozenset({one.name, other.name}))

    def heal(self, one: Cloud, other: Cloud, now: float) -> None:
        """It passes again."""
        pair = frozenset({one.name, other.name})
        if pair in self._cut:
            self._cut.discard(pair)
            self._healed[pair] = now

    def open_since(self, one: Cloud, other: Cloud) -> float:
        """When the line between two clouds was last mended."""
        return self._healed.get(frozenset({one.name, other.name}), 0)


_NETWORKS: WeakKeyDictionary[Cloud, Network] = WeakKeyDictionary()
"""Here instead of in `Cloud`, which knows nothing of what other clouds it can reach."""


def network_of(cloud: Cloud) -> Network | None:
    """The network that a cloud joined, or None for a cloud of its own."""
    return _NETWORKS.get(cloud)


def _address(endpoint: str) -> str:
    """The host and port of a URL, or of such a pair itself."""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    return f"{parts.hostname}:{parts.port or _PORTS.get(parts.scheme, _ONED_PORT)}"
