"""A machine that should be somewhere else, and may go there by itself: one move, to the place that is chosen, and never two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.machine_scene import CONTROLLER, OURS, instance
from tests.unit.kinds.opennebula_in_memory import resource, vm
from tests.unit.kinds.placement_scene import Clouds, policy

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigntypolicy import OnViolation
from sovereigncloud.kinds.hostedinstance.placement.relocation import name_of_move
from sovereigncloud.kinds.hostedinstance.steps import MoveVm
from sovereigncloud.kinds.movement.requests import MakeMove

RBX = Key("SovereignCloud", "team", "rbx")
FRENCH = policy("french", "FR", on_violation=OnViolation.RELOCATE)
MAY = {"updatePolicy": {"move": "Allow"}}
IN_FRANCE = {"placement": {"countries": ["FR"]}}


async def planned(clouds: Clouds, spec: dict[str, Any], at: Any = None, **meta: Any) -> Any:
    clouds.front("rbx").vms[12] = at or vm(host="rbx-1", mark=OURS)
    wanted = instance({"placement": None, **spec}, **meta)
    return CONTROLLER.plan(wanted, await CONTROLLER.observe(wanted, clouds.world), clouds.world.now)


def goes_to(made: Any) -> str:
    """Where the one move goes that is planned; empty: none is."""
    moves = [step for step in made.steps if isinstance(step, MakeMove)]
    assert len(moves) <= 1
    return moves[0].manifest["spec"]["to"]["cloudRef"]["name"] if moves else ""


GOES = [
    ("a policy wants it to leave", {}, [FRENCH], "sbg"),
    ("its countries exclude where it is, and it may", IN_FRANCE | MAY, [], "sbg"),
    ("another cloud is named, and it may", {"placement": {"cloudRef": {"name": "sbg"}}} | MAY, [], "sbg"),
    ("the named cloud is one where no policy lets it be", {"placement": {"cloudRef": {"name": "gra"}}} | MAY, [FRENCH], ""),
    ("its countries exclude where it is, and nobody said that it may", IN_FRANCE, [], ""),
    ("it may not", IN_FRANCE | {"updatePolicy": {"move": "Deny"}}, [], ""),
    ("a policy wants it to leave, and its spec says no", {"updatePolicy": {"move": "Deny"}}, [FRENCH], ""),
    ("a policy only reports", {}, [policy("french", "FR")], ""),
    ("a policy that only looks on", {}, [replace(FRENCH, enforced=False)], ""),
    ("its spec names the cloud that it should leave", {"placement": {"cloudRef": {"name": "rbx"}}} | MAY, [FRENCH], ""),
    ("it is where it should be", {"placement": {"countries": ["CA"]}} | MAY, [], ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "rules", "to"), GOES, ids=[row[0] for row in GOES])
async def test_it_goes_where_it_may_be_and_only_where_somebody_lets_it(why, spec, rules, to) -> None:
    clouds = Clouds(rbx="CA", gra="GB", sbg="FR")
    clouds.world.rules = rules
    made = await planned(clouds, spec)
    assert goes_to(made) == to
    assert not [step for step in made.steps if not isinstance(step, MakeMove | MoveVm)]
    if to:
        (step,) = made.steps
        assert (step.needs, step.disruption, step.inside) == ("", "Restart", False)
        (owner,) = step.manifest["metadata"]["ownerReferences"]
        assert owner["kind"] == "HostedInstance"
        assert step.manifest["spec"]["deletionPolicy"] == "Delete", "as its own: nothing of it is left behind"


async def test_where_nowhere_is_allowed_it_runs_on_and_says_so() -> None:
    clouds = Clouds(rbx="CA", gra="GB")
    clouds.world.rules = [FRENCH]
    made = await planned(clouds, {})
    assert (made.steps, made.outcome.reason, made.outcome.available) == ((), "NoCompliantTarget", True)
    assert "team/gra cluster default: SovereigntyPolicy french" in made.outcome.message
    assert made.outcome.after, "another cloud may come"
    made = await planned(clouds, {"placement": {"cloudRef": {"name": "rbx"}}})
    assert "spec.placement.cloudRef names that cloud" in made.outcome.message


async def test_a_cloud_that_is_full_is_waited_for() -> None:
    clouds = Clouds(rbx="CA", sbg="FR")
    clouds.world.rules = [FRENCH]
    clouds.fill("sbg")
    made = await planned(clouds, {})
    assert (made.steps, made.outcome.reason, made.outcome.available) == ((), "NoCapacity", True)


def the_move(external: dict[str, str], *conditions: dict[str, str]) -> Any:
    spec = {"instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "sbg"}}, "mode": "Execute"}
    name = name_of_move(instance({}), RBX, vm())
    return resource("InstanceMigration", name, spec, {"external": external, "conditions": [*conditions]})


STUCK = {"type": "Stalled", "status": "True", "reason": "NoMarketplace", "message": "rbx has no marketplace"}
MADE = [
    ("it is there", the_move({}), "Moving", "is to move it"),
    ("it is held up", the_move({}, STUCK), "Moving", "rbx has no marketplace"),
    ("it failed", the_move({"ended": "9", "failed": "no room"}), "MoveFailed", "no room; delete it to have it tried again"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "move", "reason", "says"), MADE, ids=[row[0] for row in MADE])
async def test_a_move_is_made_once_whatever_becomes_of_it(why, move, reason, says) -> None:
    clouds = Clouds(rbx="CA", sbg="FR", lim="FR")
    clouds.world.rules = [FRENCH]
    clouds.world.resources[move.key] = move
    made = await planned(clouds, {})
    assert (made.steps, made.outcome.reason, made.outcome.available) == ((), reason, True)
    assert says in made.outcome.message


def test_its_name_is_that_of_the_machine_that_is_left() -> None:
    """Not of where it goes, which may be decided otherwise next time; another machine of the instance is another move."""
    long = resource("HostedInstance", "w" * 253, {"source": {"image": "ubuntu"}, "vcpu": 1, "memory": "1Gi"})
    names = {
        name_of_move(instance({}), cloud, vm(id=n)) for cloud in (RBX, Key("SovereignCloud", "t", "a")) for n in (1, 2)
    }
    assert len(names) == 4
    assert len(name_of_move(long, RBX, vm())) <= 253
