"""Ten thousand worlds of clouds, profiles, policies and outages that are left: nothing goes where one of the policies does not let it, and
whatever stays is told why. What is allowed is worked out by the oracle of test_placement_worlds, without a line of what is tested.
"""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.kinds.hostedinstance.test_placement_worlds import (
    SLICES,
    WORLDS,
    CloudOfAWorld,
    WorldOfClouds,
    _cloud,
    _policy,
    _wish,
    could_be,
    has_room,
)

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.exit import Estimate, Way
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.exit_readiness.estimate import Question, Source, could_leave
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts, facts_of
from sovereigncloud.ports.opennebula.views import AddressRange, Datastore, Disk, Nic, Vm

NAMES = ("api", "web")
VAULT = "backup.example.org"
COPY = {
    "name": "team/cloud/70", "kind": "Backup", "time": "2026-11-24T02:00:00Z", "place": "Outside", "server": VAULT, "driver": "restic",
    "store": "100", "vm": "1", "system": "0", "chain": "0:abc", "disks": [{"name": "0", "size": "10Gi"}],
}  # fmt: skip
SHAPE = {"id": "1", "cpu": "2", "vcpu": 2, "memory": "4Gi", "networks": ["lan"]}
ABROAD = {**COPY, "place": "Inside", "server": ""}
STORE = Datastore(100, "vault", 3, 0, 10**6, 10**6, driver="restic", attributes={"RESTIC_SFTP_SERVER": VAULT})


class Leaving(WorldOfClouds):
    """Two machines are in the first of the clouds; the others are asked about, the first one never."""

    def __init__(
        self, clouds: list[CloudOfAWorld], policies: list[dict[str, Any]], machines: list[HostedInstance]
    ) -> None:
        super().__init__(clouds, policies)
        self.machines = {one.key: one for one in machines}
        self.left = clouds[0].key

    def get(self, key: Key) -> Any:
        return self.machines.get(key) or super().get(key)

    async def view(self, cloud: Key) -> Any:
        assert cloud != self.left, "what is left is not asked: it may be lost"
        return await super().view(cloud)

    def inhabitants(self, cloud: Key) -> tuple[InstanceFacts, ...]:
        found = (facts_of(one) for _, one in sorted(self.machines.items()))
        return tuple(one for one in found if one is not None and one.cloud == cloud)


def _machine(name: str, number: int, cloud: str, spec: dict[str, Any], copies: list[dict[str, Any]]) -> HostedInstance:
    status: dict[str, Any] = {"external": {"vm": str(number), "cloud": f"team/{cloud}"}}
    if copies:
        status["continuity"] = {"copies": copies, "machine": SHAPE}
    meta = {"name": name, "namespace": "team"}
    return HostedInstance.model_validate({"metadata": meta, "spec": spec, "status": status})


def _vm(name: str, number: int) -> Vm:
    return Vm(
        id=number, name=name, owner=0, state=3, lcm_state=3, cpu="2", vcpu=2, memory=4096, nics=(Nic(0, 3, "lan", "", ""),),
        disks=(Disk(0, 7, "ubuntu", 10240),), mark=Mark("inst", f"HostedInstance/team/{name}", "uid"), host="", scheduler_message="",
        error="",
    )  # fmt: skip


@pytest.mark.parametrize("part", range(SLICES))
async def test_nothing_leaves_for_where_a_policy_does_not_let_it(part: int) -> None:
    rng = random.Random(f"exits {part}")
    known = [_cloud(rng, number) for number in range(60)]
    for one in known:
        lan = replace(one.view.networks[3], ranges=(AddressRange("10.0.0.1", 50),))
        stores = {100: STORE} if rng.random() < 0.5 else {}
        one.view = replace(one.view, networks={3: lan}, datastores={**one.view.datastores, **stores})
    seen = SimpleNamespace(moved=0, stayed=0, lost=0, from_a_copy=0)
    for _ in range(WORLDS // SLICES):
        clouds = rng.sample(known, rng.randint(2, 5))
        names = [cloud.name for cloud in clouds]
        policies = [_policy(rng, number, names) for number in range(rng.choice([0, 1, 1, 2, 2, 3]))]
        await _judge(clouds, policies, _wish(rng, names), seen, rng)
    # A world that lets everybody go, or nobody, would show little.
    assert min(seen.moved, seen.stayed, seen.lost, seen.from_a_copy) > WORLDS // SLICES // 10, seen


async def _judge(
    clouds: list[CloudOfAWorld], policies: list[dict[str, Any]], spec: dict[str, Any], seen: Any, rng: random.Random
) -> None:
    left, lost = clouds[0], rng.random() < 0.4
    copies = rng.choice([[], [COPY], [COPY], [ABROAD]])
    world: Any = Leaving(clouds, policies, [_machine(name, n, left.name, spec, copies) for n, name in enumerate(NAMES)])
    view = None if lost else replace(left.view, vms={n: _vm(name, n) for n, name in enumerate(NAMES)})
    targets = tuple(cloud.key for cloud in clouds)
    found = await could_leave((Source(left.key, view),), Question(targets=lambda _: targets), world)
    story = ([cloud.name for cloud in clouds], policies, spec, lost, copies)
    assert [way.leaver.name for way in found.ways] == [f"team/{name}" for name in NAMES], story
    seen.lost += lost
    wishless = {key: value for key, value in spec.items() if key != "placement"}  # an exit overrides a wish
    for name, way in zip(NAMES, found.ways, strict=True):
        places = {
            (f"team/{cloud.name}", cluster)
            for cloud in clouds[1:]
            for cluster in cloud.clusters
            if could_be(cloud, cluster, policies, wishless, name) and (not lost or _can_use(copies, cloud))
        }
        _weigh(way, places, clouds, story, seen, first=name == NAMES[0])
        seen.from_a_copy += lost and way.to is not None
    if rng.random() < 0.1:
        shuffled: Any = Leaving(clouds, policies, [*world.machines.values()][::-1])
        again = await could_leave((Source(left.key, view),), Question(targets=lambda _: targets[::-1]), shuffled)
        assert _told(again) == _told(found), ("another answer", story)


def _weigh(
    way: Way, places: set[tuple[str, str]], clouds: list[CloudOfAWorld], story: Any, seen: Any, *, first: bool
) -> None:
    roomy = {
        (f"team/{cloud.name}", cluster)
        for cloud in clouds
        for cluster in cloud.clusters
        if (f"team/{cloud.name}", cluster) in places and has_room(cloud, cluster)
    }
    if way.to is not None:
        assert way.to in places, ("goes where it may not be", way, story)
        assert way.to in roomy, ("goes where there is no room", way, story)
        seen.moved += 1
        return
    assert not (first and roomy), ("there is a place", roomy, way, story)
    assert way.blocker is not None, story
    assert way.blocker.reason, story
    assert way.blocker.message.strip(), story
    seen.stayed += 1


def _can_use(copies: list[dict[str, Any]], cloud: CloudOfAWorld) -> bool:
    return copies == [COPY] and 100 in cloud.view.datastores


def _told(found: Estimate) -> list[Any]:
    return [(way.leaver.name, way.to, way.blocker.reason if way.blocker else None) for way in found.ways]
