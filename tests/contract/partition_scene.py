"""Two clouds on servers of OVHcloud, a machine with spec.continuity in one of them, and networks that break and heal.

The kinds are the real ones; OpenNebula is simulated, with guests that run on whether or not anybody sees them; the provider is the
one of the unit tests, whose servers carry those guests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.migration_scene import HTTP, IMAGE, MACHINES, MOVES, NETWORK
from tests.unit.kinds.cloud_fakes import FakeOvh, FakePower, interfaces
from tests.unit.kinds.opennebula_in_memory import World, resource, run

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.sovereigncloud.outage import fenced_for, who_waits
from sovereigncloud.ports.errors import Conflict, NotYet, OutsideError, Retry
from sovereigncloud.providers.opennebula.factory import open_nebula_factory

CLOUDS = {"rbx": "127.0.0.2", "gra": "127.0.1.2"}
VAULT = "backup.example.org"
RESTIC = f'NAME=vault TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD=s RESTIC_SFTP_SERVER={VAULT}'
LABELS = ("SOVEREIGNCLOUD_LABELS", "app=web")
WEB: dict[str, Any] = {
    "source": {"image": "ubuntu"}, "vcpu": 1, "memory": "512Mi", "networks": [{"name": "lan"}], "power": "Running",
    "continuity": {"tolerationSeconds": 10},
}  # fmt: skip
SERVERS = BareMetalServerController()
UNSEEN = 3
"""Reads in a row that fail until a cloud counts as lost, as in engine/views/cloud_watch.py."""


class Silence:
    """A client of what does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise Retry(f"{name}: no route to host")


@dataclass
class Network:
    """What the operator reaches of a cloud."""

    cut: bool = False
    missed: int = 0
    first: datetime | None = None


class Surroundings(World):
    """Clouds on servers, and their provider."""

    def __init__(self, power_off: str, **fronts: Any) -> None:
        super().__init__(**fronts)
        self.now = datetime.now(UTC)
        self.ovh_account, self.ovh_cut = FakeOvh(_Clock(self)), False
        self.fenced: dict[str, str] = {}
        self.views: dict[Key, Any] = {}
        self.kubernetes.apply = self._apply
        for name in fronts:
            self.located[name] = {"spec": _on_a_server(name, power_off)}
            self.ovh_account.add(
                f"{name}.eu", ip=CLOUDS[name], interfaces=interfaces(name, vrack="pn-1"), display_name="one-1"
            )

    async def _apply(self, manifest: Any) -> None:
        meta = manifest["metadata"]
        made = resource(manifest["kind"], meta["name"], manifest["spec"], uid=f"uid-{meta['name']}")
        self.resources.setdefault(made.key, made)

    def get(self, key: Key) -> Any:
        found = super().get(key)
        if key.kind != "SovereignCloud" or found is None:
            return found
        status = found.status.model_copy(update={"fenced_for": self.fenced.get(key.name)})
        return found.model_copy(update={"status": status})

    def users(self, key: Key, *kinds: str) -> list[Any]:
        mine = {"BareMetalServer": f"{key.name}-one-1"} if key.kind == "SovereignCloud" else {}
        found = super().users(key, *kinds)
        return [one for one in found if mine.get(one.key.kind, one.key.name) == one.key.name]

    async def view(self, cloud: Key) -> Any:
        """One read serves all that are looked at in a turn, until something is written."""
        if cloud not in self.views:
            self.views[cloud] = await super().view(cloud)
        return self.views[cloud]

    async def account(self, *_: str) -> Any:
        self._reach_provider()
        return await self.ovh_account.view(0.0, frozenset({"pn-1"}))

    async def ovh(self, *_: str) -> Any:
        self._reach_provider()
        return self.ovh_account

    def _reach_provider(self) -> None:
        if self.ovh_cut:
            raise Retry("OVHcloud does not answer")

    async def greeting(self, *_: Any) -> None:
        return None


@dataclass
class _Clock:
    world: World

    @property
    def now(self) -> datetime:
        return self.world.now


