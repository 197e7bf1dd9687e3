"""Clouds that may hold the machine of an object of which nothing is recorded, and that did not say yet.

A Kubernetes cluster that is rebuilt is given every object anew and knows of no machine until its cloud answers. To make the machine
elsewhere meanwhile would be to make a second one; to let the object go would be to leave the first one behind.
"""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where

BEFORE_ANYTHING_RUNS = frozenset({"Servers", "vRack", "Installing"})
"""Phases of a cloud in which nothing was ever installed."""


def may_hold_unrecorded(cloud: object) -> bool:
    """Whether it has not answered since it was declared here, and may have been in use before that."""
    if not isinstance(cloud, SovereignCloud) or cloud.status.endpoint or cloud.deleting:
        return False
    hosted = cloud.spec.hosted
    built = hosted is not None and hosted.open_nebula.install is not None
    return not (built and cloud.status.phase in BEFORE_ANYTHING_RUNS)


def waits_for_unheard(resource: HostedInstance, context: Context, target: Key | None) -> Outcome | None:
    """Why nothing is made or let go yet. A cloud that is named in spec is where the machine is: then no other is waited for.

    Args:
        resource: whose machine was found nowhere, and of which nothing is recorded.
        context: to look in.
        target: where it is to be made, if that is known: what that one lacks is told by itself.
    """
    placement = resource.spec.placement
    if placement is not None and placement.cloud_ref is not None:
        return None
    clouds = (key for key in context.clouds(resource.metadata.namespace) if key != target)
    unheard = [f"SovereignCloud {where(key)}" for key in clouds if may_hold_unrecorded(context.get(key))]
    if not unheard:
        return None
    what = (
        "it waits for the answer; spec.deletionPolicy: Retain lets this object go without it"
        if resource.deleting
        else "it waits for the answer. Name the cloud that it is to be in in spec.placement.cloudRef to have it made at once,"
        " or delete the SovereignCloud if it is no more"
    )
    several = len(unheard) > 1
    return blocked(
        f"{' and '.join(unheard)} {'have' if several else 'has'} not answered since {'they were' if several else 'it was'} declared"
        f" here, and nothing is recorded of this object, so its machine may be there: {what}"
    )
