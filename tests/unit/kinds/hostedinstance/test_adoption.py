"""A machine that was there before: which one it is, what is written on it, and how it is let go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.kinds.adoption_scene import NOTED as NOTES
from tests.unit.kinds.adoption_scene import THEIRS, Row
from tests.unit.kinds.machine_scene import CONTROLLER, EXTERNAL, cloud
from tests.unit.kinds.machine_scene import OURS as MINE
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    POWEROFF,
    US,
    World,
    look,
    mark,
    resource,
    run,
    vm,
)

from sovereigncloud.api.common.base import DeletionPolicy, Key, Management
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action
from sovereigncloud.core.policy import Policy, decide
from sovereigncloud.kinds.hostedinstance.machine.adoption_steps import AdoptVm, RecordAdoption, ReleaseVm
from sovereigncloud.kinds.hostedinstance.steps import ActOnVm, MarkVm, RecordVm, RenameVm
from sovereigncloud.kinds.identity.adoption import Asked, identify_asked, may_adopt
from sovereigncloud.ports.errors import Retry

ADOPT = {"adopt": {"id": "12"}, "placement": {"cloudRef": {"name": "rbx"}}}
ADOPTED = {"external": EXTERNAL | {"adopted": "yes", "owner": str(THEIRS)}}
BEFORE = mark("HostedInstance", "web", uid="uid-0")


def instance(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("HostedInstance", "web", ADOPT | (spec or {}), status or {}, **meta)


def found(**fields: Any) -> Any:
    """VM 12 as a person made it: another user's, of another name, unmarked."""
    return vm(**({"name": "Büro 'A'", "owner": THEIRS, "mark": None} | fields))


