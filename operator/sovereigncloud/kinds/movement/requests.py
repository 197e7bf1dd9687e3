"""The InstanceMigrations that the operator makes itself: of a machine that has to leave, of one whose cloud is lost, of an exit.

Named by whoever asks for it, always the same for the same reason, and applied server-side: asked for twice it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sovereigncloud.api.common.base import API_VERSION, GROUP, DeletionPolicy, Key
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration, MappedNetwork, MigrationMode
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import AnyResource, Context

EXIT_PLAN_LABEL = f"{GROUP}/exit-plan"
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeMove(Step):
    """Not `inside`, though it writes to Kubernetes only: what it asks for is done outside, so that it waits with all else where
    nothing is to be changed there.
    """

    manifest: Mapping[str, object]


def migration(
    name: str,
    instance: Key,
    to: Key,
    *,
    mode: MigrationMode = MigrationMode.EXECUTE,
    network_map: Sequence[MappedNetwork] | None = None,
    source_state: str | None = None,
    fencing: Fencing | None = None,
    exit_plan: Key | None = None,
    owner: AnyResource | None = None,
    deletion_policy: DeletionPolicy | None = None,
) -> Mapping[str, object]:
    """One of them, as it is applied: in the namespace of its instance, and gone with its owner where that is in there, too."""
    spec: dict[str, object] = {
        "instanceRef": {"name": instance.name},
        "to": {"cloudRef": {"name": to.name, "namespace": to.namespace}},
        "mode": str(mode),
    }
    if network_map:
        spec["networkMap"] = [_plain(one) for one in network_map]
    if deletion_policy is not None:
        spec["deletionPolicy"] = str(deletion_policy)
    if source_state is not None:
        spec["sourceState"] = str(source_state)
    if fencing is not None:
        spec["fencing"] = _plain(fencing)
    metadata: dict[str, object] = {"name": name, "namespace": instance.namespace}
    if exit_plan is not None:
        beside = {"namespace": exit_plan.namespace} if exit_plan.namespace != instance.namespace else {}
        spec["exitPlanRef"] = {"name": exit_plan.name, **beside}
        metadata["labels"] = {EXIT_PLAN_LABEL: exit_plan.name[:_LONGEST_LABEL].rstrip("-.")}
    if owner is not None and owner.metadata.namespace == instance.namespace:
        metadata["ownerReferences"] = [_owned_by(owner)]
    return {"apiVersion": API_VERSION, "kind": InstanceMigration.crd.kind, "metadata": metadata, "spec": spec}


async def make_move(step: MakeMove, context: Context) -> Outcome:
    """Asked for once more it is the same object."""
    await context.kubernetes.apply(step.manifest)
    return done(Reason.MIGRATION_CREATED, f"{step.target} was made")


def _owned_by(owner: AnyResource) -> dict[str, object]:
    """It does not hold up the deletion of its owner, so that no right on that is needed."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.crd.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _plain(model: MappedNetwork | Fencing) -> dict[str, object]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
