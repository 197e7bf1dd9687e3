"""A move is made once for each name, as the machine itself tells: a rebuilt cluster is given all of them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.instancemigration.test_plan import BEGUN, INSTANCE, MOVE, OFF, found, move, steps, web
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    POWEROFF,
    RUNNING,
    OpenNebula,
    World,
    image,
    mark,
    network,
    run,
    vm,
)

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController
from sovereigncloud.kinds.instancemigration.plan import plan
from sovereigncloud.kinds.movement.records import MOVES, REHEARSED, carried_moves, moves_made, moves_note

DONE = vm(notes={MOVES: "first go last"})
PROVEN = vm(notes={REHEARSED: "1970-01-01T00:02:40Z 60 team/paris go"})
IN_PARIS: dict[str, Any] = {"new": replace(DONE, id=40), "taken_over": True, "disks": ()}
ONCE = [
    ("it went on since, or back", "Execute", {}, {"old": DONE}, True),
    ("it is where this one brought it", "Execute", {}, IN_PARIS | {"old": None}, True),
    ("the one that was left is still there", "Execute", {}, IN_PARIS | {"old": vm(at=POWEROFF, mark=MOVE), "left": True}, False),
    ("this very one has begun", "Execute", BEGUN, {"old": DONE}, False),
    ("a rebuilt cluster found it changed over, and what was left is gone", "Execute", {"cutOver": "90"}, IN_PARIS | {"old": None}, False),
    ("it tells of others", "Execute", {}, {"old": vm(notes={MOVES: "going let-go go-2"})}, False),
    ("it tells nothing", "Execute", {}, {}, False),
    ("it was rehearsed under this name, and is moved now", "Execute", {}, {"old": PROVEN}, False),
    ("the rehearsal was", "Rehearse", {}, {"old": PROVEN}, True),
    ("another rehearsal was", "Rehearse", {}, {"old": vm(notes={REHEARSED: "1970-01-01T00:02:40Z 60 team/paris go-2"})}, False),
    ("a rehearsal was, nobody knows which", "Rehearse", {}, {"old": vm(notes={REHEARSED: "1970-01-01T00:02:40Z 60 team/paris"})}, False),
    ("it was moved under this name, and is rehearsed now", "Rehearse", {}, {"old": DONE}, False),
]  # fmt: skip


@pytest.mark.parametrize(("why", "mode", "external", "seen", "ends"), ONCE, ids=[row[0] for row in ONCE])
async def test_what_the_machine_tells_of_is_not_done_again(why, mode, external, seen, ends) -> None:
    asked, observed = move({"mode": mode}, external=external), await found(**seen)
    made = plan(asked, observed, NOW)
    facts = {key for step in made.steps for key, _ in getattr(step, "facts", ())}
    assert ("doneBefore" in facts) is ends
    if ends:
        (step,) = made.steps
        assert (step.inside, step.now_as) == (True, "ended")  # type: ignore[attr-defined]
        assert plan(move({"mode": mode}, deleting=True), observed, NOW).steps == ()


async def test_it_says_what_to_do_to_have_it_done_again_and_the_proof_stands() -> None:
    for mode, old, reason, what in (
        ("Execute", DONE, Reason.MOVED, "to move the machine again"),
        ("Rehearse", PROVEN, Reason.REHEARSED, "to rehearse it again"),
    ):
        (step,) = plan(move({"mode": mode}), await found(old=old), NOW).steps
        ended = move({"mode": mode}, external=dict(step.facts) | {"ended": "200"})  # type: ignore[attr-defined]
        told = plan(ended, await found(), NOW).outcome
        assert (told.phase, told.reason) == (Phase.DONE, reason)
        assert 'VM 12 "web" in team/rbx' in told.message
        assert told.message.endswith(what)
        status = InstanceMigrationController().status(ended, await found())
        assert status["downtimeSeconds"] == (60 if mode == "Rehearse" else None)


@pytest.mark.parametrize("home", ["rbx", "rome"])
async def test_a_machine_that_went_further_is_found_wherever_it_is(home: str) -> None:
    """Also beside what this move left, which a person kept: in that cloud, or in a third one that is asked later."""
    left = vm(id=11, at=POWEROFF, mark=MOVE)
    here = replace(DONE, mark=INSTANCE)
    clouds = {name: OpenNebula(network(), image(), *([left] if name == "rbx" else []), *([here] if name == home else []))
              for name in ("rbx", "paris", "rome")}  # fmt: skip
    world, moves = World(**clouds), InstanceMigrationController()
    world.resources[web().key] = web()
    seen = await moves.observe(move(), world)
    (step,) = moves.plan(move(), seen, NOW).steps
    assert dict(step.facts) == {"doneBefore": f'VM 12 "web" in team/{home}'}  # type: ignore[attr-defined]
    assert moves.status(move(), seen)["source"] is None, "it is not where this one found it"


async def test_of_a_lost_cloud_the_record_of_the_instance_counts() -> None:
    bound = {"external": {"vm": "12", "cloud": "team/rbx", "moves": "go"}}
    for mode, status, ends in (("Execute", bound, True), ("Rehearse", bound, False)):
        world, moves = World(rbx=OpenNebula(), paris=OpenNebula(network())), InstanceMigrationController()
        world.resources[web().key] = web(status=status)
        asked = move({"mode": mode, "sourceState": "Lost"})
        made = moves.plan(asked, await moves.observe(asked, world), NOW)
        assert (steps(made) == ["Remember"]) is ends, made


def test_the_last_sixteen_are_written_in_their_order() -> None:
    many = [f"m{number}" for number in range(20)]
    for before, recorded, wanted in (
        ("", "", "go"),
        ("a b", "x", "a b go"),
        ("go a", "", "a go"),
        ("", "a b", "a b go"),
        (" ".join(many), "", " ".join([*many[5:], "go"])),
    ):
        left = vm(notes={MOVES: before} if before else {})
        assert moves_note(move(), web(status={"external": {"moves": recorded}}), left) == {MOVES: wanted}
    long = [f"{letter * 250}" for letter in "abc"]
    assert moves_made(vm(notes={MOVES: " ".join(long)})) == (("moves", long[2]),)
    assert moves_made(OFF) == ()
    assert carried_moves(web()) == {}


async def test_a_machine_that_is_made_anew_tells_of_them_too() -> None:
    rbx = OpenNebula(network(), image(), vm(at=RUNNING, mark=mark("HostedInstance", "web"), notes={MOVES: "go back"}))
    world, machines = World(rbx=rbx, paris=OpenNebula()), HostedInstanceController()
    asked = web({"updatePolicy": {"replace": "Allow"}}, status={"external": {}})
    for state in (None, (6, 0)):
        if state is not None:
            rbx._set(12, state)
        for _ in range(3):
            asked, _, _ = await run(machines, asked, world)
        assert asked.external["moves"] == "go back"
    (made,) = [one for one in (await rbx.view(0.0)).vms.values() if one.id != 12]
    assert made.notes[MOVES] == "go back"
