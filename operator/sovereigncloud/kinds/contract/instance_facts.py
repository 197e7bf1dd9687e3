"""Facts about a HostedInstance that decide whether its VM could leave its cloud. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.exit import Blocker
from sovereigncloud.core.placement import Demand


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """Facts that decide where a copy is usable. `lacks`: disks of the VM that are not in it.

    Thousands of VMs share few distinct values.
    """

    outside: bool
    driver: str
    server: str
    store: int
    complete: bool
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """Facts of an instance whose VM exists.

    Attributes:
        key: of its HostedInstance.
        cloud: that its VM is in.
        vm: id of the VM.
        labels: of the HostedInstance.
        demand: as remembered, else as spec says; used if the VM cannot be read.
        networks: likewise.
        store: backup datastore; empty: none.
        copies: of it, the newest first.
        blocker: why it cannot be migrated at all.
    """

    key: Key
    cloud: Key
    vm: int
    labels: tuple[tuple[str, str], ...]
    demand: Demand
    networks: tuple[str, ...]
    store: str
    copies: tuple[CopyFacts, ...] = ()
    blocker: Blocker | None = None