@dataclass
class Partitions:
    """All controllers in turn, as the engine would run them, a second apart."""

    sandbox: Any
    world: Surroundings
    fronts: dict[str, Any]
    networks: dict[str, Network] = field(default_factory=lambda: {name: Network() for name in CLOUDS})
    powered: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(CLOUDS, True))
    failovers: int = 0

    def key(self, cloud: str) -> Key:
        return Key("SovereignCloud", "team", cloud)

    @property
    def web(self) -> Any:
        return self.world.resources[Key("HostedInstance", "team", "web")]

    @property
    def home(self) -> str:
        return str(self.web.external.get("cloud", "team/rbx")).partition("/")[2]

    # --- somebody else

    def cut(self, cloud: str, *, provider: bool) -> None:
        self.networks[cloud].cut = True
        self.world.fronts[self.key(cloud)] = Silence()
        self.world.ovh_cut = provider

    def heal(self) -> None:
        for cloud, network in self.networks.items():
            network.cut = False
            self.world.fronts[self.key(cloud)] = self.fronts[cloud]
        self.world.ovh_cut = False

    def switch(self, cloud: str, *, on: bool) -> None:
        """At the socket."""
        self.world.ovh_account.servers[f"{cloud}.eu"].on = on

    def confirm(self, cloud: str) -> None:
        word = {"confirmedBy": "oncall@example.fr", "outage": self.world.lost[cloud]}
        self.world.located[cloud]["spec"]["fencing"] = word

    def start_again(self, cloud: str) -> None:
        """A person has what the operator switched off started, and is done with the word for the outage."""
        self.world.located[cloud]["spec"].pop("fencing", None)
        child = self.world.resources[Key("BareMetalServer", "team", f"{cloud}-one-1")]
        power = child.status.power
        if power is not None and power.fenced:
            self.world.located[cloud]["spec"]["hosted"]["fencing"]["startAgain"] = power.fenced
        elif not power or not power.fenced:
            self.switch(cloud, on=True)

    async def tidy(self) -> None:
        """A person deletes the machine that was left, and the moves that are over."""
        for cloud, front in self.fronts.items():
            for vm in (await front.view(0.0)).vms.values():
                if vm.mark is not None and vm.mark.object.startswith("InstanceMigration/") and cloud != self.home:
                    await front.act(vm.id, "terminate-hard")

    # --- the operator

    async def turn(self) -> None:
        self.world.now += timedelta(seconds=1)
        self.world.views.clear()
        for cloud in CLOUDS:
            await self._read(cloud)
        for cloud in CLOUDS:
            await self._once(Key("BareMetalServer", "team", f"{cloud}-one-1"), SERVERS)
        self._power()
        await self._once(self.web.key, MACHINES)
        for key in [key for key in self.world.resources if key.kind == "InstanceMigration"]:
            await self._once(key, MOVES)
        assert self.copies()[1] <= 1, "two run"
        await asyncio.sleep(0.01)

    async def _read(self, cloud: str) -> None:
        """What the engine's watch of a cloud, and then its own reconcile, make of an answer or of none."""
        network = self.networks[cloud]
        try:
            await self.world.view(self.key(cloud))
        except OutsideError:
            network.first = network.first if network.missed else self.world.now
            network.missed += 1
        else:
            network.missed = 0
            self.world.lost.pop(cloud, None)
            self.world.fenced.pop(cloud, None)
        if network.missed >= UNSEEN and network.first is not None:
            self.world.lost.setdefault(cloud, timestamp(network.first))
        if since := self.world.lost.get(cloud):
            resource = self.world.get(self.key(cloud))
            inside = self.web if self.home == cloud else None
            waiting = [one for one in who_waits(resource, since, self.world) if one == inside]
            self.world.fenced[cloud] = fenced_for(resource, since, waiting, self.world.now)

    async def _once(self, key: Key, controller: Any) -> None:
        found = self.world.resources[key]
        try:
            found, plan, outcome = await run(controller, found, self.world)
        except (OutsideError, NotYet, Conflict):
            return
        if plan.steps:
            self.world.views.clear()
        if (
            key.kind == "InstanceMigration"
            and "cutOver" in found.external
            and "cutOver" not in self.world.resources[key].external
        ):
            self.failovers += 1
        if key.kind == "InstanceMigration" and "ended" in found.external and outcome.phase is Phase.DONE:
            self.world.resources.pop(key)
            return
        self.world.resources[key] = found

    def _power(self) -> None:
        """The guests of a server that is off are dead."""
        self.world.ovh_account.settle()
        for cloud, address in CLOUDS.items():
            on = self.world.ovh_account.servers[f"{cloud}.eu"].on
            if on != self.powered[cloud]:
                self.powered[cloud] = on
                self.sandbox.do(self.sandbox.sandbox.power, address, on=on)
                self.world.views.clear()

    def copies(self) -> tuple[list[str], int]:
        """Where the machine really runs, and how many of it did at once, at worst."""
        found = self.sandbox.do(self.sandbox.sandbox.copies, *LABELS)
        return [one["cloud"] for one in found["running"]], found["most"]

    async def until(self, what: Any, turns: int = 250) -> None:
        for _ in range(turns):
            await self.turn()
            if what():
                return
        raise AssertionError((self.web.status, self.copies(), self.world.lost, self.world.resources.keys()))

    def ready_to_fail_over(self) -> bool:
        told = self.web.status.condition("FailoverReady")
        return told is not None and told.status == "True"

    def settled(self) -> bool:
        ready = self.web.status.is_true("Ready") and not self.world.lost
        return ready and self.copies()[0] == [self.home]


