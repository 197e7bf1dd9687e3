"""What an ExitPlan says, and which moves it makes next."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.kinds.exit_scene import CONTROLLER, GIB, ExitScene, leaving, with_spec
from tests.unit.kinds.opennebula_in_memory import host, mark, network, resource, vm

from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.exitplan.names import execution_of, move_key
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import Disk

EXECUTE = {"mode": "Execute"}


def blockers(found: Any) -> dict[str, str]:
    return {one.name: one.reason for one in found.status.blockers or ()}


# -------------------------------------------------------------------------------------------------------------- it says


async def test_a_plan_counts_and_makes_nothing() -> None:
    scene = ExitScene(machines=3)
    found, plan, outcome = await scene.once(leaving())
    assert (plan.steps, outcome.phase, scene.made) == ((), Phase.DONE, [])
    assert (found.status.movable, found.status.phase, found.status.clouds) == ("3/3", "Planned", ["team/rbx"])
    assert (found.status.blockers, found.status.blocked_by) == (None, None)
    assert found.status.expected.bytes == 3 * 20480 << 20
    assert found.status.expected.duration_seconds is None, "no move was measured yet, so none is said"
    again, _, _ = await scene.once(found)
    assert again.status.model_dump() == found.status.model_dump(), "at rest nothing is another"


async def test_all_of_them_together_have_to_fit() -> None:
    found, _, _ = await ExitScene(machines=5, room=12).once(leaving())
    assert found.status.movable == "3/5"
    assert blockers(found) == {"team/m4": "NoCapacity", "team/m5": "NoCapacity"}
    assert [(one.name, one.count) for one in found.status.blocked_by] == [("NoCapacity", 2)]


def _suspended(scene: ExitScene) -> None:
    scene.rbx.vms[1] = replace(scene.rbx.vms[1], state=5, lcm_state=0)


def _volatile(scene: ExitScene) -> None:
    scene.rbx.vms[1] = replace(scene.rbx.vms[1], disks=(Disk(0, 7, "u", 10), Disk(1, -1, "", 10)))


def _no_network(scene: ExitScene) -> None:
    scene.paris.networks.clear()


def _few_addresses(scene: ExitScene) -> None:
    scene.paris.networks[3] = network(used_leases=50)


def _full(scene: ExitScene) -> None:
    scene.paris.hosts[1] = host(1, max_memory=1 * GIB)


def _paused(scene: ExitScene) -> None:
    scene.put_machine("m1", 1, management="Observe")


def _silent(scene: ExitScene) -> None:
    scene.world.fronts[next(key for key in scene.world.fronts if key.name == "paris")] = Retry("timed out")


def _no_marketplace(scene: ExitScene) -> None:
    del scene.rbx.parts.markets[3]


def _disabled_marketplace(scene: ExitScene) -> None:
    scene.rbx.parts.markets[3] = replace(scene.rbx.parts.markets[3], state=1)


IN_THE_WAY = [
    ("no marketplace that disks could go over", _no_marketplace, "NoMarketplace", "spec.stores"),
    ("it is disabled", _disabled_marketplace, "NoMarketplace", "no enabled marketplace"),
    ("it is suspended", _suspended, "NotMovable", "Suspended"),
    ("a volatile disk", _volatile, "NotMovable", "volatile"),
    ("no network of that name", _no_network, "NetworkNotFound", "spec.networkMap"),
    ("no address left", _few_addresses, "NoCapacity", "addresses in network lan"),
    ("no room", _full, "NoCapacity", "no host has"),
    ("it is only observed", _paused, "NotMovable", "only observed"),
    ("the other cloud does not answer", _silent, "WaitingForDependency", "does not answer"),
]


@pytest.mark.parametrize(("why", "spoil", "reason", "says"), IN_THE_WAY, ids=[row[0] for row in IN_THE_WAY])
async def test_what_is_in_the_way_is_named(why: str, spoil: Any, reason: str, says: str) -> None:
    scene = ExitScene(machines=1)
    spoil(scene)
    found, plan, _ = await scene.once(leaving())
    assert (plan.steps, found.status.movable) == ((), "0/1"), why
    (one,) = found.status.blockers
    assert (one.name, one.reason) == ("team/m1", reason)
    assert says in one.message


async def test_a_network_has_another_name_there() -> None:
    scene = ExitScene(machines=1)
    scene.paris.networks[3] = network(name="dmz")
    found, _, _ = await scene.once(leaving({"networkMap": [{"from": "lan", "to": "dmz"}]}))
    assert found.status.movable == "1/1"


async def test_machines_that_people_made_are_counted_and_named() -> None:
    scene = ExitScene(machines=1)
    scene.rbx.vms[7] = vm(id=7, name="by-hand", mark=None)
    scene.rbx.vms[8] = vm(id=8, name="probe", mark=mark("SovereignCloud", "rbx"))
    scene.rbx.vms[9] = vm(id=9, name="new", mark=mark("HostedInstance", "new"))
    new = resource("HostedInstance", "new", {"source": {"image": "ubuntu"}})
    scene.world.resources[new.key] = new  # it is being made
    scene.rbx.vms[10] = vm(id=10, name="kept", mark=mark("HostedInstance", "deleted"))
    scene.rbx.vms[11] = vm(id=11, name="forged", mark=Mark("inst-1", "HostedInstance/", ""))
    found, _, _ = await scene.once(leaving())
    assert found.status.movable == "1/4"
    assert blockers(found) == {f"team/rbx VM {number}": "NotManaged" for number in (7, 10, 11)}


async def test_a_source_that_does_not_answer_is_told_with_the_way_out() -> None:
    scene = ExitScene()
    scene.world.fronts[next(key for key in scene.world.fronts if key.name == "rbx")] = Retry("timed out")
    _, _, outcome = await scene.once(leaving())
    assert (outcome.phase, "sourceState: Lost" in outcome.message) == (Phase.RETRY, True)


NOT_MEANT = [
    ({"from": {"cloudRef": {"name": "nowhere"}}}, "SovereignCloud team/nowhere does not exist"),
    ({"to": [{"cloudRef": {"name": "nowhere"}}]}, "SovereignCloud team/nowhere does not exist"),
    ({"to": [{"cloudRef": {"name": "rbx"}}]}, "nothing but what is left"),
    ({"from": {"providerRef": {"name": "acme"}}}, "has providerRef acme"),
    ({"to": [{"cloudRef": {"name": "x", "namespace": "other"}}]}, "needs a Tenant"),
]


@pytest.mark.parametrize(("spec", "says"), NOT_MEANT, ids=[row[1] for row in NOT_MEANT])
async def test_what_cannot_be_meant_is_told(spec: dict[str, Any], says: str) -> None:
    _, plan, outcome = await ExitScene().once(leaving(spec | EXECUTE))
    assert (plan.steps, says in outcome.message) == ((), True), outcome


async def test_a_provider_is_left_with_all_its_clouds() -> None:
    scene = ExitScene(machines=2)
    scene.world.located["rbx"] = {"spec": {"providerRef": {"name": "ovhcloud-eu"}}}
    found, _, _ = await scene.once(leaving({"from": {"providerRef": {"name": "ovhcloud-eu"}}}))
    assert (found.status.clouds, found.status.movable) == (["team/rbx"], "2/2")


async def test_who_does_not_own_the_cloud_moves_only_what_is_of_the_own_namespace() -> None:
    scene = ExitScene(machines=1)
    tenant = {
        "namespaces": ["guests"],
        "clouds": [{"cloudRef": {"name": n, "namespace": "team"}} for n in ("rbx", "paris")],
    }
    guests = resource("Tenant", "guests", tenant, namespace="")
    scene.world.resources[guests.key] = guests
    there = {"cloudRef": {"name": "rbx", "namespace": "team"}}, [{"cloudRef": {"name": "paris", "namespace": "team"}}]
    plan = leaving({"from": there[0], "to": there[1]}, namespace="guests")
    found, _, outcome = await scene.once(plan)
    assert blockers(found) == {"team/m1": "NamespaceNotAllowed"}
    assert CONTROLLER.uses(plan).objects == (), "it does not keep somebody else's cloud from being deleted"
    assert outcome.after == 300, "so it looks by itself"


# ----------------------------------------------------------------------------------------------------------- it is done


async def test_an_exit_makes_a_few_at_once_and_goes_on_when_they_are_over() -> None:
    scene = ExitScene(machines=5)
    found, plan, _ = await scene.once(leaving(EXECUTE | {"maxConcurrent": 2}))
    assert scene.made == [], "first it is written down that it begins"
    found, plan, outcome = await scene.once(found)
    assert ([*scene.moves], outcome.phase) == (["m1", "m2"], Phase.DONE)
    found, plan, outcome = await scene.once(found)
    assert (plan.steps, outcome.reason, found.status.phase) == ((), "Executing", "Executing")
    scene.end("m1", cutOver="5")
    found, _, _ = await scene.once(found)
    assert [*scene.moves] == ["m1", "m2", "m3"]
    for name in ("m2", "m3"):
        scene.end(name, cutOver="5")
    found, _, _ = await scene.once(found)
    for name in ("m4", "m5"):
        scene.end(name, cutOver="5")
    found, _, _ = await scene.once(found)
    found, plan, outcome = await scene.once(found)
    assert (plan.steps, outcome.phase, found.status.phase) == ((), Phase.DONE, "Executed")
    run = found.status.run
    assert (run.machines, run.succeeded, run.failed, found.status.movable) == (5, 5, 0, "5/5")
    assert found.status.measured.bytes_per_second == (10 << 30) // 100
    assert len(scene.made) == len(set(scene.made)) == 5
    move = scene.moves["m1"]
    assert (move.spec.mode, move.spec.exit_plan_ref.name, move.spec.to.cloud_ref.name) == ("Execute", "leave", "paris")
    assert move.metadata.labels["sovereigncloud.io/exit-plan"] == "leave"


async def test_an_exit_that_is_over_lets_be_what_comes_later() -> None:
    scene = ExitScene(machines=1)
    found = leaving(EXECUTE)
    for _ in range(2):
        found, _, _ = await scene.once(found)
    scene.end("m1", cutOver="5")
    for _ in range(2):
        found, _, _ = await scene.once(found)
    scene.rbx.vms[9] = vm(id=9, name="m9", mark=mark("HostedInstance", "m9"))
    scene.put_machine("m9", 9)
    found, plan, _ = await scene.once(found)
    assert (plan.steps, found.status.movable, len(scene.made)) == ((), "1/1", 1)


async def test_groups_leave_one_after_the_other() -> None:
    scene = ExitScene(machines=4, m3={"tier": "database"})
    found = leaving(EXECUTE | {"order": [{"matchLabels": {"tier": "database"}}, {}]})
    for _ in range(3):
        found, _, _ = await scene.once(found)
    assert [*scene.moves] == ["m3"], "nothing of the second group while the first is under way"
    scene.end("m3", cutOver="5")
    found, _, _ = await scene.once(found)
    assert {*scene.moves} == {"m1", "m2", "m3", "m4"}


async def test_what_fails_is_named_and_the_others_go_on() -> None:
    scene = ExitScene(machines=2)
    found = leaving(EXECUTE | {"maxConcurrent": 1})
    for _ in range(2):
        found, _, _ = await scene.once(found)
    scene.end("m1", failed="disk 0 could not be saved")
    found, _, _ = await scene.once(found)
    assert {*scene.moves} == {"m1", "m2"}
    scene.end("m2", cutOver="5")
    found, plan, outcome = await scene.once(found)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.STALLED, "ExitIncomplete")
    assert "disk 0 could not be saved" in outcome.message
    assert (found.status.movable, blockers(found)) == ("1/2", {"team/m1": "MoveFailed"})

    del scene.world.resources[scene.moves["m1"].key]
    found, _, _ = await scene.once(found)
    assert scene.made.count(scene.moves["m1"].metadata.name) == 2, "deleted by a person, it is tried again"


async def test_a_move_that_stalls_before_it_begins_holds_up_nobody() -> None:
    scene = ExitScene(machines=2)
    found = leaving(EXECUTE | {"maxConcurrent": 1})
    for _ in range(2):
        found, _, _ = await scene.once(found)
    move = scene.moves["m1"]
    stalled = [{"type": "Stalled", "status": "True", "reason": "NoMarketplace", "message": "make one"}]
    told = type(move.status).model_validate({"conditions": stalled})
    scene.world.resources[move.key] = move.model_copy(update={"status": told})
    found, _, _ = await scene.once(found)
    assert {*scene.moves} == {"m1", "m2"}
    assert blockers(found) == {"team/m1": "NoMarketplace"}


async def test_whoever_goes_on_after_a_rebuilt_cluster_makes_no_second_move() -> None:
    scene = ExitScene(machines=2)
    found = leaving(EXECUTE)
    for _ in range(2):
        found, _, _ = await scene.once(found)
    names = {one.metadata.name for one in scene.moves.values()}
    found = leaving(EXECUTE)  # its status is lost
    for _ in range(3):
        found, _, _ = await scene.once(found)
    assert {one.metadata.name for one in scene.moves.values()} == names


class CrashError(Exception):
    pass


@pytest.mark.parametrize("mode", ["Execute", "Rehearse"])
async def test_dying_before_and_after_each_step_makes_no_second_of_anything(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is begun three times: it dies before it is done, then after it with all that it knew, then it goes on."""
    scene, tried = ExitScene(machines=3), dict[str, int]()
    perform = CONTROLLER.perform

    async def crashing(step: Any, exit_plan: Any, world: Any) -> Any:
        times = tried[step.target] = tried.get(step.target, 0) + 1
        if times == 1:
            raise CrashError
        outcome = await perform(step, exit_plan, world)
        if times == 2:
            raise CrashError
        return outcome

    monkeypatch.setattr(CONTROLLER, "perform", crashing)
    found = leaving({"mode": mode, "maxConcurrent": 2})
    for _ in range(40):
        with contextlib.suppress(CrashError):
            found, _, _ = await scene.once(found)
        under_way = [name for name, move in scene.moves.items() if not move.external]
        assert len(under_way) <= 2, "never more at once than it may"
        if len(under_way) == 2 or len(scene.moves) == 3:
            for name in under_way:
                scene.end(name, **({"cutOver": "5"} if mode == "Execute" else {"ran": "5"}))
    assert found.status.phase in {"Executed", "Rehearsed"}
    assert len({*scene.made}) == len(scene.moves) == 3
    assert (found.status.run.machines, found.status.run.succeeded) == (3, 3)


