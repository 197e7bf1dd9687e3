"""How the command line shows an exit: in the cloud that it leaves, with the number that matters."""

from __future__ import annotations

from typing import Any

import pytest

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.commands.shared.condition_summary import state_of
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.kinds import CONTROLLERS

KEY = Key("ExitPlan", "platform", "leave")


def body(left: dict[str, Any], **status: Any) -> dict[str, Any]:
    spec = {"from": left, "to": [{"cloudRef": {"name": "paris"}}], "mode": "Plan"}
    meta = {"name": "leave", "namespace": "platform", "uid": "u", "resourceVersion": "1", "generation": 1}
    return {"kind": "ExitPlan", "metadata": meta, "spec": spec, "status": {"observedGeneration": 1, **status}}


@pytest.mark.parametrize(
    ("why", "left", "clouds"),
    [
        ("the cloud that it names", {"cloudRef": {"name": "rbx"}}, ["platform/rbx"]),
        ("all of a provider, as the operator found them", {"providerRef": {"name": "acme"}}, ["platform/rbx", "platform/gra"]),
    ],
)  # fmt: skip
def test_it_belongs_to_what_it_leaves(why: str, left: dict[str, Any], clouds: list[str]) -> None:
    seen = ResourceGraph([body(left, clouds=["platform/rbx", "platform/gra"])], CONTROLLERS)
    assert [f"{key.namespace}/{key.name}" for key in seen.clouds_of(KEY)] == clouds, why
    assert seen.members(Key("SovereignCloud", "platform", "rbx"), "ExitPlan") == [KEY]


def test_it_is_told_by_how_many_could_leave() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "AsDeclared", "message": "", "lastTransitionTime": ""}
    told = body({"cloudRef": {"name": "rbx"}}, phase="Planned", movable="287/300", conditions=[ready])
    assert state_of(ExitPlan.model_validate(told)).detail == "Planned, Plan, 287/300 could leave"
