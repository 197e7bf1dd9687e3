"""Outage tolerance: how long a cloud may be unreachable before failover starts. Pure."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.hostedinstance import HostedInstance

DEFAULT = 300


def tolerated(instance: HostedInstance) -> int:
    """Outage tolerance of an instance, in seconds."""
    continuity = instance.spec.continuity
    given = continuity.toleration_seconds if continuity is not None else None
    return DEFAULT if given is None else given


def until_overdue(instance: HostedInstance, since: str, now: datetime) -> float:
    """Seconds until failover starts; 0 once the tolerance has passed."""
    return max(tolerated(instance) - (now - datetime.fromisoformat(since)).total_seconds(), 0.0)


def overdue(instance: HostedInstance, since: str, now: datetime) -> bool:
    return until_overdue(instance, since, now) <= 0