ROWS = [
    Row("nobody's: it is marked, and its name and size are left as they are", (found(),), (AdoptVm,)),
    Row("it is off: that is the guest's own business", (found(at=POWEROFF),), (AdoptVm,)),
    Row(
        "there is none of that number: nothing is made instead", (found(id=13),),
        reason="NothingToAdopt", says="no VM 12",
    ),
    Row(
        "it carries the mark of another installation", (found(mark=mark("HostedInstance", "x", installation="b")),),
        reason="OwnedByAnotherInstallation", says="HostedInstance team/x of installation b",
    ),
    Row(
        "it carries the mark of another installation for an object of this very name",
        (found(mark=mark("HostedInstance", "web", installation="b")),), reason="OwnedByAnotherInstallation",
    ),
    Row(
        "it belongs to another object here", (found(mark=mark("HostedInstance", "db")),),
        reason="CannotAdopt", says="belongs to HostedInstance team/db",
    ),
    Row(
        "this object made a machine already, whose record was lost", (found(), vm(id=13)),
        reason="CannotAdopt", says="VM 13 carries this object's mark already",
    ),
    Row(
        "this object has another machine", (found(), vm(id=13)),
        reason="CannotAdopt", says="has VM 13 already", status={"external": {"vm": "13", "cloud": "team/rbx"}},
    ),
    Row("the answer to its marking was lost", (found(mark=MINE, notes=NOTES),), (RecordAdoption,)),
    Row("after the cluster was rebuilt, whoever owns it", (found(mark=BEFORE, notes=NOTES),), (MarkVm,)),
    Row("adopted, and as declared", (found(mark=MINE, notes=NOTES),), status=ADOPTED),
    Row(
        "its owner gave it away", (found(mark=MINE, notes=NOTES, owner=8),),
        reason="OwnerChanged", says="belonged to user 7", status=ADOPTED,
    ),
    Row(
        "its owner wrote our mark on another machine of his: that counts for nothing",
        (found(mark=MINE, notes=NOTES), found(id=13, mark=MINE)), status=ADOPTED,
    ),
    Row("somebody took its mark away", (found(),), reason="MarkLost", status=ADOPTED),
    Row(
        "a name that is declared is kept", (found(mark=MINE, notes=NOTES),), (RenameVm,),
        status=ADOPTED, spec={"name": "web-1"},
    ),
    Row(
        "spec.adopt was taken out afterwards: its owner is still accepted",
        (found(mark=MINE, notes=NOTES),), status=ADOPTED, spec={"adopt": None, "source": {"image": "ubuntu"}},
    ),
    Row(
        "it was replaced once, and the cluster rebuilt: what took its place is taken over, nothing else is made",
        (vm(id=99, mark=BEFORE),), (MarkVm,),
    ),
    Row(
        "it was replaced: the new machine is this object's", (vm(id=99),),
        status={"external": {"vm": "99", "cloud": "team/rbx"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_which_machine_it_is(row: Row) -> None:
    plan = await look(CONTROLLER, instance(row.spec, row.status), World(rbx=cloud(*row.found)))
    assert tuple(type(step) for step in plan.steps) == row.steps
    assert (plan.outcome.phase is Phase.STALLED, plan.outcome.reason) == (bool(row.reason), row.reason), plan.outcome
    assert row.says in plan.outcome.message


async def test_it_is_marked_once_keeps_its_owner_and_nothing_else_of_it_is_touched() -> None:
    front = cloud(found())
    world = World(rbx=front)
    web, _, _ = await run(CONTROLLER, instance(), world)
    assert front.journal == [("update_vm", 12, {**MINE.for_opennebula(), **NOTES})]
    assert web.external == ADOPTED["external"]
    assert web.deletion_policy is DeletionPolicy.RETAIN
    web, plan, outcome = await run(CONTROLLER, web, world)
    assert (plan.steps, plan.drift, outcome.phase, len(front.journal)) == ((), (), Phase.DONE, 1)
    assert (web.status.id, web.status.state) == ("12", "Running")


async def test_two_that_want_one_machine_at_once_do_not_both_mark_it() -> None:
    front = cloud(found())
    world = World(rbx=front)
    plan = await look(CONTROLLER, instance(), world)
    theirs = mark("HostedInstance", "web", installation="b")
    front.vms[12] = replace(front.vms[12], mark=theirs)
    outcome = await CONTROLLER.perform(plan.steps[0], instance(), world)
    assert (front.journal, outcome.reason) == ([], "OwnedByAnotherInstallation")


@pytest.mark.parametrize(
    ("said", "approved", "done"),
    [
        ("Manage: it is marked, and what differs waits", False, (AdoptVm,)),
        ("Manage, after it was marked: what differs waits for approval", True, ()),
    ],
)
async def test_what_differs_at_adoption_waits_for_an_approval(
    said: str, approved: bool, done: tuple[type, ...]
) -> None:
    marked = {"mark": MINE, "notes": NOTES} if approved else {}
    web = instance({"name": "web-1"}, ADOPTED if approved else {})
    plan = await look(CONTROLLER, web, World(rbx=cloud(found(**marked))))
    policy = Policy(settled=True, adopting=True, salt="s")
    decision = decide(plan, policy)
    assert tuple(type(step) for step in decision.steps) == done, said
    assert [verdict.drift.path for verdict in decision.drift] == ["spec.name"]
    if approved:
        assert decision.outcome.reason == "ApprovalRequired"
        assert f"spec.approvedPlan: {decision.hash}" in decision.outcome.message
        then = decide(plan, replace(policy, approved_plan=decision.hash))
        assert [type(step) for step in then.steps] == [RenameVm]


async def test_the_hash_that_is_shown_while_it_is_only_observed_is_the_one_to_approve() -> None:

    spec = {"name": "web-1"}
    before = await look(CONTROLLER, instance(spec), World(rbx=cloud(found())))
    after = await look(CONTROLLER, instance(spec, ADOPTED), World(rbx=cloud(found(mark=MINE, notes=NOTES))))
    shown = decide(before, Policy(management=Management.OBSERVE, salt="s"))
    asked = decide(after, Policy(settled=True, adopting=True, salt="s"))
    assert shown.steps == ()
    assert shown.hash == asked.hash != ""


# ------------------------------------------------------------------------------------------------------------- letting go


def going(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Any:
    return instance(spec, ADOPTED if status is None else status, deleting=True)


LEAVING = [
    Row("adopted: the marks are taken off, nothing else", (found(mark=MINE, notes=NOTES),), (ReleaseVm,)),
    Row("they were taken off before a crash", (found(),)),
    Row("another installation adopted it meanwhile", (found(mark=mark("HostedInstance", "web", installation="b")),)),
    Row("somebody terminated it", ()),
    Row("its owner changed: it is no longer this object's", (found(mark=MINE, owner=9),)),
    Row("it was never marked: only looked at", (found(),), status={"external": {"cloud": "team/rbx"}}),
    Row("spec says so: it is terminated", (found(mark=MINE, notes=NOTES),), (ActOnVm,), spec={"deletionPolicy": "Delete"}),
]  # fmt: skip


@pytest.mark.parametrize("row", LEAVING, ids=lambda row: row.why)
async def test_letting_go(row: Row) -> None:
    front = cloud(*row.found)
    plan = await look(CONTROLLER, going(row.spec, row.status or None), World(rbx=front))
    assert tuple(type(step) for step in plan.steps) == row.steps
    if not row.steps:
        assert plan.outcome.phase is Phase.DONE


async def test_released_it_is_as_it_was() -> None:
    front = cloud(found())
    world = World(rbx=front)
    before = front.vms[12]
    web, _, _ = await run(CONTROLLER, instance(), world)
    status = web.status.model_dump(by_alias=True, exclude_none=True)
    gone, plan, _ = await run(CONTROLLER, going(status=status), world)
    assert plan.steps[0].action is Action.UPDATE
    assert front.vms[12] == before
    _, plan, outcome = await run(CONTROLLER, gone, world)
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)


async def test_a_cloud_that_does_not_answer_holds_it_for_ten_minutes_only() -> None:
    world = World(rbx=Retry("refused", where="OpenNebula"))
    with pytest.raises(Retry):
        await look(CONTROLLER, going(), world)
    world.now = NOW + timedelta(minutes=11)
    plan = await look(CONTROLLER, going(), world)
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)


async def test_a_namespace_adopts_from_the_cloud_of_another_only_what_its_own_user_made() -> None:

    elsewhere = Key("SovereignCloud", "platform", "rbx")
    assert may_adopt(Key("SovereignCloud", "team", "rbx"), "team", US) is None
    assert may_adopt(elsewhere, "team", None) == frozenset(), "nor the administrator's, before it has a user of its own"
    among = may_adopt(elsewhere, "team", US)
    for owner, marked, adoptable in ((US, None, True), (THEIRS, None, False), (THEIRS, MINE, False)):
        answer = identify_asked(Asked(12, among=among), {12: found(owner=owner, mark=marked)}, US, MINE, "VM")
        assert answer.adoptable == adoptable
        assert (answer.problem is None) == adoptable


async def test_record_of_an_adopted_machine_holds_what_is_needed_to_know_it_again() -> None:
    front = cloud(found())
    front.lost.add("update_vm")
    world = World(rbx=front)
    web, plan, _ = await run(CONTROLLER, instance(), world)
    assert [type(step) for step in plan.steps] == [AdoptVm]
    web, plan, _ = await run(CONTROLLER, web, world)
    assert [type(step) for step in plan.steps] == [RecordAdoption]
    assert RecordVm not in [type(step) for step in plan.steps]
    assert web.external == ADOPTED["external"]
    assert [verb for verb, *_ in front.journal] == ["update_vm"], "once"
