"""Tear down what the operator created in an existing OpenNebula, with deletionPolicy Delete.

The OpenNebula itself stays. A hosted one is torn down as a whole, including its parts.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, Phase, retry
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.infrastructure.removal import plan_parts_removal
from sovereigncloud.kinds.sovereigncloud.stores.observation import Stores
from sovereigncloud.kinds.sovereigncloud.stores.plan import plan_stores
from sovereigncloud.ports.opennebula.views import CloudView


def deletes_parts(cloud: SovereignCloud) -> bool:
    """Tell whether deleting the cloud may have to delete parts in an existing OpenNebula."""
    spec = cloud.spec
    declared = spec.stores or spec.clusters or spec.hosts or spec.datastores or cloud.status.stores
    return (
        spec.existing is not None
        and bool(declared and cloud.status.endpoint)
        and (cloud.deletion_policy is DeletionPolicy.DELETE)
    )


def without_parts(cloud: SovereignCloud) -> SovereignCloud:
    """Return a copy of the cloud that declares no parts."""
    nothing = {"stores": None, "clusters": None, "hosts": None, "datastores": None}
    return cloud.model_copy(update={"spec": cloud.spec.model_copy(update=nothing)})


def plan_parts_teardown(
    cloud: SovereignCloud, view: CloudView | None, stores: Stores, mark: Mark, error: str
) -> Plan | None:
    """Plan the deletion of parts; None: nothing is left."""
    if not deletes_parts(cloud):
        return None
    if view is None:
        message = (
            f"cannot read what the operator created in the cloud: {error or 'it does not answer'}. Fix that, or set"
        )
        return Plan(outcome=retry(f"{message} spec.deletionPolicy: Retain to delete only the SovereignCloud object"))
    bare = without_parts(cloud)
    plan = join((*plan_parts_removal(bare, view, mark), plan_stores(bare, stores, mark)))
    if plan.steps or plan.outcome.phase is not Phase.DONE:
        return replace(plan, outcome=_unavailable(plan.outcome))
    return None


def _unavailable(outcome: Outcome) -> Outcome:
    """Mark the outcome as not available: the cloud is being deleted."""
    return replace(outcome, available=False)
