"""The column EXIT of a cloud: how many of its machines could leave it now, to any other cloud that each may use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.exit_scene import GIB, RBX, ExitScene
from tests.unit.kinds.opennebula_in_memory import host, vm
from tests.unit.kinds.placement_scene import policy

from sovereigncloud.engine.cache.instance_index import InstanceIndex
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.gauges import exits_of
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.exit_readiness.cloud_column import way_out
from sovereigncloud.kinds.sovereigncloud.stores.observation import as_kept
from sovereigncloud.ports.errors import NotYet, Retry


async def told(scene: ExitScene) -> str | None:
    markets = map(as_kept, await scene.rbx.parts.marketplaces())
    found = await way_out(scene.world.get(RBX), await scene.rbx.view(0.0), markets, scene.world)  # type: ignore[arg-type]
    return found.told if found is not None else None


def _nothing(_: ExitScene) -> None:
    pass


def _full(scene: ExitScene) -> None:
    scene.paris.hosts[1] = host(1, max_memory=9 * GIB)


def _abroad(scene: ExitScene) -> None:
    scene.world.located["paris"] = {"locations": []}
    scene.world.rules = [policy("fr", "FR")]


def _other_networks(scene: ExitScene) -> None:
    scene.paris.networks.clear()


def _no_marketplace(scene: ExitScene) -> None:
    del scene.rbx.parts.markets[3]


def _suspended(scene: ExitScene) -> None:
    scene.rbx.vms[1] = replace(scene.rbx.vms[1], state=5, lcm_state=0)


def _by_hand(scene: ExitScene) -> None:
    scene.rbx.vms[9] = vm(id=9, name="by-hand", mark=None)


def _nowhere(scene: ExitScene) -> None:
    del scene.world.fronts[next(key for key in scene.world.fronts if key.name == "paris")]


def _silent(scene: ExitScene) -> None:
    scene.world.fronts[next(key for key in scene.world.fronts if key.name == "paris")] = Retry("timed out")


def _read_now(scene: ExitScene) -> None:
    scene.world.fronts[next(key for key in scene.world.fronts if key.name == "paris")] = NotYet(
        "is being read", after=1
    )


ROWS = [
    ("all of them", _nothing, "3/3"),
    ("as many as have room", _full, "2/3"),
    ("policies decide", _abroad, "0/3"),
    ("networks do not count, since nobody said which takes the place of which", _other_networks, "3/3"),
    ("what cannot be saved cannot leave", _suspended, "2/3"),
    ("there is no marketplace over which disks could go", _no_marketplace, "0/3"),
    ("machines that people made are machines", _by_hand, "3/4"),
    ("there is no other cloud", _nowhere, "0/3"),
    ("the other cloud does not answer", _silent, "0/3"),
    ("the other cloud is being read: what was told stays", _read_now, None),
]


@pytest.mark.parametrize(("why", "given", "says"), ROWS, ids=[row[0] for row in ROWS])
async def test_how_many_could_leave(why: str, given: Any, says: str | None) -> None:
    scene = ExitScene(machines=3)
    given(scene)
    assert await told(scene) == says, why
    assert await told(scene) == says, "at rest it is the same"


async def test_a_cloud_without_machines_says_nothing() -> None:
    assert await told(ExitScene(machines=0)) == ""


async def test_while_nobody_looked_what_was_told_stays() -> None:
    scene = ExitScene()
    assert await way_out(scene.world.get(RBX), None, (), scene.world) is None  # type: ignore[arg-type]


def body(name: str, version: str, cloud: str = "rbx") -> dict[str, Any]:
    return {
        "kind": "HostedInstance",
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": version},
        "spec": {"source": {"image": "ubuntu"}, "vcpu": 1, "memory": "1Gi"},
        "status": {"external": {"vm": "7", "cloud": f"team/{cloud}"}},
    }


def test_who_is_in_a_cloud_is_read_anew_only_where_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    for name in ("a", "b"):
        key, _ = store.put(body(name, "1"))
        store.set_uses(key, Uses(cloud=RBX))
    inhabitants = InstanceIndex(store)
    assert [one.key.name for one in inhabitants.of(RBX)] == ["a", "b"]
    parsed: list[str] = []
    get = store.get
    monkeypatch.setattr(store, "get", lambda key: (parsed.append(key.name), get(key))[1])
    assert len(inhabitants.of(RBX)) == 2
    assert parsed == []
    store.put(body("b", "2", cloud="paris"))
    assert [one.key.name for one in inhabitants.of(RBX)] == ["a"], "it is bound elsewhere now"
    assert parsed == ["b"]


def test_the_metric_says_what_the_clouds_say() -> None:
    store = Store()
    for name, says in (("rbx", "287/300"), ("paris", None), ("odd", "x/y")):
        meta = {"name": name, "namespace": "platform", "uid": name, "resourceVersion": "1"}
        store.put({"kind": "SovereignCloud", "metadata": meta, "spec": {}, "status": {"exit": says} if says else {}})
    assert exits_of(store) == {"platform/rbx": (287, 300)}
