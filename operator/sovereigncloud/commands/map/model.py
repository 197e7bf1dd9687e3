"""What the map shows, as values: borders, clouds, hosts, networks, instances. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sovereigncloud.api import BareMetalServer, HostedInstance, SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.map.countries import UNKNOWN, Country, city_of, country_named, country_of
from sovereigncloud.commands.shared.condition_summary import Health, State, state_of
from sovereigncloud.commands.shared.resource_graph import IMAGE, INSTANCE, NETWORK, SERVER, ResourceGraph
from sovereigncloud.commands.tree.ownership_tree import state_in
from sovereigncloud.sovereignty.facts import Part

Json = dict[str, Any]
FORMAT = 1
_HOST_STATES = {
    "monitored": Health.READY,
    "disabled": Health.PROGRESSING,
    "offline": Health.STALLED,
    "error": Health.STALLED,
}


@dataclass(frozen=True, slots=True)
class Thing:
    """An object on the map. Of an instance: `networks` by their names in OpenNebula, `on` those of them that are objects."""

    key: Key
    state: State
    networks: tuple[str, ...] = ()
    on: tuple[Key, ...] = ()

    def as_json(self) -> Json:
        key = {"kind": self.key.kind, "namespace": self.key.namespace, "name": self.key.name}
        return {**key, **self.state.as_json(), **({"networks": list(self.networks)} if self.networks else {})}


@dataclass(frozen=True, slots=True)
class Host:
    """A place where machines run: a server of ours, or a host that only OpenNebula knows (`server` is None then)."""

    name: str
    note: str
    health: Health
    server: Thing | None
    instances: tuple[Thing, ...]

    def as_json(self) -> Json:
        return {
            "name": self.name,
            "note": self.note,
            "health": str(self.health),
            "server": self.server.as_json() if self.server else None,
            "instances": [one.as_json() for one in self.instances],
        }


@dataclass(frozen=True, slots=True)
class CloudBox:
    """A cloud and what is in it.

    Attributes:
        place: where it stands, in words.
        vrack: of its servers; empty: none is known.
        hosts: with the instances on them.
        waiting: instances that run nowhere yet.
    """

    thing: Thing
    place: str
    vrack: str
    hosts: tuple[Host, ...]
    waiting: tuple[Thing, ...]
    networks: tuple[Thing, ...]
    images: tuple[Thing, ...]

    def as_json(self) -> Json:
        return {
            **self.thing.as_json(),
            "place": self.place,
            "vrack": self.vrack or None,
            "hosts": [host.as_json() for host in self.hosts],
            "waiting": [one.as_json() for one in self.waiting],
            "networksInIt": [one.as_json() for one in self.networks],
            "images": [one.as_json() for one in self.images],
        }


@dataclass(frozen=True, slots=True)
class Border:
    """A country and the clouds in it. Of one whose servers stand in several, `countries` has them all."""

    countries: tuple[Country, ...]
    clouds: tuple[CloudBox, ...]

    @property
    def name(self) -> str:
        return " and ".join(country.name for country in self.countries)

    def as_json(self) -> Json:
        return {
            "countries": [c.as_json() for c in self.countries],
            "clouds": [cloud.as_json() for cloud in self.clouds],
        }


@dataclass(frozen=True, slots=True)
class Map:
    """All of it. `loose`: what is in no cloud."""

    borders: tuple[Border, ...]
    loose: tuple[Thing, ...]

    def as_json(self) -> Json:
        """With stable keys."""
        return {
            "format": FORMAT,
            "borders": [border.as_json() for border in self.borders],
            "inNoCloud": [one.as_json() for one in self.loose],
        }

    def things(self) -> tuple[Thing, ...]:
        """Every object once, what others stand on first."""
        found: dict[Key, Thing] = {}
        for border in self.borders:
            for cloud in border.clouds:
                servers = [host.server for host in cloud.hosts if host.server]
                instances = [one for host in cloud.hosts for one in host.instances]
                for one in (cloud.thing, *servers, *cloud.networks, *cloud.images, *instances, *cloud.waiting):
                    found.setdefault(one.key, one)
        return (*found.values(), *self.loose)


def the_map(resource_graph: ResourceGraph) -> Map:
    """Drawn from what is there; the same for the same objects, in whatever order they came."""
    by_countries: dict[tuple[Country, ...], list[CloudBox]] = {}
    for cloud in resource_graph.clouds():
        by_countries.setdefault(_countries(cloud, resource_graph), []).append(_cloud(cloud, resource_graph))
    known_first = sorted(by_countries, key=lambda countries: (countries == (UNKNOWN,), [c.code for c in countries]))
    borders = tuple(Border(countries, tuple(by_countries[countries])) for countries in known_first)
    return Map(borders, tuple(_thing(key, resource_graph) for key in resource_graph.loose()))


def _countries(cloud: Key, resource_graph: ResourceGraph) -> tuple[Country, ...]:
    """Where its hosts are, as its status says; before it does, where OVHcloud says that its servers stand."""
    resource = resource_graph.get(cloud)
    told = resource.status.locations if isinstance(resource, SovereignCloud) else None
    hosts = {one.country or "" for one in told or () if Part.COMPUTE in (one.covers or ())}
    if hosts:
        return tuple(sorted(map(country_named, hosts), key=lambda country: country.code))
    regions = {server.status.region for server in _servers(cloud, resource_graph) if server.status.region}
    found = sorted({country_of(region) for region in regions}, key=lambda country: country.code)
    return tuple(found) or (UNKNOWN,)


def _servers(cloud: Key, resource_graph: ResourceGraph) -> list[BareMetalServer]:
    found = (resource_graph.get(key) for key in resource_graph.members(cloud, SERVER))
    return [server for server in found if isinstance(server, BareMetalServer)]


def _cloud(key: Key, resource_graph: ResourceGraph) -> CloudBox:
    instances = [resource_graph.get(one) for one in resource_graph.members(key, INSTANCE)]
    placed: dict[str, list[Thing]] = {}
    waiting = [
        _thing(one, resource_graph) for one in resource_graph.members(key, INSTANCE) if resource_graph.get(one) is None
    ]
    for instance in instances:
        if isinstance(instance, HostedInstance):
            host = instance.status.placement.host if instance.status.placement else None
            thing = _thing(instance.key, resource_graph)
            if host and instance.status.id:
                placed.setdefault(host, []).append(thing)
            else:
                waiting.append(thing)
    servers = _servers(key, resource_graph)
    return CloudBox(
        _thing(key, resource_graph),
        _where(resource_graph.get(key), servers),
        next((s.spec.ovh.vrack for s in servers if s.spec.ovh and s.spec.ovh.vrack), ""),
        tuple(_hosts(resource_graph.get(key), servers, placed)),
        tuple(waiting),
        tuple(_thing(one, resource_graph) for one in resource_graph.members(key, NETWORK)),
        tuple(_thing(one, resource_graph) for one in resource_graph.members(key, IMAGE)),
    )


def _hosts(cloud: object, servers: list[BareMetalServer], placed: dict[str, list[Thing]]) -> list[Host]:
    """Servers of ours, matched to OpenNebula's hosts by name or address; then the hosts that are no servers of ours."""
    states = {}
    if isinstance(cloud, SovereignCloud):
        states = {host.name: host.state or "" for host in cloud.status.hosts or () if host.name}
    found = []
    rest = dict.fromkeys([*states, *placed])
    for server in servers:
        names = [n for n in (server.outside_name, server.metadata.name, server.status.address) if n in rest]
        instances = [one for name in dict.fromkeys(names) for one in placed.get(name, ())]
        for name in names:
            rest.pop(name, None)
        note = ", ".join(filter(None, (server.status.address, *(str(r) for r in server.spec.roles or ()))))
        state = state_of(server)
        found.append(Host(server.metadata.name, note, state.health, Thing(server.key, state), tuple(instances)))
    found += [
        Host(
            name,
            states.get(name, ""),
            _HOST_STATES.get(states.get(name, ""), Health.UNKNOWN),
            None,
            tuple(placed.get(name, ())),
        )
        for name in sorted(rest)
    ]
    return found


def _where(cloud: object, servers: list[BareMetalServer]) -> str:
    regions = sorted({server.status.region for server in servers if server.status.region})
    if regions:
        return "OVHcloud, " + " and ".join(f"{city_of(r)} ({r})" if city_of(r) else r for r in regions)
    if isinstance(cloud, SovereignCloud):
        if cloud.spec.existing is not None:
            return f"elsewhere, {urlsplit(cloud.spec.existing.endpoint).hostname or cloud.spec.existing.endpoint}"
        return "OVHcloud, region not known yet"
    return ""


def _thing(key: Key, resource_graph: ResourceGraph) -> Thing:
    networks = resource_graph.networks_of(key)
    on = tuple(network for _, network in networks if network)
    return Thing(key, state_in(resource_graph, key), tuple(name for name, _ in networks), on)