async def test_set_back_to_plan_it_makes_no_more() -> None:
    scene = ExitScene(machines=3)
    found = leaving(EXECUTE | {"maxConcurrent": 1})
    for _ in range(2):
        found, _, _ = await scene.once(found)
    scene.end("m1", cutOver="5")
    found, plan, _ = await scene.once(with_spec(found, {"mode": "Plan"}))
    assert (plan.steps, len(scene.made), found.status.phase) == ((), 1, "Planned")


async def test_deleting_it_does_nothing_outside() -> None:
    scene = ExitScene(machines=2)
    _, plan, outcome = await scene.once(leaving(EXECUTE, deleting=True))
    assert (plan.steps, outcome.phase, scene.made) == ((), Phase.DONE, [])
    assert CONTROLLER.uses(leaving(deleting=True)).objects == ()


# ------------------------------------------------------------------------------------------------------- it is rehearsed


async def rehearsed(scene: ExitScene, found: Any, **ends: str) -> Any:
    """Until the run is over."""
    for _ in range(12):
        found, plan, _ = await scene.once(found)
        for name, move in [*scene.moves.items()]:
            if not move.external:
                scene.end(name, **ends)
        if not plan.steps and found.status.phase == "Rehearsed":
            return found
    raise AssertionError(found.status)


