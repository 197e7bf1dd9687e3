"""Steps that know their own call: disks, backups, snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.opennebula_port import OpenNebula
from sovereigncloud.kinds.vm_step import VmStep


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCall(VmStep):
    """Something done to a machine, or for it."""

    async def do(self, client: OpenNebula, world: World, resource: HostedInstance) -> Outcome:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCall(Step):
    """Something done in the cloud, where there may be no machine to it."""

    by_administrator: ClassVar[bool] = False

    cloud: Key

    async def do(self, client: OpenNebula, world: World, resource: HostedInstance) -> Outcome:
        raise NotImplementedError