def _on_a_server(cloud: str, power_off: str) -> dict[str, Any]:
    ovh = {
        "endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": "pn-1",
        "servers": [{"name": "one-1", "serviceName": f"{cloud}.eu", "roles": ["Frontend", "Node"]}],
    }  # fmt: skip
    adopt = {"endpoint": "http://127.0.0.1/RPC2", "credentialsSecretRef": {"name": "one"}}
    return {
        "existing": None,
        "hosted": {"ovh": ovh, "openNebula": {"adopt": adopt}, "fencing": {"powerOff": power_off}},
    }


async def partitions(sandbox: Any, power_off: str) -> Partitions:
    """The machine runs in rbx, and has a backup outside."""
    FakePower.TAKES = 3.0
    factory = open_nebula_factory(rate=500, burst=500)
    fronts = {name: factory(sandbox.endpoint(name), "oneadmin", "opennebula", "") for name in CLOUDS}
    world = Surroundings(power_off, **fronts)
    await asyncio.sleep(0.3)  # until the datastores are monitored
    for front in fronts.values():
        await front._calls.write("one.vn.allocate", NETWORK.format("lan"), 0)
        await front._calls.write("one.datastore.allocate", RESTIC, -1)
    await fronts["rbx"]._calls.write("one.image.allocate", IMAGE, 1)
    await fronts["rbx"].parts.create_marketplace({**HTTP, "BRIDGE_LIST": "files.example.org"})
    for name, address in CLOUDS.items():
        world.resources[Key("BareMetalServer", "team", f"{name}-one-1")] = _server(name, address)
        mark = world.mark(world.resources[Key("BareMetalServer", "team", f"{name}-one-1")])
        world.ovh_account.servers[f"{name}.eu"].tags.update(mark.for_ovh())
    scene = Partitions(sandbox, world, fronts)
    backup = {"backup": {"store": "vault", "request": "first"}}
    made = resource("HostedInstance", "web", {**WEB, **backup}, uid="uid-web", labels={"app": "web"})
    world.resources[made.key] = made
    await scene.until(lambda: scene.settled() and scene.ready_to_fail_over())
    return scene


def _server(cloud: str, address: str) -> Any:
    return BareMetalServer.model_validate(
        {
            "metadata": {
                "name": f"{cloud}-one-1", "namespace": "team", "uid": f"uid-{cloud}", "generation": 1,
                "ownerReferences": [{"apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": cloud, "uid": "c", "controller": True}],
            },
            "spec": {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": f"{cloud}.eu", "vrack": "pn-1"}},
            "status": {"serviceName": f"{cloud}.eu", "address": address, "observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]},
        }
    )  # fmt: skip
