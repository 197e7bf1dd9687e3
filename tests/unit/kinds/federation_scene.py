"""Two clouds in memory, "paris" and "rbx", that may become a federation: their tables, their configurations, who reaches whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.unit.kinds.opennebula_in_memory import NOW, OpenNebula, World, mark, resource, run

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Plan
from sovereigncloud.engine.views.federation import federation_of
from sovereigncloud.kinds.federatedzone.controller import FederatedZoneController
from sovereigncloud.ports.errors import Auth, Conflict, NotFound, Rejected, Retry
from sovereigncloud.ports.installer.federation import Change, FederationChange
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.zones import (
    Federation,
    FederationView,
    Mode,
    Raft,
    RaftState,
    VdcPart,
    Zone,
    ZoneServer,
)

CONTROLLER = FederatedZoneController()
PARIS, RBX = Key("SovereignCloud", "team", "paris"), Key("SovereignCloud", "team", "rbx")
JOIN = {"request": "join-1", "replaceUsersGroupsVDCs": "Accept"}
ENDPOINT = {"paris": "http://10.0.0.1:2633/RPC2", "rbx": "http://10.0.0.2:2633/RPC2"}
SSH = {"user": "root", "privateKeySecretRef": {"name": "key"}, "hostKey": "ssh-ed25519 AAAA"}


def cloud_spec(name: str, *, ssh: bool = True, **more: Any) -> dict[str, Any]:
    entered = {"ssh": {"host": f"{name}.example.fr", **SSH}} if ssh else {}
    existing = {"endpoint": ENDPOINT[name], "credentialsSecretRef": {"name": f"{name}-one"}, **entered}
    return {"existing": existing, **more}


def master(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    wanted = {"cloudRef": {"name": "paris"}, "role": "Master", **(spec or {})}
    return resource("FederatedZone", "paris", wanted, status, **{"uid": "uid-paris", **meta})


def slave(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    wanted = {
        "cloudRef": {"name": "rbx"},
        "role": "Slave",
        "masterRef": {"name": "paris"},
        "join": JOIN,
        **(spec or {}),
    }
    return resource("FederatedZone", meta.pop("name", "rbx"), wanted, status, **{"uid": "uid-rbx", **meta})


@dataclass
class Tables:
    """What a federation shares."""

    zones: dict[int, Zone] = field(default_factory=dict)
    vdc_parts: list[VdcPart] = field(default_factory=list)
    index: int = 3


class Member(OpenNebula):
    """A cloud that may be in a federation.

    Attributes:
        behind: how many records it lacks, until the next federated write.
        cut: what the master sends does not come.
        servers: the states that its several servers answer with, by address; None: no answer.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.images, self.networks, self.templates = {}, {}, {}
        self.name, self.config = name, Federation(Mode.STANDALONE, 0)
        self.tables = Tables({0: Zone(0, "OpenNebula", "")})
        self.zones, self.imported, self.down, self.forbidden = FakeZones(self), True, "", False
        self.behind, self.cut = 0, False
        self.servers: dict[str, RaftState | None] = {}
        self.slaves: list[Member] = []

    async def view(self, began: float) -> CloudView:
        if self.down:
            raise Retry(self.down)
        return await super().view(began)

    def written(self) -> None:
        """A federated write: whoever is not cut off has everything after it."""
        self.tables.index += 1
        for one in self.slaves:
            one.behind = one.behind + 1 if one.cut else 0


class FakeZones:
    def __init__(self, member: Member) -> None:
        self.member = member

    @property
    def _tables(self) -> Tables:
        return self.member.tables

    async def federation(self) -> FederationView:
        if self.member.forbidden:
            raise Auth("User [2] : Not authorized to perform ADMIN.")
        return FederationView(self.member.config, dict(self._tables.zones))

    async def raft(self, endpoint: str = "") -> Raft:
        if self.member.down:
            raise Retry(self.member.down)
        if not self.member.imported:
            raise NotFound(f"Error getting zone [{self.member.config.zone}].")
        state = self.member.servers.get(endpoint, RaftState.SOLO)
        if state is None:
            raise Retry("connection refused")
        return Raft(state, fed_index=self._tables.index - self.member.behind)

    def _write(self, verb: str, *what: object) -> None:
        self.member.journal.append((verb, *what))
        self.member.written()

    def _answer(self, verb: str) -> None:
        if verb in self.member.lost:
            self.member.lost.discard(verb)
            raise Retry("no answer in time")

    async def allocate(self, template: dict[str, str]) -> int:
        if self.member.config.mode is not Mode.MASTER:
            raise Rejected("New zones can only be created at federation master")
        if any(zone.name == template["NAME"] for zone in self._tables.zones.values()):
            raise Conflict("NAME is already taken by Zone 100.")
        number = max(99, *self._tables.zones) + 1
        made = Zone(number, template["NAME"], template["ENDPOINT"], mark=mark_from_opennebula(template))
        self._tables.zones[number] = made
        self._write("allocate", template["NAME"])
        self._answer("allocate")
        return number

    async def update(self, zone: int, attributes: dict[str, str]) -> None:
        found = self._tables.zones[zone]
        notes = {**found.notes, **{k: v for k, v in attributes.items() if k.startswith("SOVEREIGNCLOUD_")}}
        self._tables.zones[zone] = replace(
            found,
            endpoint=attributes.get("ENDPOINT", found.endpoint),
            sunstone=attributes.get("FIREEDGE_ENDPOINT", found.sunstone),
            mark=mark_from_opennebula(attributes) or found.mark,
            notes=notes,
        )
        self._write("update", zone, *sorted(attributes))
        self._answer("update")

    async def rename(self, zone: int, name: str) -> None:
        self._tables.zones[zone] = replace(self._tables.zones[zone], name=name)
        self._write("rename", zone, name)

    async def enable(self, zone: int, *, enabled: bool) -> None:
        if zone != self.member.config.zone:
            raise Rejected("Enable/disable mode have to be set through the target zone endpoints")
        self._tables.zones[zone] = replace(self._tables.zones[zone], enabled=enabled)
        self._write("enable", zone, enabled)

    async def add_server(self, zone: int, name: str, endpoint: str) -> None:
        found = self._tables.zones[zone]
        server = ZoneServer(max((s.id for s in found.servers), default=-1) + 1, name, endpoint)
        self._tables.zones[zone] = replace(found, servers=(*found.servers, server))
        self._write("add_server", name)

    async def remove_server(self, zone: int, server: int) -> None:
        found = self._tables.zones[zone]
        self._tables.zones[zone] = replace(found, servers=tuple(s for s in found.servers if s.id != server))
        self._write("remove_server", server)

    async def delete(self, zone: int) -> None:
        del self._tables.zones[zone]
        self._write("delete", zone)

    async def vdc_parts(self, zone: int) -> tuple[VdcPart, ...]:
        return tuple(part for part in self._tables.vdc_parts if part.zone == zone)

    async def remove_vdc_part(self, part: VdcPart) -> None:
        self._tables.vdc_parts.remove(part)
        self._write("remove_vdc_part", part.vdc, part.member, part.id)


