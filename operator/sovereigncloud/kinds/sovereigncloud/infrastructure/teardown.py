"""The end of an OpenNebula elsewhere with deletionPolicy Delete: what the operator made in it goes, once nobody uses it.

The OpenNebula itself stays, whoever it is. A hosted one goes as a whole, and its parts with it.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, Phase, retry
from sovereigncloud.core.plan import Plan
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.infrastructure.removal import plan_parts_leaving
from sovereigncloud.kinds.sovereigncloud.stores.observation import Stores
from sovereigncloud.kinds.sovereigncloud.stores.plan import plan_stores
from sovereigncloud.ports.opennebula.views import CloudView


def ends_parts(cloud: SovereignCloud) -> bool:
    """Whether there may be something of the operator's in it that is to go."""
    spec = cloud.spec
    declared = spec.stores or spec.clusters or spec.hosts or spec.datastores or cloud.status.stores
    return (
        spec.existing is not None
        and bool(declared and cloud.status.endpoint)
        and (cloud.deletion_policy is DeletionPolicy.DELETE)
    )


def without_parts(cloud: SovereignCloud) -> SovereignCloud:
    """The cloud as if it declared none."""
    nothing = {"stores": None, "clusters": None, "hosts": None, "datastores": None}
    return cloud.model_copy(update={"spec": cloud.spec.model_copy(update=nothing)})


def plan_parts_end(
    cloud: SovereignCloud, view: CloudView | None, stores: Stores, mark: Mark, error: str
) -> Plan | None:
    """The next steps, or what is waited for; None: nothing is left."""
    if not ends_parts(cloud):
        return None
    if view is None:
        message = f"cannot tell what the operator made in it: {error or 'it does not answer'}; set spec.deletionPolicy: Retain to"
        return Plan(outcome=retry(f"{message} let go of the cloud and leave everything as it is"))
    bare = without_parts(cloud)
    plan = join((*plan_parts_leaving(bare, view, mark), plan_stores(bare, stores, mark)))
    if plan.steps or plan.outcome.phase is not Phase.DONE:
        return replace(plan, outcome=_waits(plan.outcome))
    return None


def _waits(outcome: Outcome) -> Outcome:
    """Of what is being deleted nothing is available."""
    return replace(outcome, available=False)