async def condition(scene: ExitScene, found: Any) -> tuple[str, str]:
    told = CONTROLLER.status(found, await CONTROLLER.observe(found, scene.world))
    (one,) = told["conditions"]  # type: ignore[misc]
    return str(one["status"]), str(one["reason"])


async def test_a_rehearsal_proves_the_way_out_and_is_due_again() -> None:
    scene = ExitScene(machines=3)
    plan = leaving({"mode": "Rehearse", "rehearsalSchedule": "0 4 1 * *"})
    assert await condition(scene, plan) == ("Unknown", "NeverRehearsed")
    found = await rehearsed(scene, plan, ran="5")
    assert all(one.spec.mode == "Rehearse" and one.metadata.owner_references for one in scene.moves.values())
    last = found.status.last_rehearsal
    assert (last.machines, last.succeeded, last.failed, last.bytes) == (3, 3, 0, 30 << 30)
    assert await condition(scene, found) == ("True", "ExitRehearsed")
    assert found.status.next_rehearsal == "2026-12-01T04:00:00Z"
    assert found.status.expected.duration_seconds == 201, "60 GiB, three at once, each as fast as it was measured"
    first = {*scene.made}
    found, plan, outcome = await scene.once(found)
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)

    scene.later(days=30)  # the operator was down when it was due
    found = await rehearsed(scene, found, ran="5")
    second = {*scene.made} - first
    assert len(second) == 3
    assert all(name.endswith("-20261201040000") for name in second), second
    assert {one.metadata.name for one in scene.moves.values()} == second, "the records of the run before are gone"
    assert found.status.next_rehearsal == "2027-01-01T04:00:00Z"


