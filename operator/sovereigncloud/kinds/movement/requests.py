"""InstanceMigrations that the operator creates itself: for evictions, failovers and exits.

Their names are derived from the cause and they are applied server-side, so that a retry creates the same object.
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
class RequestMigration(Step):
    """Create an InstanceMigration.

    It counts as an outside change although it only writes to Kubernetes, because its effect is outside: it waits for
    consent or for a dry run to end like any other change.
    """

    manifest: Mapping[str, object]


def migration_manifest(
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
    """Manifest of an InstanceMigration in the namespace of its instance.

    It is owned by `owner` if that is in the same namespace.
    """
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


async def request_migration(step: RequestMigration, context: Context) -> Outcome:
    """Apply the InstanceMigration; repeating it changes nothing."""
    await context.kubernetes.apply(step.manifest)
    return done(Reason.MIGRATION_CREATED, f"{step.target} was made")


def _owned_by(owner: AnyResource) -> dict[str, object]:
    """Owner reference without blockOwnerDeletion, which would need rights on the owner."""
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
