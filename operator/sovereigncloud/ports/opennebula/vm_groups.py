"""The door to OpenNebula's VM groups: which machines run on one host, which each on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sovereigncloud.core.identity import Mark


@dataclass(frozen=True, slots=True)
class VmGroup:
    """A VM group. `roles`: ids of the machines in each role."""

    id: int
    name: str
    owner: int
    mark: Mark | None
    roles: Mapping[str, frozenset[int]]

    @property
    def empty(self) -> bool:
        return not any(self.roles.values())


class VmGroups(Protocol):
    """one.vmgroup.* and what concerns groups in one.vm.*"""

    async def create(self, name: str, policies: Mapping[str, str], mark: Mark) -> int:
        """A group with these roles, each with its POLICY. Raises Conflict where the owner has one of that name."""
        ...

    async def delete(self, group_id: int) -> None:
        """Raises NotFound; Conflict while a machine is in it."""
        ...

    async def join(self, vm_id: int, group_id: int, role: str) -> None:
        """From 7.4. A machine in one group must leave it first: oned would put it in two (OpenNebula/one#8016)."""
        ...

    async def leave(self, vm_id: int) -> None:
        """From 7.4."""
        ...
