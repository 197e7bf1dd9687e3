"""Detect clouds that may already run this instance's VM but have not been observed yet.

A rebuilt Kubernetes cluster gets every object anew and knows of no VM until its cloud answers. Creating the VM
elsewhere meanwhile would duplicate it; deleting the object would leave it behind.
"""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context

PHASES_BEFORE_OPENNEBULA = frozenset({"Servers", "vRack", "Installing"})
"""Phases of a cloud before OpenNebula is installed."""


def may_run_unobserved(cloud: object) -> bool:
    """Whether a cloud was not reached since it was declared here, but may be in use already."""
    if not isinstance(cloud, SovereignCloud) or cloud.status.endpoint or cloud.deleting:
        return False
    hosted = cloud.spec.hosted
    built = hosted is not None and hosted.open_nebula.install is not None
    return not (built and cloud.status.phase in PHASES_BEFORE_OPENNEBULA)


def wait_for_unobserved_clouds(resource: HostedInstance, context: Context, target: Key | None) -> Outcome | None:
    """Wait for clouds that may already run the VM; None if there is none.

    If spec names a cloud, no other one is waited for.

    Args:
        resource: an instance without a recorded or observed VM.
        context: the reconcile context.
        target: the cloud to create it in, if known; its own state is reported separately.
    """
    placement = resource.spec.placement
    if placement is not None and placement.cloud_ref is not None:
        return None
    clouds = (key for key in context.clouds(resource.metadata.namespace) if key != target)
    unheard = [f"SovereignCloud {where(key)}" for key in clouds if may_run_unobserved(context.get(key))]
    if not unheard:
        return None
    remedy = (
        "Set spec.deletionPolicy: Retain to let this object go without it"
        if resource.deleting
        else "Set spec.placement.cloudRef to create the VM now, or delete the SovereignCloud if it no longer exists"
    )
    return blocked(
        f"waiting for {' and '.join(unheard)}: not reached since declared here, and may already run this VM, of which nothing is"
        f" recorded. {remedy}"
    )