async def test_a_rehearsal_in_which_one_failed_proves_nothing() -> None:
    scene = ExitScene(machines=2)
    found = await rehearsed(scene, leaving({"mode": "Rehearse"}), failed="did not start")
    assert await condition(scene, found) == ("False", "RehearsalFailed")
    assert found.status.next_rehearsal is None


async def test_set_to_plan_and_to_rehearse_again_it_is_rehearsed_once_more() -> None:
    scene = ExitScene(machines=1)
    found = await rehearsed(scene, leaving({"mode": "Rehearse"}), ran="5")
    found, _, _ = await scene.once(found)
    assert len(scene.made) == 1, "once is once"
    found, plan, _ = await scene.once(with_spec(found, {"mode": "Plan"}))
    assert all(step.inside for step in plan.steps)
    scene.later(minutes=1)
    found = await rehearsed(scene, with_spec(found, {"mode": "Rehearse"}), ran="5")
    assert len({*scene.made}) == 2
    assert await condition(scene, found) == ("True", "ExitRehearsed")


async def test_a_schedule_that_never_comes_is_told() -> None:
    scene = ExitScene(machines=1)
    found = await rehearsed(scene, leaving({"mode": "Rehearse"}), ran="5")
    _, _, outcome = await scene.once(with_spec(found, {"rehearsalSchedule": "0 0 31 2 *"}))
    assert (outcome.phase, outcome.reason) == (Phase.STALLED, "InvalidSpec")


