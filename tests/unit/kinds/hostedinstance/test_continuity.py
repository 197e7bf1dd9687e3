"""A machine whose cloud is lost: what is said of it beforehand, and when it is started elsewhere - once, and never without a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.kinds.machine_scene import CONTROLLER, EXTERNAL, OURS, instance
from tests.unit.kinds.opennebula_in_memory import NOW, resource, vm
from tests.unit.kinds.placement_scene import Clouds, policy

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.base import Key
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.hostedinstance.continuity.failover_readiness import name_of_failover
from sovereigncloud.kinds.movement.requests import MakeMove
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import Datastore

SERVER = "backup.example.fr"
LOST = timestamp(NOW - timedelta(seconds=301))
MADE = timestamp(NOW - timedelta(hours=20))
WORD = {"confirmedBy": "oncall@example.fr", "outage": LOST}
COPY = {
    "name": "team/old/9", "kind": "Backup", "time": MADE, "place": "Outside", "server": SERVER, "driver": "restic",
    "store": "100", "vm": "12", "system": "0", "chain": "0:abc", "disks": [{"name": "0", "size": "10Gi"}],
}  # fmt: skip
SHAPE = {"id": "12", "cpu": "1", "vcpu": 2, "memory": "4Gi", "networks": ["lan"]}
ANYWHERE = {"placement": None}


def protected(
    spec: dict[str, Any] | None = None, *, copies: Any = (COPY,), status: Any = None, **continuity: Any
) -> Any:
    told = {"continuity": {"copies": list(copies), "machine": SHAPE}} if copies else {}
    wanted = {**ANYWHERE, "continuity": continuity, **(spec or {})}
    return instance(wanted, status={"id": "12", "state": "Running", **told, **(status or {})})


def clouds(*, lost: str = "", word: Any = None, store: bool = True, **countries: str) -> Clouds:
    """rbx, where the machine is, and others, each of which reads the backups."""
    scene = Clouds(**(countries or {"rbx": "FR", "sbg": "FR"}))
    scene.front("rbx").vms[12] = vm(host="rbx-1", mark=OURS)
    for name in scene.world.located if store else ():
        scene.front(name).datastores[100] = Datastore(
            100, "backups", 3, 0, 10**6, 10**6, driver="restic", attributes={"RESTIC_SFTP_SERVER": SERVER}
        )
    about = scene.world.located["rbx"]
    about["spec"] = {"fencing": word} if word else {}
    if lost:
        scene.world.lost["rbx"] = lost
        scene.world.fronts[Key("SovereignCloud", "team", "rbx")] = Retry("connection refused")
    return scene


async def seen(scene: Clouds, wanted: Any) -> tuple[Plan, dict[str, Any]]:
    observed = await CONTROLLER.observe(wanted, scene.world)
    fields = dict(CONTROLLER.status(wanted, observed))
    told = {one["type"]: one for one in fields.get("conditions", ())}
    return CONTROLLER.plan(wanted, observed, NOW), {**fields, "ready": told.get("FailoverReady")}


@dataclass(frozen=True)
class Before:
    why: str
    reason: str
    says: str
    wanted: Any = field(default_factory=protected)
    scene: dict[str, Any] = field(default_factory=dict)
    rules: tuple[Any, ...] = ()


INSIDE = COPY | {"place": "Inside"}
BEFORE = [
    Before("its only copy is in its cloud", "CopyInsideCloud", "would be lost with it", protected(copies=[INSIDE])),
    Before("there is no copy", "NoCopy", "set spec.backup", protected(copies=())),
    Before("its spec names its cloud", "NoCompliantTarget", "name countries", protected({"placement": {"cloudRef": {"name": "rbx"}}})),
    Before("there is no other cloud", "NoCompliantTarget", "may use no other cloud", scene={"rbx": "FR"}),
    Before("no policy lets it elsewhere", "NoCompliantTarget", "SovereigntyPolicy french", scene={"rbx": "FR", "lon": "GB"}, rules=(policy("french", "FR"),)),
    Before("no other cloud reads its backups", "NoCompliantTarget", "has no datastore for backups", scene={"store": False}),
    Before("nobody could prove that its cloud is dead", "NoFencing", "nobody but a person"),
    Before("no copy, and nobody could prove it: both are said", "NoCopy", "nobody but a person", protected(copies=())),
]  # fmt: skip


@pytest.mark.parametrize("row", BEFORE, ids=[row.why for row in BEFORE])
async def test_what_is_missing_is_said_before_there_is_an_outage(row: Before) -> None:
    scene = clouds(**row.scene)
    scene.world.rules = list(row.rules)
    plan, told = await seen(scene, row.wanted)
    assert not [step for step in plan.steps if isinstance(step, MakeMove)]
    assert (told["ready"]["status"], told["ready"]["reason"]) == ("False", row.reason)
    assert row.says in told["ready"]["message"]


HOSTED = {
    "existing": None,
    "hosted": {
        "ovh": {
            "endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": "pn-1",
            "servers": [{"name": "one-1", "serviceName": "ns1.eu", "roles": ["Frontend", "Node"]}],
        },
        "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}},
    },
}  # fmt: skip


def on_servers(scene: Clouds, power: dict[str, str] | None = None) -> Clouds:
    """rbx is on a server whose provider is asked."""

    scene.world.located["rbx"]["spec"] = HOSTED
    found = BareMetalServer.model_validate(
        {
            "metadata": {"name": "rbx-one-1", "namespace": "team", "uid": "u"},
            "spec": {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": "ns1.eu"}},
            "status": {"serviceName": "ns1.eu", "address": "rbx-1", **({"power": power} if power else {})},
        }
    )
    scene.world.resources[found.key] = found
    return scene


async def test_ready_it_says_where_it_would_start_and_from_what() -> None:
    _, told = await seen(on_servers(clouds()), protected(rpo="24h"))
    ready = told["ready"]
    assert (ready["status"], ready["reason"]) == ("True", "FailoverPossible")
    assert "team/sbg" in ready["message"]
    assert "team/old/9" in ready["message"]
    assert told["continuity"]["lastCopy"] == MADE


async def test_a_copy_that_is_older_than_it_may_be_is_told() -> None:
    _, told = await seen(on_servers(clouds()), protected(rpo="19h"))
    assert (told["ready"]["status"], told["ready"]["reason"]) == ("False", "CopyTooOld")


async def test_nothing_of_what_is_said_moves_by_itself() -> None:
    scene, wanted = on_servers(clouds()), protected(rpo="24h")
    first = await seen(scene, wanted)
    scene.world.now += timedelta(minutes=10)
    assert (await seen(scene, wanted))[1] == first[1]
    assert scene.world.reservations == [], "to ask takes no room from anybody"


async def test_a_machine_without_continuity_says_nothing() -> None:
    plan, told = await seen(clouds(), protected({"continuity": None}))
    assert (told["ready"], plan.steps) == (None, ())


# --------------------------------------------------------------------------------------------------------- it is lost


POWER = [
    ("seen off since", {"state": "Off", "seenAt": timestamp(NOW)}, True),
    ("seen off before", {"state": "Off", "seenAt": LOST}, False),
    ("running", {"state": "On", "seenAt": timestamp(NOW)}, False),
    ("not seen", None, False),
]


def moved(plan: Plan) -> Any:
    made = [step for step in plan.steps if isinstance(step, MakeMove)]
    assert len(plan.steps) == len(made) <= 1
    return made[0].manifest if made else None


async def test_lost_and_proven_dead_it_starts_elsewhere_by_one_move() -> None:
    scene = clouds(lost=LOST, word=WORD)
    plan, told = await seen(scene, protected())
    manifest = moved(plan)
    assert manifest["metadata"]["name"] == name_of_failover(protected(), LOST)
    assert manifest["spec"]["to"]["cloudRef"] == {"name": "sbg", "namespace": "team"}
    assert (manifest["spec"]["sourceState"], manifest["spec"]["mode"]) == ("Lost", "Execute")
    assert [one["kind"] for one in manifest["metadata"]["ownerReferences"]] == ["HostedInstance"]
    assert (told["id"], told["state"]) == ("12", "Running"), "nobody knows better"
    assert manifest == moved((await seen(scene, protected()))[0]), "asked for again it is the same"


@dataclass(frozen=True)
class Waits:
    why: str
    reason: str
    says: str
    wanted: Any = field(default_factory=protected)
    lost: str = LOST
    word: Any = field(default_factory=lambda: WORD)
    after: float | None = None


JUST_NOW = timestamp(NOW - timedelta(seconds=100))
WAITS = [
    Waits("it bears that for a while", "CloudUnreachable", "is borne until", lost=JUST_NOW, word=WORD | {"outage": JUST_NOW}, after=201.0),
    Waits("it bears that for longer", "CloudUnreachable", "is borne until", protected(tolerationSeconds=600), after=300.0),
    Waits("nobody proved that its cloud is dead", "NoFencing", "spec.fencing", word=None),
    Waits("that was proven of another outage", "NoFencing", LOST, word=WORD | {"outage": JUST_NOW}),
    Waits("there is no copy outside", "CopyInsideCloud", "would be lost", protected(copies=[INSIDE])),
    Waits("no cloud is allowed", "NoCompliantTarget", "name countries", protected({"placement": {"cloudRef": {"name": "rbx"}}})),
]  # fmt: skip


@pytest.mark.parametrize("row", WAITS, ids=[row.why for row in WAITS])
async def test_lost_it_waits_and_says_for_what(row: Waits) -> None:
    plan, told = await seen(clouds(lost=row.lost, word=row.word), row.wanted)
    assert (moved(plan), plan.outcome.reason, plan.outcome.available) == (None, row.reason, False)
    assert row.says in plan.outcome.message
    assert plan.outcome.after == (row.after or plan.outcome.after) is not None
    assert told["placement"] == (row.wanted.status.placement or told["placement"])


async def test_that_nothing_is_proven_yet_makes_it_no_less_ready() -> None:
    """Else its cloud, which is asked to switch its servers off for those that could start elsewhere, would wait for them."""
    plan, told = await seen(on_servers(clouds(lost=LOST)), protected())
    assert (plan.outcome.reason, told["ready"]["reason"]) == ("NoFencing", "FailoverPossible")


async def test_an_old_copy_is_better_than_none() -> None:
    plan, told = await seen(on_servers(clouds(lost=LOST), POWER[0][1]), protected(rpo="1h"))
    assert moved(plan) is not None
    assert told["ready"]["reason"] == "CopyTooOld"


@pytest.mark.parametrize(("why", "power", "starts"), POWER, ids=[row[0] for row in POWER])
async def test_that_its_servers_are_off_is_a_proof(why, power, starts) -> None:
    plan, _ = await seen(on_servers(clouds(lost=LOST), power), protected())
    assert (moved(plan) is not None) is starts


@pytest.mark.parametrize(
    ("external", "reason", "says"),
    [({}, "Moving", "starts it elsewhere"), ({"ended": "9", "failed": "no room"}, "MoveFailed", "Delete that object")],
)
async def test_one_move_for_an_outage_whatever_becomes_of_it(external, reason, says) -> None:
    scene = clouds(lost=LOST, word=WORD)
    spec = {
        "instanceRef": {"name": "web"},
        "to": {"cloudRef": {"name": "sbg"}},
        "mode": "Execute",
        "sourceState": "Lost",
    }
    made = resource("InstanceMigration", name_of_failover(protected(), LOST), spec, {"external": external})
    scene.world.resources[made.key] = made
    plan, _ = await seen(scene, protected())
    assert (moved(plan), plan.outcome.reason) == (None, reason)
    assert says in plan.outcome.message


async def test_a_cloud_that_answers_in_time_is_as_if_nothing_had_been() -> None:
    plan, told = await seen(clouds(), protected())
    assert (plan.steps, plan.outcome.reason) == ((), "")
    assert told["id"] == "12"


async def test_how_long_it_took_is_told_after_a_failover() -> None:
    """As the move tells it, which goes away later."""
    scene, ended = on_servers(clouds(rbx="FR", old="FR")), int(NOW.timestamp())
    spec = {
        "instanceRef": {"name": "web"},
        "to": {"cloudRef": {"name": "rbx"}},
        "mode": "Execute",
        "sourceState": "Lost",
    }
    status = {
        "external": {"from": "team/old", "cutOver": str(ended), "began": "1"},
        "outage": timestamp(NOW - timedelta(hours=5)),
        "rpoSeconds": 60,
    }
    made = resource("InstanceMigration", "m", spec, status)
    scene.world.resources[made.key] = made
    _, told = await seen(scene, protected(rto="4h"))
    assert told["continuity"]["lastFailover"] == {
        "outage": timestamp(NOW - timedelta(hours=5)), "at": timestamp(NOW), "from": "team/old", "to": "team/rbx",
        "rpoSeconds": 60, "rtoSeconds": 18000,
    }  # fmt: skip
    assert "longer than spec.continuity.rto: 4h" in told["ready"]["message"]
    scene.world.resources.pop(made.key)
    wanted = protected(status={"continuity": {"copies": [COPY], "lastFailover": told["continuity"]["lastFailover"]}})
    assert (await seen(scene, wanted))[1]["continuity"]["lastFailover"] == told["continuity"]["lastFailover"]
    assert EXTERNAL["cloud"] == "team/rbx"
