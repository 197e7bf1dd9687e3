"""Clouds in several countries, policies, and a machine that is to be placed in one of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from tests.unit.kinds.machine_scene import cloud
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, host

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigntypolicy import OnViolation
from sovereigncloud.ports.opennebula.views import Datastore
from sovereigncloud.sovereignty.countries import expanded
from sovereigncloud.sovereignty.facts import Part
from sovereigncloud.sovereignty.rules import Rules

GIB = 1024
FACT = {"grade": "Observed", "source": "OVHcloud region of server ns1", "since": "2026-11-01T00:00:00Z"}


def location(
    cluster: str, country: str, *hosts: str, covers: tuple[str, ...] = ("compute",), **more: Any
) -> dict[str, Any]:
    """Where these hosts of a cluster are; an empty country: nobody knows."""
    told = FACT | {"name": f"cluster/{cluster}/{country}/{'-'.join(hosts)}", "cluster": cluster, "hosts": list(hosts)}
    return (
        told | {"covers": list(covers)} | ({"country": country, "datacenter": f"{country}-1"} if country else {}) | more
    )


FRONT_END = FACT | {"name": "front-end", "covers": ["controlPlane"], "country": "FR"}


class Clouds:
    """A world of clouds, each with one cluster and host unless it is given more."""

    def __init__(self, **countries: str) -> None:
        self.world = World(**{name: self._front(name) for name in countries})
        for name, country in countries.items():
            places = [location("default", country, f"{name}-1")]
            self.world.located[name] = {"locations": [*places, FRONT_END]}

    def _front(self, name: str, *more: Any) -> OpenNebula:
        front = cloud(host(1, name=f"{name}-1"), *more)
        front.datastores[0] = Datastore(0, "system", 1, 0, 10**6, 10**6)
        return front

    def front(self, name: str) -> Any:
        return self.world.fronts[Key("SovereignCloud", "team", name)]

    def add_cluster(self, name: str, number: int, cluster: str, country: str) -> None:
        """With one host."""
        front = self.front(name)
        front.people.clusters[number] = cluster
        front.hosts[number] = host(number, name=f"{name}-{number}", cluster_id=number)
        front.networks[3] = replace(front.networks[3], clusters=(*front.networks[3].clusters, number))
        self.world.located[name]["locations"].append(location(cluster, country, f"{name}-{number}"))

    def fill(self, name: str) -> None:
        """Its hosts have no memory."""
        front = self.front(name)
        front.hosts = {number: replace(one, max_memory=GIB) for number, one in front.hosts.items()}


def policy(name: str, *countries: str, enforced: bool = True, **more: Any) -> Rules:
    """Asks for these countries, of what runs only."""
    return Rules(
        policy=name,
        today=date(2026, 11, 24),
        enforced=enforced,
        countries=expanded(countries),
        written_countries=countries,
        covers=frozenset({Part.COMPUTE}),
        on_violation=more.pop("on_violation", OnViolation.REPORT),
        **more,
    )