async def test_after_a_rehearsal_the_exit_is_another_run() -> None:
    scene = ExitScene(machines=1)
    found = await rehearsed(scene, leaving({"mode": "Rehearse"}), ran="5")
    found = with_spec(found, EXECUTE)
    for _ in range(2):
        found, _, _ = await scene.once(found)
    key = next(iter(scene.world.inhabitants(next(k for k in scene.world.fronts if k.name == "rbx")))).key
    assert scene.made[-1] == move_key(found, key, execution_of(found)).name
    assert found.status.last_rehearsal is not None, "its proof stays"


def test_a_name_that_is_too_long_ends_as_the_others_do() -> None:
    found = leaving(name="l" * 150)
    long = [move_key(found, resource("HostedInstance", "m" * 200 + end, {"source": {}}).key, "x1") for end in "ab"]
    assert all(len(key.name) <= 253 and key.name.endswith("-x1") for key in long)
    assert long[0] != long[1]


async def test_later_is_no_sooner_than_the_schedule_says() -> None:
    scene = ExitScene(machines=1)
    found = await rehearsed(scene, leaving({"mode": "Rehearse", "rehearsalSchedule": "0 4 1 * *"}), ran="5")
    scene.world.now += timedelta(hours=1)
    _, plan, outcome = await scene.once(found)
    assert (plan.steps, outcome.after is not None) == ((), True)
