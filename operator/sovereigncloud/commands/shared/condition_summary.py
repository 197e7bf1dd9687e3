"""The state of an object in a few words, the same in every command. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sovereigncloud.api import (
    BareMetalServer,
    ExitPlan,
    FederatedZone,
    HostedInstance,
    InstanceMigration,
    MachineImage,
    SecurityGroup,
    SovereignCloud,
    SovereigntyPolicy,
    Tenant,
    VirtualNetwork,
)
from sovereigncloud.commands.shared.description import main_condition
from sovereigncloud.engine.cache.store import AnyResource


class Health(StrEnum):
    """What colour it has. The worst that is true."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    STALLED = "Stalled"
    UNKNOWN = "Unknown"  # nobody looked at it yet
    MISSING = "Missing"  # referred to, not there


@dataclass(frozen=True, slots=True)
class State:
    """What there is to say of an object.

    Attributes:
        ready: status of the condition Ready: True, False, Unknown; empty where there is none.
        reason, message: of the condition that says most: what is in the way before what is under way.
        since: when that condition last changed.
        drift: fields that differ from what is declared, without those that are ignored.
        detail: the number that matters for the kind.
    """

    health: Health
    ready: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""
    drift: int = 0
    paused: bool = False
    deleting: bool = False
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """With stable keys."""
        return {
            "health": str(self.health),
            "ready": self.ready,
            "reason": self.reason,
            "message": self.message,
            "since": self.since or None,
            "driftCount": self.drift,
            "paused": self.paused,
            "deleting": self.deleting,
            "detail": self.detail,
        }


def state_of(resource: AnyResource) -> State:
    """In words."""
    status = resource.status
    condition, ready = main_condition(resource), status.condition("Ready")
    current = status.observed_generation == resource.metadata.generation
    said = State(
        Health.UNKNOWN,
        drift=status.drift_count or 0,
        paused=resource.paused,
        deleting=resource.deleting,
        detail=_detail(resource),
    )
    if condition is None or (status.observed_generation or -1) < 0:
        return replace(said, reason="NotLookedAt", message="the operator has not looked at it yet")
    health = Health.STALLED if condition.type == "Stalled" else Health.PROGRESSING
    if condition.type == "Ready" and condition.status == "True" and current and not resource.deleting:
        health = Health.READY
    return replace(
        said,
        health=health,
        ready=str(ready.status) if ready else "",
        reason=condition.reason,
        message=condition.message,
        since=condition.last_transition_time,
    )


def missing() -> State:
    """It is referred to, and not there."""
    return State(Health.MISSING, reason="DoesNotExist", message="it does not exist, or may not be read")


def unreadable() -> State:
    """It is there, and this version does not understand it."""
    return State(Health.UNKNOWN, reason="NotUnderstood", message="it holds what this version does not understand")


def _detail(resource: AnyResource) -> str:
    status = resource.status
    match resource:
        case SovereignCloud():
            parts = [
                status.version and f"OpenNebula {status.version}",
                status.hosts_ready and f"{status.hosts_ready} hosts",
            ]
        case BareMetalServer():
            parts = [status.address, status.region]
        case VirtualNetwork():
            vlan = f"VLAN {resource.spec.vlan_id}" if resource.spec.vlan_id else None
            parts = [resource.spec.public_block or vlan, status.addresses and f"{status.addresses} addresses"]
        case MachineImage() | Tenant():
            parts = [status.clouds_ready and f"{status.clouds_ready} clouds"]
        case SovereigntyPolicy():
            parts = [
                status.compliant and f"{status.compliant} compliant",
                status.clouds and f"{status.clouds} clouds allowed",
            ]
        case SecurityGroup():
            parts = [status.machines and f"{status.machines} machines"]
        case FederatedZone():
            parts = [resource.spec.role, status.zone_id and f"zone {status.zone_id}"]
        case InstanceMigration() | ExitPlan():
            parts = [status.phase, resource.spec.mode, _movement(resource)]
        case HostedInstance():
            parts = [status.state, status.primary_address]
        case _:
            parts = []
    return ", ".join(part for part in parts if part)


def _movement(resource: InstanceMigration | ExitPlan) -> str | None:
    """Of a move where to, of an exit how many could."""
    if isinstance(resource, InstanceMigration):
        return f"to {resource.spec.to.cloud_ref.name}"
    return resource.status.movable and f"{resource.status.movable} could leave"
