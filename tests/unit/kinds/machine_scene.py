"""One machine, "web", and the cloud that it is in, for the tests of its plan: as it is declared, and as it is found there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, image, mark, network, resource, run

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController

CONTROLLER = HostedInstanceController()
SPEC: dict[str, Any] = {
    "source": {"image": "ubuntu"},
    "vcpu": 2,
    "memory": "4Gi",
    "networks": [{"name": "lan"}],
    "placement": {"cloudRef": {"name": "rbx"}},
}
EXTERNAL = {"vm": "12", "cloud": "team/rbx"}
OURS = mark("HostedInstance", "web")
POWER_CYCLE = {"updatePolicy": {"powerCycle": "Allow"}}


@dataclass(frozen=True)
class Row:
    """What is declared and found beside the usual, and what is said and done about it."""

    why: str
    spec: dict[str, Any] = field(default_factory=dict)
    vm: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    needs: str = ""
    phase: Phase = Phase.DONE
    reason: str = ""
    says: str = ""
    available: bool | None = None
    others: tuple[Any, ...] = ()


def new_instance(spec: dict[str, Any] | None = None, **meta: Any) -> Any:
    """Declared, and nothing is known of it."""
    return resource("HostedInstance", "web", SPEC | (spec or {}), {}, **meta)


def instance(spec: dict[str, Any] | None = None, *, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    """Recorded as VM 12."""
    return resource("HostedInstance", "web", SPEC | (spec or {}), {"external": EXTERNAL, **(status or {})}, **meta)


def cloud(*things: Any) -> OpenNebula:
    """With the network and the image that it needs."""
    return OpenNebula(network(), image(), *things)


def differences(plan: Plan) -> dict[str, tuple[str, str]]:
    return {entry.path: (entry.desired, entry.observed) for entry in plan.drift}


async def until_quiet(wanted: Any, world: World, front: OpenNebula, told: set[str] | None = None) -> Any:
    """Round the loop until it is as declared and nothing that was asked for is open. `told`: takes the events' reasons."""
    for _ in range(40):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        if told is not None:
            told.update(reason for reason, _ in outcome.events)
        front.tick()
        world.now += timedelta(seconds=5)
        if not plan.steps and outcome.phase is Phase.DONE and not plan.drift and not under_way(wanted):
            return wanted
    raise AssertionError(f"not quiet: {plan} {outcome}")


def under_way(wanted: Any) -> bool:
    """Whether something that was asked for is not over."""
    known = getattr(wanted.status, "requests", None)
    asked = (known.backup, known.snapshot, known.restore) if known else ()
    return any(one is not None and one.state == "Running" for one in asked)
