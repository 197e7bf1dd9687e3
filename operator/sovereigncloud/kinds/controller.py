"""The seam: what a kind is. A new kind is one model, one controller module, one table of tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sovereigncloud.api.base import Key, Resource
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.ports import AccountView, CloudView, Installer, Kubernetes, OpenNebula, Ovh
from sovereigncloud.kinds.ssh_port import Greeting

AnyResource = Resource[Any, Any]

OWN_CONDITIONS = "conditions"
"""Among the fields that `Controller.status` gives: conditions of the kind's own, each with type, status, reason and message."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret that the object reads, in its own namespace. While in use it carries the operator's finalizer."""

    name: str


@dataclass(frozen=True, slots=True)
class Uses:
    """What an object refers to, declared once: the engine waits for it, watches it and guards its deletion.

    Attributes:
        cloud: the SovereignCloud it lives in: its endpoint must have answered once before anything else is looked at.
        objects: other objects that must not go before this one.
        secrets: Secrets in the object's namespace.
    """

    cloud: Key | None = None
    objects: tuple[Key, ...] = ()
    secrets: tuple[SecretUse, ...] = ()


class World(Protocol):
    """What a controller may see and reach while it observes and performs for one object."""

    @property
    def now(self) -> datetime: ...
    @property
    def kubernetes(self) -> Kubernetes: ...
    @property
    def installer(self) -> Installer: ...

    @property
    def admitted(self) -> bool:
        """Whether the brakes let this object be asked about by id, after it was missing in the last view."""
        ...

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        """The SovereignClouds of a namespace that are not being deleted."""
        ...

    def mark(self, resource: AnyResource) -> Mark:
        """The mark that objects made for this resource carry."""
        ...

    def get(self, key: Key) -> AnyResource | None:
        """An object of ours from the store."""
        ...

    def users(self, key: Key, *kinds: str) -> Iterable[AnyResource]:
        """Objects of ours that refer to this one (their `uses`), deleting ones included; all kinds, or only these. A cloud
        may have thousands of users, and each one that is given is parsed.
        """
        ...

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        """The client of a cloud. Raises MissingSecret, OutsideError."""
        ...

    async def view(self, cloud: Key) -> CloudView:
        """A view of the cloud that is fresh enough for the object at hand: it began after the last write made for it
        ended, and late enough after a start of the operator if a create may have been attempted before.
        Raises NotYet, MissingSecret, OutsideError.
        """
        ...

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh: ...
    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        """As `view`, for an OVHcloud account."""
        ...

    async def greeting(self, address: str, within: float) -> Greeting | None:
        """What an SSH server shows, at most so many seconds old; None where the operator asks none. Raises Retry."""
        ...

    def allows_plain_http(self, host: str) -> bool:
        """Whether the operator's settings allow plain http to this public host by name."""
        ...


ResourceT = TypeVar("ResourceT", bound=AnyResource)
ObservedT = TypeVar("ObservedT")


class Controller(Protocol[ResourceT, ObservedT]):
    """What a kind does. `plan`, `uses` and `status` are pure."""

    resource: type[ResourceT]

    def uses(self, resource: ResourceT) -> Uses: ...

    async def observe(self, resource: ResourceT, world: World) -> ObservedT:
        """Reads only. Missing things are facts in the observation, not errors."""
        ...

    def plan(self, resource: ResourceT, observed: ObservedT, now: datetime) -> Plan:
        """All differences, the ordered steps, and what the observation says. For an object that is being deleted: the
        steps that take it away (as deletionPolicy says); no steps and a DONE outcome: the finalizer may go.
        """
        ...

    async def perform(self, step: Step, resource: ResourceT, world: World) -> Outcome:
        """One idempotent external write. Ids of what was made go into the outcome's facts."""
        ...

    def status(self, resource: ResourceT, observed: ObservedT) -> Mapping[str, object]:
        """The kind's own status fields (camelCase, as in the CRD): states and ids, no ages, nothing that moves by
        itself. Keys with None are removed. Under OWN_CONDITIONS: conditions of its own, all of them each time.
        """
        ...
