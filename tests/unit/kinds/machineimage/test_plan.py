"""The plan of a MachineImage, row by row: each cloud by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    SETTLED,
    US,
    OpenNebula,
    World,
    image,
    look,
    mark,
    resource,
    run,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.kinds.machineimage.controller import (
    CreateImage,
    DeleteImage,
    MachineImageController,
    MarkImage,
    RecordImage,
)
from sovereigncloud.kinds.machineimage.versions import VERSION_NOTE, version_of
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import Image, MarketplaceApp

CONTROLLER = MachineImageController()
UNIX = int(NOW.timestamp())
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
    mine = {VERSION_NOTE: version_of(settled), **mark("MachineImage", "img").for_opennebula()}
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
        Phase.STALLED, "MultipleMatches", "31 in OpenNebula Public, 40 in Mirror",
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
        "ours, and its download failed a moment ago", OpenNebula(ours(state=5, error="404 Not Found", time=UNIX)), {},
        Phase.RETRY, "ImageError", "404 Not Found; it is deleted and made again, try 2 of 6",
    ),
    Row(
        "ours, its download failed, and a machine waits for it", OpenNebula(ours(state=5, vms=(3,))), {},
        Phase.STALLED, "ImageError", "oneimage delete 7",
    ),
    Row("ours, and disabled", OpenNebula(ours(state=3)), {}, Phase.STALLED, "ImageDisabled", "oneimage enable 7"),
    Row(
        "ours, to be renamed to a name that another has", OpenNebula(ours(name="old"), image(id=9, owner=US)), {},
        Phase.STALLED, "NameTaken", "cannot be called ubuntu: image 9 is",
    ),
    Row(
        "in another datastore than declared", OpenNebula(ours(datastore_id=0)), {"datastore": "default"},
        Phase.STALLED, "WrongDatastore", "is in datastore system, not in default, and does not move: set another spec.name",
    ),
    Row(
        "made from another source", OpenNebula(ours(notes={VERSION_NOTE: "another"})), {},
        Phase.STALLED, "WrongSource", "set another spec.name, too",
    ),
    Row(
        "persistent is declared while a machine uses it", OpenNebula(ours(vms=(3,), running_vms=1, state=2)), {"persistent": True},
        Phase.WAITING, "ImageBusy", "is changed once no machine uses it (1 machines use it)",
    ),
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
        (
            World(rbx=OpenNebula()),
            Phase.BLOCKED,
            "SovereignCloud team/sbg does not exist",
            "the other cloud is not there",
        ),
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


# --- drift of what may change -----------------------------------------------------------------------------------------


SETTLED_STATUS = {**SETTLED, "external": {"image.rbx": "7"}}


def settled(spec: dict[str, Any]) -> Any:
    return resource("MachineImage", "img", {"name": "ubuntu"} | APP | ONE | spec, SETTLED_STATUS)


@pytest.mark.parametrize(
    ("why", "spec", "found", "path", "desired", "observed", "write"),
    [
        ("renamed", {}, {"name": "old"}, "spec.name", "ubuntu", "old", ("rename_image", 7, "ubuntu")),
        ("described otherwise", {"description": "ours"}, {"description": "x"}, "spec.description", "ours", "x", ("update_image", 7, {"DESCRIPTION": "ours"})),
        ("not described", {"description": "ours"}, {}, "spec.description", "ours", "absent", ("update_image", 7, {"DESCRIPTION": "ours"})),
        ("made persistent", {"persistent": False}, {"persistent": True}, "spec.persistent", "false", "true", ("set_persistent", 7, False)),
        ("made one for all", {"persistent": True}, {}, "spec.persistent", "true", "false", ("set_persistent", 7, True)),
    ],
)  # fmt: skip
async def test_what_somebody_changed_is_told_and_mended(why, spec, found, path, desired, observed, write) -> None:
    front = OpenNebula(ours(**found))
    world = World(rbx=front)
    plan = await look(CONTROLLER, settled(spec), world)
    assert [(d.path, d.desired, d.observed, d.mendable) for d in plan.drift] == [(path, desired, observed, True)], why
    await run(CONTROLLER, settled(spec), world)
    assert front.journal == [write], why
    plan = await look(CONTROLLER, settled(spec), world)
    assert (plan.steps, plan.drift) == ((), ()), why


@pytest.mark.parametrize("found", [{"description": "x"}, {"persistent": True}], ids=["description", "persistent"])
async def test_what_spec_does_not_say_is_left_alone(found: dict[str, Any]) -> None:
    plan = await look(CONTROLLER, settled({}), World(rbx=OpenNebula(ours(**found))))
    assert (plan.steps, plan.drift) == ((), ())


async def test_a_new_one_is_as_declared_from_the_first() -> None:
    front = OpenNebula()
    front.datastores[9] = replace(front.datastores[1], id=9, name="fast")
    sums = {"source": {"url": "https://cloud.example/d.qcow2", "checksum": "sha1:" + "0" * 40}}
    spec = sums | {"description": "ours", "persistent": True, "cloudRefs": [{"name": "rbx", "datastore": "fast"}]}
    await run(CONTROLLER, wanted(spec), World(rbx=front))
    ((_, template, datastore),) = front.journal
    assert (template["SHA1"], template["DESCRIPTION"], template["PERSISTENT"], datastore) == (
        "0" * 40,
        "ours",
        "YES",
        9,
    )


def instance(name: str, source: str) -> Any:
    spec = {"source": {"image": source}, "vcpu": 1, "memory": "1Gi", "placement": {"cloudRef": {"name": "rbx"}}}
    return resource("HostedInstance", name, spec)


async def test_a_name_that_instances_say_is_not_taken_from_them() -> None:
    world = World((instance("web", "old"),), rbx=OpenNebula(ours(name="old")))
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}), world)
    assert (plan.steps, plan.outcome.reason, plan.outcome.available) == ((), "InUse", True)
    assert "HostedInstance team/web" in plan.outcome.message
    plan = await look(CONTROLLER, settled({}), world)
    assert [type(s).__name__ for s in plan.steps] == ["RenameImage"], "somebody renamed it: its name is brought back"


# --- versions ---------------------------------------------------------------------------------------------------------


async def version_before() -> tuple[OpenNebula, Any]:
    """An image that was made, and the object as it says the next version."""
    front = OpenNebula()
    old = wanted({"name": "ubuntu-22"})
    for _ in range(3):
        old, _, _ = await run(CONTROLLER, old, World(rbx=front))
        front.tick()
    front.journal.clear()
    new = wanted({"name": "ubuntu-24"} | URL, old.external)
    return front, new


async def test_a_new_version_is_made_beside_the_one_before_which_goes_when_nothing_uses_it() -> None:
    front, new = await version_before()
    world = World((instance("web", "ubuntu-22"),), rbx=front)
    new, _, _ = await run(CONTROLLER, new, world)
    assert [entry[0] for entry in front.journal] == ["create_image"]
    new, plan, _ = await run(CONTROLLER, new, world)
    assert plan.steps == (), "while the new one is copied the old one stays, whoever uses it"
    front.tick()
    new, plan, outcome = await run(CONTROLLER, new, world)
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)
    assert new.status.clouds[0].previous == ["ubuntu-22 (101), used by HostedInstance team/web"]
    assert new.external == {"image.rbx": "102"}

    world.resources.clear()
    new, plan, _ = await run(CONTROLLER, new, world)
    assert [(type(s).__name__, s.image) for s in plan.steps] == [("DeleteImage", 101)]
    front.tick()
    new, plan, outcome = await run(CONTROLLER, new, world)
    assert (plan.steps, outcome.phase, set(front.images)) == ((), Phase.DONE, {102})
    assert new.status.clouds[0].previous is None


async def test_until_the_new_version_is_ready_the_one_before_stays_although_nothing_uses_it() -> None:
    front, new = await version_before()
    world = World(rbx=front)
    new, _, _ = await run(CONTROLLER, new, world)
    new, plan, _ = await run(CONTROLLER, new, world)
    assert (plan.steps, set(front.images)) == ((), {101, 102})
    front.tick()
    _, plan, _ = await run(CONTROLLER, new, world)
    assert [s.image for s in plan.steps] == [101]


async def test_a_rebuilt_cluster_deletes_no_version_before() -> None:
    front, new = await version_before()
    world = World(rbx=front)
    new, _, _ = await run(CONTROLLER, new, world)
    front.tick()
    rebuilt = wanted({"name": "ubuntu-24"} | URL, uid="uid-2")
    for _ in range(3):
        rebuilt, plan, outcome = await run(CONTROLLER, rebuilt, world)
    assert (plan.steps, outcome.phase, set(front.images)) == ((), Phase.DONE, {101, 102})
    assert rebuilt.status.clouds[0].previous == ["ubuntu-22 (101), unused"], "who names it may not be back yet"
    going = wanted({"name": "ubuntu-24"} | URL, rebuilt.external, uid="uid-2", deleting=True)
    plan = await look(CONTROLLER, going, world)
    assert sorted(s.image for s in plan.steps) == [101, 102]


async def test_back_to_the_version_before_nothing_is_made_anew() -> None:
    front, new = await version_before()
    world = World((instance("web", "ubuntu-22"), instance("app", "ubuntu-24")), rbx=front)
    new, _, _ = await run(CONTROLLER, new, world)
    front.tick()
    back = wanted({"name": "ubuntu-22"}, new.external)
    back, _, _ = await run(CONTROLLER, back, world)
    back, plan, outcome = await run(CONTROLLER, back, world)
    assert (plan.steps, outcome.phase, back.external) == ((), Phase.DONE, {"image.rbx": "101"})
    assert back.status.clouds[0].previous == ["ubuntu-24 (102), used by HostedInstance team/app"]
    assert [entry[0] for entry in front.journal] == ["create_image"]


async def test_the_answer_to_making_a_new_version_was_lost() -> None:
    front, new = await version_before()
    world = World(rbx=front)
    front.lost = {"create_image"}
    for _ in range(6):
        new, _, _ = await run(CONTROLLER, new, world)
        front.tick()
    assert {i.name for i in front.images.values()} == {"ubuntu-24"}
    assert [entry[0] for entry in front.journal] == ["create_image", "delete_image"]


async def test_all_versions_go_with_the_object_and_wait_for_their_users() -> None:
    front, new = await version_before()
    world = World((instance("web", "ubuntu-22"),), rbx=front)
    new, _, _ = await run(CONTROLLER, new, world)
    front.tick()
    going = wanted({"name": "ubuntu-24"} | URL, new.external, deleting=True)
    going, plan, _ = await run(CONTROLLER, going, world)
    assert [s.image for s in plan.steps] == [102]
    assert plan.outcome.reason == "InUse"
    front.tick()
    world.resources.clear()
    going, plan, _ = await run(CONTROLLER, going, world)
    assert [s.image for s in plan.steps] == [101]
    front.tick()
    going, plan, outcome = await run(CONTROLLER, going, world)
    assert (plan.steps, outcome.phase, front.images) == ((), Phase.DONE, {})


async def test_another_datastore_under_another_name_is_a_new_version() -> None:
    front, _ = await version_before()
    front.datastores[9] = replace(front.datastores[1], id=9, name="fast")
    moved = wanted({"name": "ubuntu-22-fast", "datastore": "fast"}, {"image.rbx": "101"})
    plan = await look(CONTROLLER, moved, World(rbx=front))
    assert [(type(s).__name__, s.datastore) for s in plan.steps] == [("CreateImage", 9)]


# --- a download that fails ----------------------------------------------------------------------------------------------


async def test_a_download_that_fails_is_tried_again_further_and_further_apart() -> None:
    front = OpenNebula()
    world, wish, waited = World(rbx=front), wanted({}), []
    for _ in range(60):
        wish, plan, outcome = await run(CONTROLLER, wish, world)
        if outcome.phase is Phase.STALLED:
            break
        for one in list(front.images.values()):
            state = 5 if one.state == 4 else one.state
            front.images[one.id] = replace(one, state=state, error="timed out")
        if outcome.phase is Phase.RETRY and outcome.after:
            waited.append(round(outcome.after))
            front.images = {n: replace(i, time=i.time - round(outcome.after)) for n, i in front.images.items()}
        front.images = {n: i for n, i in front.images.items() if i.state != 7}
    assert waited == [60, 120, 240, 480, 960]
    assert [e[0] for e in front.journal] == ["create_image", "delete_image"] * 5 + ["create_image"]
    assert (plan.outcome.reason, wish.external["attempts.rbx"]) == ("ImageError", "5")
    front.images = {n: replace(i, state=1) for n, i in front.images.items()}
    wish, _, _ = await run(CONTROLLER, wish, world)
    assert "attempts.rbx" not in wish.external, "it worked: the next failure is a first one"


async def test_an_image_that_worked_once_is_not_taken_away() -> None:
    plan = await look(CONTROLLER, settled({}), World(rbx=OpenNebula(ours(state=5, time=1))))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, "ImageError")


async def test_a_source_that_was_corrected_is_tried_at_once() -> None:
    failed = ours(state=5, time=UNIX, notes={VERSION_NOTE: "the one before"})
    plan = await look(CONTROLLER, wanted({}, {"image.rbx": "7"}), World(rbx=OpenNebula(failed)))
    assert [type(s).__name__ for s in plan.steps] == ["DeleteImage"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"datastore": "default"}, "spec.datastore"),
        ({"cloudRefs": [{"name": "rbx", "datastore": "default"}]}, "spec.cloudRefs[rbx].datastore"),
    ],
)
async def test_an_image_elsewhere_is_told_where_spec_says_it(spec: dict[str, Any], path: str) -> None:
    plan = await look(CONTROLLER, settled(spec), World(rbx=OpenNebula(ours(datastore_id=0))))
    assert [(d.path, d.desired, d.observed, d.mendable) for d in plan.drift] == [(path, "default", "system", False)]
