"""What the kinds ask of OpenNebula about security groups: the rules that filter network cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereigncloud.core.identity import Mark

DEFAULT_GROUP = 0
"""The group that every network has at first: it lets everything through, and cannot be deleted."""


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """One rule as oned keeps it: words in capitals, numbers as text, empty where it says nothing.

    Attributes:
        protocol: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL.
        direction: INBOUND, OUTBOUND.
        range: ports, as 22,80:90.
        ip, size: the addresses of the other end; empty: all of them.
        network_id: of a network whose addresses are the other end.
        icmp_type: of ICMP and ICMPV6.
    """

    protocol: str
    direction: str
    range: str = ""
    ip: str = ""
    size: str = ""
    network_id: str = ""
    icmp_type: str = ""


EVERYTHING_IN = SecurityRule("ALL", "INBOUND")


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group. The machines that use it, by how far its rules have come to them.

    Attributes:
        updated: have the rules.
        outdated, updating: get them yet.
        failed: could not be given them.
        notes: other SOVEREIGNCLOUD_* attributes of its template, by full name.
    """

    id: int
    name: str
    owner: int
    rules: tuple[SecurityRule, ...]
    mark: Mark | None
    updated: tuple[int, ...] = ()
    outdated: tuple[int, ...] = ()
    updating: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def vms(self) -> tuple[int, ...]:
        """All that use it."""
        return tuple(sorted({*self.updated, *self.outdated, *self.updating, *self.failed}))


class SecurityGroups(Protocol):
    """Security groups of one cloud."""

    async def create(self, name: str, rules: tuple[SecurityRule, ...], attributes: Mapping[str, str]) -> int: ...
    async def update(self, group_id: int, attributes: Mapping[str, str]) -> None:
        """Merge single attributes; its rules stay."""
        ...

    async def set_rules(self, group_id: int, rules: tuple[SecurityRule, ...], attributes: Mapping[str, str]) -> None:
        """Replace all rules, and merge attributes in the same call. Machines have the old rules until a commit."""
        ...

    async def commit(self, group_id: int, *, recover: bool = False) -> None:
        """Bring the rules to the machines; `recover`: only to those that are outdated or failed."""
        ...

    async def rename(self, group_id: int, name: str) -> None: ...
    async def delete(self, group_id: int) -> None: ...
    async def attach(self, vm_id: int, nic_id: int, group_id: int) -> None:
        """Filter a card of a machine with it, too; the card stays attached and keeps its address."""
        ...

    async def detach(self, vm_id: int, nic_id: int, group_id: int) -> None: ...
