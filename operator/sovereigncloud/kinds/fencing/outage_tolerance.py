"""How long a machine bears that its cloud does not answer. Pure."""

from __future__ import annotations

from datetime import datetime

from sovereigncloud.api.hostedinstance import HostedInstance

DEFAULT = 300


def tolerated(instance: HostedInstance) -> int:
    """Seconds."""
    continuity = instance.spec.continuity
    given = continuity.toleration_seconds if continuity is not None else None
    return DEFAULT if given is None else given


def until_overdue(instance: HostedInstance, since: str, now: datetime) -> float:
    """Seconds that are left; 0: it has been borne long enough."""
    return max(tolerated(instance) - (now - datetime.fromisoformat(since)).total_seconds(), 0.0)


def overdue(instance: HostedInstance, since: str, now: datetime) -> bool:
    return until_overdue(instance, since, now) <= 0
