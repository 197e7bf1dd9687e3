"""The doors to OVHcloud that the kinds need: few, small, idempotent verbs. `providers/ovh` implements them.

Facts are in frozen values; ids are those of the API. A verb raises the errors of `kinds.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereigncloud.ports.ovh.dns import Zones
from sovereigncloud.ports.ovh.iam import Rights
from sovereigncloud.ports.ovh.inventory import Inventory
from sovereigncloud.ports.ovh.orders import Shop
from sovereigncloud.ports.ovh.power import Power
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, Part
from sovereigncloud.ports.ovh.vrack import Vracks


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """What one bulk read (/v2/iam/resource) tells of a server."""

    service_name: str
    urn: str
    display_name: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VrackView:
    """A vRack: interface uuid -> service name of its server; IP blocks routed to it; its tags."""

    name: str
    urn: str
    tags: Mapping[str, str]
    interfaces: Mapping[str, str]
    blocks: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the sweep compares with, read in a handful of calls per account, not per server.

    Attributes:
        vrack_tags: the tags of every vRack of the account, by its name, also of those whose members nobody asked for.
        requests: what it took to read this.
    """

    began: float
    servers: Mapping[str, ServerSummary]
    vracks: Mapping[str, VrackView]
    vrack_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """One dedicated server in detail."""

    service_name: str
    urn: str
    display_name: str
    tags: Mapping[str, str]
    ip: str
    region: str
    availability_zone: str
    datacenter: str
    os: str
    state: str
    power_state: str
    monitoring: bool
    no_intervention: bool
    commercial_range: str
    boot: int = 0
    """The number of what it boots; 0: its disk, in the words of the API nothing."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A virtual network interface. Mode: public, vrack, public_aggregation, vrack_aggregation."""

    uuid: str
    name: str
    mode: str
    enabled: bool
    vrack: str
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a dedicated server: init, todo, doing, done, cancelled, customerError, ovhError."""

    id: int
    function: str
    status: str
    comment: str


@dataclass(frozen=True, slots=True)
class InstallStep:
    comment: str
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class IpBlock:
    """An IP block; `routed_to` is the service that it is routed to, empty when parked. `regions`: where it can be used."""

    block: str
    routed_to: str
    urn: str
    tags: Mapping[str, str]
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reinstallation:
    """What is asked of POST /dedicated/server/{sn}/reinstall."""

    operating_system: str
    hostname: str
    ssh_key: str = ""
    post_installation_script: str = field(default="", repr=False)
    partitions: tuple[Part, ...] = ()


class Ovh(Protocol):
    """One OVHcloud account under one credential."""

    @property
    def vracks(self) -> Vracks: ...
    @property
    def zones(self) -> Zones: ...
    @property
    def rights(self) -> Rights:
        """What the credential may do."""
        ...

    @property
    def power(self) -> Power:
        """Whether servers run."""
        ...

    @property
    def inventory(self) -> Inventory:
        """What the account has, beside its servers."""
        ...

    @property
    def orders(self) -> Shop:
        """Ordering and the end of services."""
        ...

    async def view(self, began: float, vracks: frozenset[str]) -> AccountView: ...
    async def server(self, service_name: str) -> Server: ...
    async def interfaces(self, service_name: str) -> tuple[Interface, ...]: ...
    async def disk_groups(self, service_name: str) -> tuple[DiskGroup, ...]:
        """The disk groups of the server: a reinstall erases all of them."""
        ...

    async def compatible_systems(self, service_name: str) -> frozenset[str]: ...
    async def template(self, name: str) -> InstallationTemplate:
        """What an operating system's installation takes. Raises NotFound."""
        ...

    async def reinstall(self, service_name: str, request: Reinstallation) -> int:
        """Starts it; returns the task id. Raises AlreadyRunning with the id of the task that runs. What was sent is in no
        message of an error: it may be secret.
        """
        ...

    async def reinstall_tasks(self, service_name: str) -> tuple[Task, ...]:
        """Reinstall tasks that the API still knows, newest last; purged ones are gone."""
        ...

    async def install_progress(self, service_name: str) -> tuple[InstallStep, ...]:
        """Steps of the running installation; empty when none runs."""
        ...

    async def rename(self, service_name: str, display_name: str) -> None:
        """Takes effect after up to 10 minutes (Terraform provider, services.go)."""
        ...

    async def set_monitoring(self, service_name: str, *, monitoring: bool, no_intervention: bool) -> None: ...
    async def tag(self, urn: str, tags: Mapping[str, str]) -> None: ...
    async def untag(self, urn: str, keys: frozenset[str]) -> None: ...

    async def attach_interface(self, vrack: str, uuid: str) -> None:
        """Returns when the request was taken; whether it took effect shows only on the interface."""
        ...

    async def detach_interface(self, vrack: str, uuid: str) -> None: ...
    async def block(self, block: str, max_age: float = 0.0) -> IpBlock:
        """One block. `max_age`: seconds that an answer may be old; what was written meanwhile is always seen."""
        ...

    async def attach_block(self, vrack: str, block: str, region: str = "") -> None:
        """Route a block to a vRack, announced in a region; empty: in its own."""
        ...

    async def detach_block(self, vrack: str, block: str) -> None: ...
