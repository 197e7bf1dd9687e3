"""Outage tolerance: how long a cloud may be unreachable before failover starts. Pure."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.hostedinstance import HostedInstance

DEFAULT = 300


def toleration_seconds(instance: HostedInstance) -> int:
    """Outage tolerance of an instance, in seconds."""
    continuity = instance.spec.continuity
    given = continuity.toleration_seconds if continuity is not None else None
    return DEFAULT if given is None else given


def seconds_until_failover(instance: HostedInstance, since: str, now: datetime) -> float:
    """Seconds until failover starts; 0 once the tolerance has passed."""
    return max(toleration_seconds(instance) - (now - datetime.fromisoformat(since)).total_seconds(), 0.0)


def is_overdue(instance: HostedInstance, since: str, now: datetime) -> bool:
    return seconds_until_failover(instance, since, now) <= 0
