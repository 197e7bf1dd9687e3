"""What was observed of a HostedInstance and its VM: the values that plans and status read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.placement import (
    NOTHING,
    Decision,
    Demand,
)
from sovereigncloud.kinds.contract.cloud_keys import referred, written_cloud
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.fencing.confirmation import FencingStatus
from sovereigncloud.kinds.hostedinstance.machine.cloud_context import UNKNOWN_SITE, Site
from sovereigncloud.kinds.hostedinstance.machine.copy import Copy
from sovereigncloud.kinds.identity.identification import Identified
from sovereigncloud.kinds.identity.name_resolution import PendingResource
from sovereigncloud.kinds.movement.records import (
    SupersededSource,
)
from sovereigncloud.ports.opennebula.views import CloudView, Image, Vm
from sovereigncloud.sovereignty.facts import Place

CLUSTER_FACT = "cluster"
"""Key in `status.external`: id of the chosen cluster."""


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """Result of placement: the chosen place, or why there is none.

    Attributes:
        cluster: id; None: the cloud has no visible host.
        outcome: why there is no place.
        demand: of the VM in this place.
    """

    decision: Decision
    cloud: Key | None = None
    cluster: int | None = None
    outcome: Outcome | None = None
    demand: Demand = NOTHING


@dataclass(frozen=True, slots=True)
class VmLocation:
    """Location of a VM and its evaluation.

    Attributes:
        cluster: name of the cluster; empty: unknown.
        places: of its host, or of all hosts that it may run on.
        compliant: the condition Compliant; None: no policy binds it.
        leave: why a policy evicts it; empty: none does.
        refused: why nothing new may be created where it is.
        labels: of its cloud.
    """

    cluster: str = ""
    places: tuple[Place, ...] = ()
    compliant: Mapping[str, str] | None = None
    leave: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def country(self) -> str:
        """The country, if there is exactly one."""
        found = {place.country for place in self.places}
        return found.pop() if len(found) == 1 else ""

    @property
    def datacenter(self) -> str:
        found = {place.datacenter for place in self.places}
        return found.pop() if len(found) == 1 else ""


UNKNOWN_LOCATION = VmLocation()


@dataclass(frozen=True, slots=True)
class Relocation:
    """Target of a relocation, or the existing migration.

    Attributes:
        name: of the InstanceMigration.
        chosen: the target; None: the migration exists.
        failed: why the migration failed.
        says: what it waits for.
    """

    name: str
    chosen: PlacementResult | None = None
    failed: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class SupersededVm:
    """The superseded VM. `vm`: None once it no longer carries the mark of the instance."""

    cloud: Key
    came_from: SupersededSource
    vm: Vm | None
    needs: str = ""


@dataclass(frozen=True, slots=True)
class FailoverMigration:
    """The migration that does the failover. `failed`: why it failed; `says`: what it waits for."""

    name: str
    failed: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class FailoverReadiness:
    """Failover readiness of a VM.

    Attributes:
        home: the cloud that it is in.
        lost: start of the outage; empty: the cloud is reachable.
        copies: of the VM.
        copy: that would be used; None: none.
        target: the cloud it would be recreated in; None: none.
        allowed: all clouds that could recreate it.
        refused: why none can.
        proof: whether its cloud is fenced; never while it is reachable.
        provable: whether fencing could be confirmed.
        too_old: whether the copy is older than spec.continuity.rpo.
        move: the failover migration of this outage, if it exists.
        last: the last failover, as in status.
    """

    home: Key
    proof: FencingStatus
    provable: FencingStatus
    lost: str = ""
    copies: tuple[Copy, ...] = ()
    copy: Copy | None = None
    target: Key | None = None
    allowed: tuple[str, ...] = ()
    refused: str = ""
    too_old: bool = False
    move: FailoverMigration | None = None
    last: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class LocatedImage:
    """A retained image and its cloud."""

    cloud: Key
    image: Image


_NEVER_MADE: Identified[Vm] = Identified()


@dataclass(frozen=True)  # without slots, so that one with more to it is made at once (`_with`)
class InstanceObservation:
    """What was seen.

    Attributes:
        mark: what its machine carries.
        cloud: where the machine is, else where it is to be made; None: nowhere.
        wanted: where `spec.placement.cloudRef` says it should be.
        refused: why that cloud may not be used.
        problem: why nothing can be looked at or made.
        view: of `cloud`.
        found: the machine.
        terminated: the recorded machine was asked for by id and is DONE.
        denied: the cloud knows no such id or gives it to nobody of ours; what it answered.
        pending_resources: custom resources that are to bring what the view lacks.
        tenancy: what a Tenant says of its namespace in `cloud`.
        owner: the user that owns what is made for it in the cloud.
        owners: all who may own what is made for its namespace there.
        disk_holders: by the name of a data disk the other instance that still asks for the image that it names.
        now: when it was looked at, where that tells whether a backup is overdue.
        site: what is known of `cloud` beside what is in it.
        chosen: where it is to be made and why there, or why nowhere; None: there was nothing to choose.
        vm_location: of the VM that was found.
        groups_in_use: OpenNebula's names of the VM groups that an object of the namespace names; looked for where one is
            empty.
        moving: the InstanceMigration that has its machine.
        relocation: the move that it makes by itself, if it is to.
        failover: failover readiness, during an outage for the actual failover; only with spec.continuity.
        superseded: a VM of it in another cloud, which must not run.
        kept: copies of it that rehearsals kept, in any cloud; looked for only when it is deleted.
    """

    mark: Mark
    cloud: Key | None = None
    wanted: Key | None = None
    refused: Outcome | None = None
    problem: Outcome | None = None
    view: CloudView | None = None
    found: Identified[Vm] = _NEVER_MADE
    terminated: bool = False
    denied: str = ""
    pending_resources: tuple[PendingResource, ...] = ()
    tenancy: Tenancy | None = None
    owner: int | None = None
    owners: frozenset[int] = frozenset()
    disk_holders: Mapping[str, str] = field(default_factory=dict)
    site: Site = UNKNOWN_SITE
    chosen: PlacementResult | None = None
    vm_location: VmLocation = UNKNOWN_LOCATION
    groups_in_use: frozenset[str] = frozenset()
    moving: str = ""
    relocation: Relocation | None = None
    failover: FailoverReadiness | None = None
    superseded: SupersededVm | None = None
    kept: tuple[LocatedImage, ...] = ()
    now: datetime | None = field(default=None, compare=False)


def _with(seen: InstanceObservation, **more: object) -> InstanceObservation:
    """As `replace`, which takes five times as long: this is done for each of ten thousand machines."""
    made = object.__new__(InstanceObservation)
    vars(made).update(vars(seen), **more)
    return made


def bound_cloud(resource: HostedInstance) -> Key | None:
    """Where its machine is known to be, or is to be made as was decided once."""
    recorded = resource.external.get("cloud")
    if not recorded and resource.status.placement is not None:
        recorded = resource.status.placement.cloud
    return written_cloud(recorded) if recorded else None


def declared_cloud(resource: HostedInstance) -> Key | None:
    """The cloud that `spec.placement.cloudRef` names."""
    placement = resource.spec.placement
    if placement is None or placement.cloud_ref is None:
        return None
    return referred(placement.cloud_ref, resource.metadata.namespace)
