"""An exit from rbx to paris, with machines in rbx, and moves that do what they are told without any OpenNebula."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.kinds.opennebula_in_memory import NOW, OpenNebula, World, host, image, mark, network, resource, run, vm

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.exitplan.controller import ExitPlanController
from sovereigncloud.ports.opennebula.views import Datastore

CONTROLLER = ExitPlanController()
RBX, PARIS = Key("SovereignCloud", "team", "rbx"), Key("SovereignCloud", "team", "paris")
MACHINE: dict[str, Any] = {
    "source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "networks": [{"name": "lan"}],
    "placement": {"cloudRef": {"name": "rbx"}},
}  # fmt: skip
LEAVE: dict[str, Any] = {"from": {"cloudRef": {"name": "rbx"}}, "to": [{"cloudRef": {"name": "paris"}}], "mode": "Plan"}
GIB = 1 << 20
"""In KiB, as oned counts the memory of hosts."""


class ExitScene:
    """Machines "m1", "m2", ... run in rbx."""

    def __init__(self, machines: int = 3, room: int = 64, **labels: dict[str, str]) -> None:
        self.rbx, self.paris = OpenNebula(network(), image()), OpenNebula(network(), host(1, max_memory=room * GIB))
        self.paris.datastores[0] = Datastore(0, "system", 1, 0, 10**6, 10**6)
        self.world = World(rbx=self.rbx, paris=self.paris)
        self.world.kubernetes.apply, self.world.kubernetes.delete = self._apply, self._delete
        self.made: list[str] = []
        for number in range(1, machines + 1):
            name = f"m{number}"
            self.rbx.vms[number] = vm(id=number, name=name, memory=4096, cpu="2", mark=mark("HostedInstance", name))
            self.put_machine(name, number, labels.get(name, {}))
        self.told: list[tuple[str, str]] = []

    def put_machine(
        self, name: str, number: int, labels: dict[str, str] | None = None, cloud: str = "rbx", **more: Any
    ) -> None:
        status = {"external": {"vm": str(number), "cloud": f"team/{cloud}"}}
        found = resource("HostedInstance", name, MACHINE | more, status, labels=labels or {})
        self.world.resources[found.key] = found

    async def _apply(self, manifest: dict[str, Any]) -> None:
        meta = manifest["metadata"]
        key = Key("InstanceMigration", meta["namespace"], meta["name"])
        self.made.append(meta["name"])
        if key not in self.world.resources:
            body = {**manifest, "metadata": {**meta, "uid": f"uid-{meta['name']}", "generation": 1}, "status": {}}
            self.world.resources[key] = InstanceMigration.model_validate(body)

    async def _delete(self, kind: str, namespace: str, name: str) -> None:
        self.world.resources.pop(Key(kind, namespace, name), None)

    async def once(self, leaving: Any) -> tuple[Any, Plan, Any]:
        found, plan, outcome = await run(CONTROLLER, leaving, self.world)
        self.told += [(str(reason), message) for reason, message in outcome.events]
        self.world.resources[found.key] = found
        return found, plan, outcome

    @property
    def moves(self) -> dict[str, Any]:
        """By machine."""
        return {
            one.spec.instance_ref.name: one
            for one in self.world.resources.values()
            if isinstance(one, InstanceMigration)
        }

    def end(self, machine: str, **external: str) -> None:
        """Its move comes to an end, as external says."""
        move = self.moves[machine]
        external = {"began": "1", "ended": "9", **external}
        told = move.status.model_copy(update={"external": external, "bytes": 10 << 30, "downtime_seconds": 100})
        self.world.resources[move.key] = move.model_copy(update={"status": told})
        if "cutOver" in external:
            number = int(machine[1:])
            self.rbx.vms.pop(number)
            self.put_machine(machine, 100 + number, cloud="paris")

    def later(self, **passed: float) -> None:
        self.world.now += timedelta(**passed)


def leaving(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    metadata = {"name": "leave", "namespace": "team", "uid": "uid-leave", "generation": 1, **meta}
    if metadata.pop("deleting", False):
        metadata["deletionTimestamp"] = NOW
    body = {"kind": "ExitPlan", "metadata": metadata, "spec": LEAVE | (spec or {}), "status": status or {}}
    return ExitPlan.model_validate(body)


def with_spec(before: Any, spec: dict[str, Any]) -> Any:
    """As a person changes it."""
    declared = before.spec.model_dump(by_alias=True, exclude_none=True) | spec
    return ExitPlan.model_validate(
        {
            "kind": "ExitPlan",
            "metadata": before.metadata.model_dump(by_alias=True, exclude_none=True),
            "spec": declared,
            "status": before.status.model_dump(by_alias=True, exclude_none=True),
        }
    )