class Installer:
    """Plays what it is asked for when `play` is called; `ends`: how."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.jobs, self.begun = scene, dict[FederationChange, str](), list[FederationChange]()
        self.lost = False

    async def federation(self, change: FederationChange) -> InstallState:
        state = self.jobs.get(change, "Absent")
        return InstallState(state, "federation.yml failed in a task" if state == "Failed" else "")

    async def federate(self, change: FederationChange) -> None:
        if change not in self.jobs:
            self.jobs[change] = "Running"
            self.begun.append(change)
        if self.lost:
            self.lost = False
            raise Retry("no answer in time")

    def play(self, ends: str = "Succeeded") -> None:
        for change, state in self.jobs.items():
            if state == "Running":
                self.jobs[change] = ends
                if ends == "Succeeded":
                    self.scene.become(change.cloud, change.change, change.zone)


class Scene(World):
    """The two clouds, and what is declared of them."""

    def __init__(self, *zones: Any, **built: dict[str, Any]) -> None:
        self.paris, self.rbx = Member("paris"), Member("rbx")
        super().__init__(zones, paris=self.paris, rbx=self.rbx)
        self.built = {"paris": cloud_spec("paris"), "rbx": cloud_spec("rbx"), **built}
        self.installer = Installer(self)
        self.now = NOW

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def become(self, name: str, change: Change, zone: int = 100) -> None:
        """What a play leaves, or a person."""
        member = getattr(self, name)
        if change is Change.SLAVE:
            member.tables, member.imported = self.paris.tables, True
            member.config = Federation(Mode.SLAVE, zone, master=ENDPOINT["paris"])
            self.paris.slaves = [member]
        elif change is Change.MASTER:
            member.config = Federation(Mode.MASTER, 0)
        else:
            member.config, self.paris.slaves = Federation(Mode.STANDALONE, 0), []
            member.tables = Tables(dict(member.tables.zones))

    def zones_of(self, key: Key) -> list[Any]:
        found = [r for r in self.resources.values() if r.key.kind == "FederatedZone"]
        return [zone for zone in found if key in {CONTROLLER.uses(zone).cloud, *CONTROLLER.uses(zone).objects}]

    def users(self, key: Key, *kinds: str) -> list[Any]:
        return [r for r in self.zones_of(key) if not kinds or r.key.kind in kinds]

    async def view(self, cloud: Key) -> CloudView:
        front = await self._front(cloud)
        view = await front.view(0.0)
        store: Any = _Store(self)
        return replace(view, federation=await federation_of(front, cloud, store, self.open_nebula, lambda _: True))

    async def look(self, zone: Any) -> Plan:
        self.resources[zone.key] = zone
        return CONTROLLER.plan(zone, await CONTROLLER.observe(zone, self), self.now)

    async def fields(self, zone: Any) -> dict[str, Any]:
        return dict(CONTROLLER.status(zone, await CONTROLLER.observe(zone, self)))

    async def once(self, zone: Any) -> tuple[Any, Plan, Outcome]:
        self.resources[zone.key] = zone
        zone, plan, outcome = await run(CONTROLLER, zone, self)
        self.resources[zone.key] = zone
        return zone, plan, outcome

    async def settle(self, zone: Any, rounds: int = 20) -> Any:
        """Until nothing is left to do; what is begun is played at once."""
        for _ in range(rounds):
            zone, plan, outcome = await self.once(zone)
            self.installer.play()
            self.pass_(1)
            if not plan.steps and outcome.phase is Phase.DONE:
                return zone
        raise AssertionError((plan, outcome))

    async def federated(self, **spec: Any) -> tuple[Any, Any]:
        """Both, joined and at rest."""
        return await self.settle(master()), await self.settle(slave(spec))


class _Store:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def users(self, key: Key) -> list[Key]:
        return [zone.key for zone in self._scene.zones_of(key)]

    def get(self, key: Key) -> Any:
        return self._scene.get(key)


def condition(fields: dict[str, Any], kind: str) -> tuple[str, str]:
    found = next(one for one in fields["conditions"] if one["type"] == kind)
    return found["status"], found["reason"]


__all__ = [
    "CONTROLLER",
    "ENDPOINT",
    "JOIN",
    "PARIS",
    "RBX",
    "Member",
    "Scene",
    "cloud_spec",
    "condition",
    "mark",
    "master",
    "slave",
]
