"""A security group that was there before, named by its id in a cloud: marked, kept as declared, let go as it was."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kinds.adoption_scene import NOTED, THEIRS, Row, adopt_and_let_go
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, look, mark, resource

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.securitygroup.steps import (
    AdoptGroup,
    CommitRules,
    MarkGroup,
    NoteCommitted,
    RecordGroup,
    ReleaseGroup,
    SetRules,
)
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup, SecurityRule

CONTROLLER = SecurityGroupController()
SSH = {"direction": "Inbound", "protocol": "TCP", "range": "22"}
SPEC: dict[str, Any] = {"cloudRefs": [{"name": "rbx", "adopt": {"id": "101"}}], "rules": [SSH]}
MINE = mark("SecurityGroup", "ssh")
KNOWN = {"external": {"group.team/rbx": "101", "adopted.rbx": str(THEIRS)}}


def ssh(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("SecurityGroup", "ssh", SPEC | (spec or {}), status or {}, **meta)


def found(**fields: Any) -> SecurityGroup:
    base: dict[str, Any] = {
        "id": 101, "name": "Zugang", "owner": THEIRS, "rules": (SecurityRule("TCP", "INBOUND", "22"),), "mark": None,
    }  # fmt: skip
    return SecurityGroup(**(base | fields))


CHANGED = {"rules": [SSH, {"direction": "Outbound", "protocol": "ALL"}]}
ROWS = [
    Row("nobody's: it is marked, and keeps its name", (found(),), (AdoptGroup,)),
    Row("other rules come after the mark", (found(),), (AdoptGroup, SetRules, CommitRules, NoteCommitted), spec=CHANGED),
    Row("there is none of that number: none is made", (found(id=102),), reason="NothingToAdopt"),
    Row("OpenNebula's own is nobody's to take", (found(id=0),), reason="NothingToAdopt", spec={"cloudRefs": [{"name": "rbx", "adopt": {"id": "0"}}]}),
    Row("another object's", (found(mark=mark("SecurityGroup", "x")),), reason="CannotAdopt"),
    Row(
        "another installation's", (found(mark=mark("SecurityGroup", "ssh", installation="b")),),
        reason="OwnedByAnotherInstallation",
    ),
    Row("the answer to its marking was lost", (found(mark=MINE, notes=NOTED),), (RecordGroup,)),
    Row("after the cluster was rebuilt", (found(mark=mark("SecurityGroup", "ssh", uid="u-0"), notes=NOTED),), (MarkGroup,)),
    Row("adopted, and as declared", (found(mark=MINE, notes=NOTED),), status=KNOWN),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_which_group_it_is(row: Row) -> None:
    front = OpenNebula()
    front.groups = {one.id: one for one in row.found}
    plan = await look(CONTROLLER, ssh(row.spec, row.status), World(rbx=front))
    assert tuple(type(step) for step in plan.steps) == row.steps
    assert (plan.outcome.phase is Phase.STALLED, plan.outcome.reason) == (bool(row.reason), row.reason), plan.outcome
    assert row.says in plan.outcome.message


async def test_adopted_and_let_go_it_is_as_it_was() -> None:
    front = OpenNebula()
    front.groups = {101: found()}
    world, before = World(rbx=front), front.groups[101]
    life = await adopt_and_let_go(CONTROLLER, ssh, world)
    assert life.recorded == KNOWN["external"]
    assert (life.at_rest.steps, life.at_rest.drift, life.said.phase) == ((), (), Phase.DONE)
    assert [type(step) for step in life.going] == [ReleaseGroup]
    assert front.groups[101] == before
    assert (life.gone.steps, life.gone.outcome.phase) == ((), Phase.DONE)
