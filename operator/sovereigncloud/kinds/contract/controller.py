"""The seam: what a kind is. A new kind is one model, one controller module, one table of tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sovereigncloud.api.common.base import Key, Resource
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.ports.installer.installation import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh
from sovereigncloud.ports.ssh import Greeting
from sovereigncloud.sovereignty.rules import Rules
from sovereigncloud.sovereignty.verdict import Judged

if TYPE_CHECKING:
    from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts

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
        reach: its status says whether its cloud is reached, so it is looked at as soon as that does not answer; of all
            else in a cloud only what was there is known, and stays.
        elsewhere: it may be in another cloud than the one it names, so it looks there though that one does not answer: an exit
            left it for good, and a rebuilt cluster knows of neither.
    """

    cloud: Key | None = None
    objects: tuple[Key, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    reach: bool = False
    elsewhere: bool = False


class Context(Protocol):
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
        """The SovereignClouds that a namespace may use and that are not being deleted: its own, and those that a Tenant
        lists for it.
        """
        ...

    def tenancy(self, namespace: str, cloud: Key) -> Tenancy | None:
        """What a Tenant says of a namespace in a cloud; None: none lists both, nor has anything of theirs there."""
        ...

    def policies(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        """The rules of the SovereigntyPolicies that bind what is of a namespace in a cloud, as of today."""
        ...

    def judged(self, policy: str) -> tuple[Judged, ...]:
        """What a policy binds and was judged."""
        ...

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:
        """Each set of policies, this one among them, that bind together what is in some namespace and some cloud."""
        ...

    def everything(self, kind: str) -> tuple[AnyResource, ...]:
        """All objects of a kind of which there are few: each one is parsed."""
        ...

    def inhabitants(self, cloud: Key) -> tuple[InstanceFacts, ...]:
        """The HostedInstances with a machine in a cloud, as far as leaving it is concerned, by name. None of them is parsed that
        was before.
        """
        ...

    def promise(self, cloud: Key, promise: Reservation) -> None:
        """A machine is being made there: until it shows in a view, others that are placed count it."""
        ...

    def promised(self, cloud: Key, began: float) -> tuple[Reservation, ...]:
        """What was promised there and may not show in a view that began then."""
        ...

    def distance(self, one: Key, other: Key) -> float | None:
        """Milliseconds there and back between the sites of two clouds; None: nobody measured it."""
        ...

    @property
    def own_namespace(self) -> str:
        """Where the operator runs, and keeps the Secrets that it generates for tenants."""
        ...

    async def has_secret(self, namespace: str, name: str) -> bool | None:
        """Whether a Secret is there; None: nobody looks now, since only what was read is compared."""
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

    def silent_since(self, cloud: Key) -> datetime | None:
        """Since when a cloud does not answer, once several reads in a row were not answered; None: it does, or one failed."""
        ...

    async def open_nebula(self, cloud: Key) -> OpenNebula:
        """The client of a cloud. Raises MissingSecret, OutsideError."""
        ...

    async def open_nebula_with(self, cloud: Key, secret: str) -> OpenNebula:
        """The client of a cloud with the credential of another Secret in its namespace: users may be another cloud's since it
        joined a federation. Raises MissingSecret, OutsideError.
        """
        ...

    async def open_nebula_for(
        self,
        cloud: Key,
        namespace: str,
        vm: int | None = None,
        security_group: int | None = None,
        *,
        anew: bool = False,
    ) -> OpenNebula:
        """The client that makes what is in a namespace: as the user that a Tenant gave it, else as the cloud's
        administrator. With a machine or a security group: as who owns it, which is the administrator where it is older than
        the Tenant. Anew: with the password as it stands in the user's Secret now, which may have been made again under its
        name. Raises MissingSecret, OutsideError.
        """
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

    async def observe(self, resource: ResourceT, context: Context) -> ObservedT:
        """Reads only. Missing things are facts in the observation, not errors."""
        ...

    def plan(self, resource: ResourceT, observed: ObservedT, now: datetime) -> Plan:
        """All differences, the ordered steps, and what the observation says. For an object that is being deleted: the
        steps that take it away (as deletionPolicy says); no steps and a DONE outcome: the finalizer may go.
        """
        ...

    async def perform(self, step: Step, resource: ResourceT, context: Context) -> Outcome:
        """One idempotent external write. Ids of what was made go into the outcome's facts."""
        ...

    def status(self, resource: ResourceT, observed: ObservedT) -> Mapping[str, object]:
        """The kind's own status fields (camelCase, as in the CRD): states and ids, no ages, nothing that moves by
        itself. Keys with None are removed. Under OWN_CONDITIONS: conditions of its own, all of them each time.
        """
        ...
