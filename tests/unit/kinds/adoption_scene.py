"""Something that was there before and is named by its id: how a table says which one it is, and its life until it is let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.unit.kinds.opennebula_in_memory import World, look, run

from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step

THEIRS = 7
NOTED = {"SOVEREIGNCLOUD_ADOPTED": "YES"}


@dataclass(frozen=True)
class Row:
    why: str
    found: tuple[Any, ...]
    steps: tuple[type, ...] = ()
    reason: str = ""
    says: str = ""
    status: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Life:
    """What was recorded of it, the next look and what that said, how it was let go, and the look after that."""

    recorded: Mapping[str, str]
    at_rest: Plan
    said: Outcome
    going: tuple[Step, ...]
    gone: Plan


async def adopt_and_let_go(controller: Any, declared: Callable[..., Any], world: World) -> Life:
    adopted, _, _ = await run(controller, declared(), world)
    recorded = adopted.external
    adopted, at_rest, said = await run(controller, adopted, world)
    status = adopted.status.model_dump(by_alias=True, exclude_none=True)
    _, going, _ = await run(controller, declared(status=status, deleting=True), world)
    gone = await look(controller, declared(status=status, deleting=True), world)
    return Life(recorded, at_rest, said, going.steps, gone)
