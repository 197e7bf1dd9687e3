"""The plan of a MachineImage, row by row: each cloud by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.unit.opennebula_in_memory import US, OpenNebula, World, image, look, mark, resource, run, vm

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.errors import Retry
from sovereigncloud.kinds.machineimage import CreateImage, DeleteImage, MachineImageController, MarkImage, RecordImage
from sovereigncloud.kinds.ports import Image, MarketplaceApp

CONTROLLER = MachineImageController()
APP = {"source": {"marketplaceApp": "Ubuntu 24.04"}}
URL = {"source": {"url": "https://cloud.example/debian.qcow2"}}
ONE = {"cloudRefs": [{"name": "rbx"}]}
TWO = {"cloudRefs": [{"name": "rbx"}, {"name": "sbg"}]}


def wanted(spec: dict[str, Any], ids: dict[str, str] | None = None, **meta: Any) -> Any:
    return resource("MachineImage", "img", {"name": "ubuntu"} | APP | ONE | spec, {"external": ids or {}}, **meta)


def ours(**fields: Any) -> Image:
    return image(**({"owner": US, "mark": mark("MachineImage", "img")} | fields))


WORDS = {CreateImage: "create", MarkImage: "mark", RecordImage: "record", DeleteImage: "delete"}


def told(step: Step) -> str:
    return f"{WORDS[type(step)]} {step.cloud.name}"


async def test_made_from_a_marketplace_app_in_each_cloud() -> None:
    rbx, sbg = OpenNebula(), OpenNebula()
    sbg.marketplace = (MarketplaceApp(77, "Ubuntu 24.04", 1, 2048, "Mirror"),)
    world = World(rbx=rbx, sbg=sbg)
    settled, _, _ = await run(CONTROLLER, wanted(TWO), world)
    mine = mark("MachineImage", "img").for_opennebula()
    assert rbx.journal == [("create_image", {"NAME": "ubuntu", "TYPE": "OS", "FROM_APP": "31", **mine}, 1)]
    assert sbg.journal == [("create_image", {"NAME": "ubuntu", "TYPE": "OS", "FROM_APP": "77", **mine}, 1)]
    assert settled.external == {"image.rbx": "101", "image.sbg": "101"}

    _, plan, outcome = await run(CONTROLLER, settled, world)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.WAITING, "ImageNotReady")
    rbx.tick()
    settled, _, _ = await run(CONTROLLER, settled, world)
    assert settled.status.clouds_ready == "1/2"
    sbg.tick()
    settled, plan, outcome = await run(CONTROLLER, settled, world)
    assert (plan.steps, outcome.phase, settled.status.clouds_ready) == ((), Phase.DONE, "2/2")
    assert [(c.name, c.id, c.state) for c in settled.status.clouds] == [
        ("rbx", "101", "Ready"),
        ("sbg", "101", "Ready"),
    ]


async def test_made_from_a_url_in_the_datastore_that_is_named() -> None:
    front = OpenNebula()
    front.datastores[9] = replace(front.datastores[1], id=9, name="fast")
    await run(CONTROLLER, wanted(URL | {"datastore": "fast"}), World(rbx=front))
    _, template, datastore = front.journal[0]
    assert (template["PATH"], datastore, "FROM_APP" in template) == ("https://cloud.example/debian.qcow2", 9, False)
    assert front.reads == [], "no marketplace is asked"


def market(*apps: MarketplaceApp) -> OpenNebula:
    front = OpenNebula()
    front.marketplace = apps
    return front


UBUNTU = MarketplaceApp(31, "Ubuntu 24.04", 1, 2048, "OpenNebula Public")


@dataclass(frozen=True)
class Row:
    why: str
    front: OpenNebula
    spec: dict[str, Any]
    phase: Phase
    reason: str
    says: str = ""


NOT_YET = [
    Row("no app known yet: the marketplaces are listed every few minutes", market(), {}, Phase.WAITING, "MarketplaceEmpty"),
    Row(
        "no such app: the nearest by name", market(replace(UBUNTU, name="Ubuntu 22.04"), replace(UBUNTU, name="Alma")), {},
        Phase.STALLED, "AppNotFound", "there are: Ubuntu 22.04",
    ),
    Row(
        "in two marketplaces", market(UBUNTU, replace(UBUNTU, id=40, marketplace="Mirror")), {},
        Phase.STALLED, "SeveralFound", "31 in OpenNebula Public, 40 in Mirror",
    ),
    Row("being uploaded", market(replace(UBUNTU, state=2)), {}, Phase.WAITING, "AppNotReady"),
    Row("broken", market(replace(UBUNTU, state=3)), {}, Phase.STALLED, "AppNotReady", "state Error"),
    Row(
        "no such datastore", OpenNebula(), {"datastore": "fast"}, Phase.STALLED, "DatastoreNotFound", "one of: default",
    ),
    Row(
        "a system datastore holds no images", OpenNebula(), {"datastore": "system"},
        Phase.STALLED, "DatastoreNotFound", "one of: default",
    ),
    Row(
        "an unmarked one of that name, being downloaded by somebody", OpenNebula(image(owner=US, state=4)), {},
        Phase.WAITING, "ImageNotReady",
    ),
    Row(
        "another object's", OpenNebula(ours(mark=mark("MachineImage", "other"))), {},
        Phase.STALLED, "NameTaken", "MachineImage team/other",
    ),
    Row(
        "another installation's", OpenNebula(ours(mark=mark("MachineImage", "img", installation="inst-2"))), {},
        Phase.STALLED, "OwnedByAnotherInstallation", "inst-2",
    ),
    Row(
        "ours, and its download failed", OpenNebula(ours(state=5, error="404 Not Found")), {},
        Phase.STALLED, "ImageError", "404 Not Found",
    ),
    Row("ours, and disabled", OpenNebula(ours(state=3)), {}, Phase.STALLED, "ImageDisabled", "oneimage enable 7"),
    Row("ours, and renamed", OpenNebula(ours(name="old")), {}, Phase.STALLED, "Renamed", "oneimage rename 7"),
]  # fmt: skip


@pytest.mark.parametrize("row", NOT_YET, ids=lambda row: row.why)
async def test_why_an_image_is_not_ready(row: Row) -> None:
    ids = {"image.rbx": "7"} if any(i.mark == mark("MachineImage", "img") for i in row.front.images.values()) else {}
    plan = await look(CONTROLLER, wanted(row.spec, ids), World(rbx=row.front))
    assert plan.steps == (), row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), row.why
    assert row.says in plan.outcome.message, row.why


@pytest.mark.parametrize(
    ("found", "steps", "why"),
    [
        (image(owner=US), (), "an unmarked one of that name is used as it is"),
        (image(owner=7), ("create rbx",), "names are taken per owner"),
        (ours(), ("record rbx",), "ours, its record lost"),
        (
            ours(mark=mark("MachineImage", "img", uid="uid-before")),
            ("mark rbx",),
            "from before the cluster was rebuilt",
        ),
    ],
)
async def test_an_image_that_is_there(found: Image, steps: tuple[str, ...], why: str) -> None:
    plan = await look(CONTROLLER, wanted({}), World(rbx=OpenNebula(found)))
    assert tuple(told(step) for step in plan.steps) == steps, why


async def test_an_unmarked_image_is_never_changed_and_stays() -> None:
    front = OpenNebula(image(owner=US))
    world = World(rbx=front)
    settled, _, outcome = await run(CONTROLLER, wanted({}), world)
    assert (outcome.phase, settled.external, settled.status.clouds_ready) == (Phase.DONE, {}, "1/1")
    going = wanted({}, settled.external, deleting=True)
    plan = await look(CONTROLLER, going, world)
    assert (plan.steps, plan.outcome.phase, front.journal) == ((), Phase.DONE, [])


@pytest.mark.parametrize(
    ("world", "phase", "says", "why"),
    [
        (World(rbx=OpenNebula()), Phase.BLOCKED, "no SovereignCloud team/sbg", "the other cloud is not there"),
        (World(rbx=OpenNebula(), sbg=None), Phase.BLOCKED, "no endpoint", "it has not answered yet"),
        (World(rbx=OpenNebula(), sbg=Retry("timed out")), Phase.RETRY, "cloud team/sbg: timed out", "it is down"),
    ],
)
async def test_a_cloud_that_does_not_answer_does_not_hold_up_the_others(
    world: World, phase: Phase, says: str, why: str
) -> None:
    plan = await look(CONTROLLER, wanted(TWO), world)
    assert [told(step) for step in plan.steps] == ["create rbx"], why
    assert plan.outcome.phase is phase, why
    assert says in plan.outcome.message, why


async def test_a_cloud_that_is_only_observed_is_not_written_to() -> None:
    observed = {
        "management": "Observe",
        "existing": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}},
    }
    world = World(rbx=OpenNebula(), sbg=OpenNebula())
    world.built["rbx"] = observed
    plan = await look(CONTROLLER, wanted(TWO), world)
    assert [(told(step), bool(step.needs)) for step in plan.steps] == [("create sbg", False), ("create rbx", True)]
    assert "SovereignCloud team/rbx (it is Observe)" in plan.steps[1].needs

    world = World(rbx=OpenNebula(ours()), sbg=OpenNebula(ours()))
    world.built["rbx"] = observed
    plan = await look(CONTROLLER, wanted(TWO, {"image.rbx": "7", "image.sbg": "7"}, deleting=True), world)
    assert [told(step) for step in plan.steps] == ["delete sbg"]


async def test_another_namespace_needs_a_tenant() -> None:
    spec = {"cloudRefs": [{"name": "rbx"}, {"name": "sbg", "namespace": "platform"}]}
    plan = await look(CONTROLLER, wanted(spec), World(rbx=OpenNebula()))
    assert ([told(step) for step in plan.steps], plan.outcome.reason) == (["create rbx"], "NamespaceNotAllowed")


async def test_an_image_that_somebody_deleted_is_made_again_once_the_brakes_admit_it() -> None:
    world = World(rbx=OpenNebula())
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}), world)
    assert (plan.absent, plan.steps, plan.outcome.reason) == (True, (), "ConfirmingAbsence")
    world.admitted = True
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}), world)
    assert ([told(step) for step in plan.steps], plan.steps[0].dangerous) == (["create rbx"], True)
    assert [(d.path, d.observed) for d in plan.drift] == [("spec.cloudRefs[rbx]", "image 7 is gone")]


async def test_a_cloud_that_spec_names_no_longer_loses_its_image() -> None:
    rbx, sbg = OpenNebula(ours()), OpenNebula(ours())
    world = World(rbx=rbx, sbg=sbg)
    less = wanted(ONE, {"image.rbx": "7", "image.sbg": "7"})
    less, plan, _ = await run(CONTROLLER, less, world)
    assert [told(step) for step in plan.steps] == ["delete sbg"]
    sbg.tick()
    less, plan, outcome = await run(CONTROLLER, less, world)
    assert (plan.steps, outcome.phase, less.external) == ((), Phase.DONE, {"image.rbx": "7"})
    assert less.status.clouds_ready == "1/1"


INSTANCE = resource("HostedInstance", "web", {"source": {"image": "ubuntu"}})
GOING = resource("HostedInstance", "web", {"source": {"image": "ubuntu"}}, deleting=True)


@pytest.mark.parametrize(
    ("things", "others", "steps", "phase", "says", "why"),
    [
        ((ours(),), (), ("delete rbx",), Phase.WAITING, "", "nobody uses it"),
        ((ours(running_vms=1, vms=(12,)), vm()), (), (), Phase.BLOCKED, 'VM 12 "web"', "a machine uses it"),
        ((ours(running_vms=2, vms=(98, 99)),), (), (), Phase.BLOCKED, "2 machines that", "strangers' machines use it"),
        ((ours(),), (INSTANCE,), (), Phase.BLOCKED, "HostedInstance team/web", "an instance names it"),
        ((ours(),), (GOING,), ("delete rbx",), Phase.WAITING, "", "an instance that goes, too"),
        ((ours(state=7),), (), (), Phase.WAITING, "being deleted", "asked already: not twice"),
        ((ours(mark=mark("MachineImage", "img", uid="before")),), (), ("delete rbx",), Phase.WAITING, "", "its own"),
    ],
)
async def test_deletion_waits_until_nobody_uses_it(
    things: tuple[Any, ...], others: tuple[Any, ...], steps: tuple[str, ...], phase: Phase, says: str, why: str
) -> None:
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}, deleting=True), World(others, rbx=OpenNebula(*things)))
    assert tuple(told(step) for step in plan.steps) == steps, why
    assert (plan.outcome.phase, says in plan.outcome.message) == (phase, True), why
    assert all(step.action is Action.DELETE for step in plan.steps)


@pytest.mark.parametrize(
    ("going", "world", "why"),
    [
        (wanted({"deletionPolicy": "Retain"}, {"image.rbx": "7"}, deleting=True), World(rbx=None), "nothing is asked"),
        (wanted({}, deleting=True), World(), "its cloud never was"),
        (wanted({"cloudRefs": [{"name": "a", "namespace": "b"}]}, deleting=True), World(), "it was never allowed"),
    ],
)
async def test_nothing_to_delete(going: Any, world: World, why: str) -> None:
    plan = await look(CONTROLLER, going, world)
    assert (plan.steps, plan.outcome.phase, plan.absent) == ((), Phase.DONE, False), why


def test_uses() -> None:
    one = CONTROLLER.uses(wanted(ONE))
    assert (one.cloud.name, one.objects) == ("rbx", ()), "one cloud: the engine knows its management, and watches it"
    two = CONTROLLER.uses(wanted(TWO))
    assert (two.cloud, [key.name for key in two.objects]) == (None, ["rbx", "sbg"])


async def test_a_sweep_needs_the_view_and_nothing_else_once_the_image_is_there() -> None:
    world = World(rbx=OpenNebula(ours()))
    world.sweeping = True
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}), world)
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
