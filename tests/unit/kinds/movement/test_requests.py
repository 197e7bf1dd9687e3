"""The moves that the operator makes itself say what they are to say, and are what the API takes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import resource

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.instancemigration import InstanceMigrationSpec, MappedNetwork, MigrationMode
from sovereigncloud.kinds.movement.requests import EXIT_PLAN_LABEL, migration

WEB, PARIS = Key("HostedInstance", "team", "web"), Key("SovereignCloud", "platform", "paris")
SPEC = {
    "instanceRef": {"name": "web"},
    "to": {"cloudRef": {"name": "paris", "namespace": "platform"}},
    "mode": "Execute",
}
OWNER = resource("HostedInstance", "web", {"source": {"image": "ubuntu"}, "vcpu": 1, "memory": "1Gi"})
MAPPED = MappedNetwork.model_validate({"from": "lan", "to": "dmz"})
LOST = {"source_state": "Lost", "fencing": Fencing(confirmed_by="oncall@example.fr")}
ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a move", {}, {}),
    ("a rehearsal", {"mode": MigrationMode.REHEARSE}, {"mode": "Rehearse"}),
    ("its networks", {"network_map": [MAPPED]}, {"networkMap": [{"from": "lan", "to": "dmz"}]}),
    ("an exit beside it", {"exit_plan": Key("ExitPlan", "team", "out")}, {"exitPlanRef": {"name": "out"}}),
    ("an exit elsewhere", {"exit_plan": Key("ExitPlan", "ops", "out")}, {"exitPlanRef": {"name": "out", "namespace": "ops"}}),
    ("a lost cloud", LOST, {"sourceState": "Lost", "fencing": {"confirmedBy": "oncall@example.fr"}}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "asked", "says"), ROWS, ids=[row[0] for row in ROWS])
def test_a_move_says_what_it_was_asked_for(why: str, asked: dict[str, Any], says: dict[str, Any]) -> None:
    made: Any = migration("web-relocate-1", WEB, PARIS, **asked)
    assert made["spec"] == SPEC | says
    assert made["metadata"]["namespace"] == "team", "of its instance"
    assert ("labels" in made["metadata"]) is ("exit_plan" in asked)
    if "source_state" not in asked:
        assert InstanceMigrationSpec.model_validate(made["spec"]).instance_ref.name == "web"


def test_it_goes_with_its_owner_where_that_is_beside_it() -> None:
    made: Any = migration("go", WEB, PARIS, owner=OWNER)
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("HostedInstance", OWNER.metadata.uid, True)
    elsewhere: Any = migration("go", Key("HostedInstance", "other", "web"), PARIS, owner=OWNER)
    assert "ownerReferences" not in elsewhere["metadata"], "a reference into another namespace is none"


def test_the_name_of_an_exit_is_cut_to_a_label() -> None:
    made: Any = migration("go", WEB, PARIS, exit_plan=Key("ExitPlan", "team", "a" * 62 + "-b"))
    assert made["metadata"]["labels"][EXIT_PLAN_LABEL] == "a" * 62
