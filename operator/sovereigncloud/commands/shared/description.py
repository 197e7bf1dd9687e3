"""What is known of one object in the cluster: what it is connected with, what it waits for, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sovereigncloud.api.common.base import PAUSED, RECONCILE_REQUESTED_AT, Condition, Key, Management, Status
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.commands.shared.kind_names import short_name
from sovereigncloud.core.policy import Policy
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.engine.loop.evaluate import AnyController, owner_of, policy_of
from sovereigncloud.kinds.contract.controller import Uses

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Connected:
    """An object beside the described one. `resource` is None where there is none of that name, or it cannot be read."""

    key: Key
    resource: AnyResource | None

    @property
    def ready(self) -> bool:
        return self.resource is not None and is_ready(self.resource)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything that is shown of one object.

    Attributes:
        owner: what composed it.
        uses, composed, users: as the operator knows them; what it composed is not repeated among the users.
        secrets: name -> whether it is there; None: it may not be read.
        events: Kubernetes events about it, newest last; None: they may not be read.
        waits_for: why it is not as declared, from itself down to the cause.
        advice: what to do next, in order.
    """

    resource: AnyResource
    policy: Policy
    now: datetime
    owner: Connected | None = None
    uses: tuple[Connected, ...] = ()
    composed: tuple[Connected, ...] = ()
    users: tuple[Connected, ...] = ()
    secrets: Mapping[str, bool | None] = field(default_factory=dict)
    events: tuple[Json, ...] | None = ()
    waits_for: tuple[tuple[int, str], ...] = ()
    advice: tuple[str, ...] = ()


def is_ready(resource: AnyResource) -> bool:
    """Whether its current generation is reality."""
    status: Status = resource.status
    return status.observed_generation == resource.metadata.generation and status.is_true("Ready")


def main_condition(resource: AnyResource) -> Condition | None:
    """The condition that says most: what is in the way before what is under way."""
    found = (resource.status.condition(kind) for kind in ("Stalled", "Reconciling", "Ready"))
    return next((c for c in found if c is not None), None)


def describe_object(
    key: Key,
    store: Store,
    controllers: Mapping[str, AnyController],
    *,
    now: datetime,
    secrets: Mapping[str, bool | None],
    events: Sequence[Json] | None,
) -> Description:
    """From a store that holds everything that may be read. The object must be in it. Raises pydantic's ValidationError."""
    resource = store.parse(key)
    if resource is None:
        raise KeyError(str(key))
    uses = controllers[key.kind].uses(resource)
    composed = _composed(resource, store)
    owner = owner_of(resource, store)
    users = tuple(c for c in _connected(store.users(key), store) if c.key not in {k.key for k in composed})
    return Description(
        resource,
        policy_of(resource, uses, store),
        now,
        owner=Connected(owner.key, owner) if owner else None,
        uses=_connected(_used(uses, owner), store),
        composed=composed,
        users=users,
        secrets=secrets,
        events=None if events is None else tuple(events),
        waits_for=tuple(_causes(resource, store, controllers, 0, set())),
        advice=tuple(_advice(resource, policy_of(resource, uses, store), secrets)),
    )


def _used(uses: Uses, owner: AnyResource | None) -> list[Key]:
    found = [*((uses.cloud,) if uses.cloud else ()), *uses.objects]
    return [key for key in dict.fromkeys(found) if owner is None or key != owner.key]


def _connected(keys: Any, store: Store) -> tuple[Connected, ...]:
    found = (Connected(key, store.get(key)) for key in keys)
    return tuple(sorted(found, key=lambda c: (c.ready, c.key)))


def _composed(resource: AnyResource, store: Store) -> tuple[Connected, ...]:
    namespace, uid = resource.metadata.namespace, resource.metadata.uid
    keys = []
    for key in store.keys(namespace=namespace):
        child = store.get(key)
        if child is not None and any(r.uid == uid and r.controller for r in child.metadata.owner_references):
            keys.append(key)
    return _connected(keys, store)


# --- why it is not as declared ---------------------------------------------------------------------------------------


def _causes(
    resource: AnyResource, store: Store, controllers: Mapping[str, AnyController], depth: int, seen: set[Key]
) -> list[tuple[int, str]]:
    """The object's own words, then those of what it uses and composed that is not ready either."""
    at_rest = is_ready(resource) and main_condition(resource) == resource.status.condition("Ready")
    if resource.key in seen or at_rest:
        return []
    seen.add(resource.key)
    said = _says(resource)
    lines = [(depth, said if depth == 0 else f"{resource.key}: {said}")]
    uses = controllers[resource.crd.kind].uses(resource)
    beside = [*_connected(_used(uses, None), store), *_composed(resource, store)]
    for connected in beside:
        if connected.resource is None:
            lines.append((depth + 1, f"{connected.key} does not exist, or may not be read"))
        elif not connected.ready:
            lines += _causes(connected.resource, store, controllers, depth + 1, seen)
    return lines


def _says(resource: AnyResource) -> str:
    observed, generation = resource.status.observed_generation, resource.metadata.generation
    if observed is None or observed < 0:
        return "the operator has not looked at it yet"
    condition = main_condition(resource)
    said = f"{condition.reason}: {condition.message}" if condition and condition.message else "no word about it"
    if observed != generation:
        return f"the operator has not looked at generation {generation} yet; of generation {observed} it said {said}"
    return said


# --- what to do next -------------------------------------------------------------------------------------------------


def _advice(resource: AnyResource, policy: Policy, secrets: Mapping[str, bool | None]) -> list[str]:
    """What a person can do, most urgent first; empty: nothing."""
    key, status = resource.key, resource.status
    what = f"{short_name(key.kind)}/{key.name}" + (f" -n {key.namespace}" if key.namespace else "")
    advice: list[str] = []
    if status.observed_generation != resource.metadata.generation:
        advice.append("see that the operator runs and holds its Lease: kubectl get leases,pods -n sovereign-system")
    missing = [name for name, there in secrets.items() if there is False]
    advice += [f"create the Secret {name} in namespace {key.namespace}" for name in missing]
    if resource.paused:
        advice.append(f"let it go on: kubectl annotate {what} {PAUSED}-")
    condition = main_condition(resource)
    reason = condition.reason if condition is not None and condition.type != "Ready" else ""
    advice += _for_reason(reason, what, resource, policy)
    asked = resource.metadata.annotations.get(RECONCILE_REQUESTED_AT)
    if asked and asked != status.last_handled_reconcile_at:
        advice.append(f"a look was asked for ({asked}) and has not happened yet: wait")
    elif reason and not advice:
        stuck = condition is not None and condition.type == "Stalled"
        look = f"kubectl annotate {what} {RECONCILE_REQUESTED_AT}=$(date +%s) --overwrite"
        advice.append(
            f"mend what the message says; to have it looked at at once: {look}"
            if stuck
            else "wait: it goes on by itself"
        )
    return advice


def _for_reason(reason: str, what: str, resource: AnyResource, policy: Policy) -> list[str]:
    plan = resource.status.plan
    match reason:
        case "ApprovalRequired" if plan is not None and _unapproved(policy, plan.hash):
            patch = f'{{"spec":{{"approvedPlan":"{plan.hash}"}}}}'
            return [f"read the plan below, then approve it: kubectl patch {what} --type merge -p '{patch}'"]
        case "ApprovalRequired" if plan is not None:
            needs = dict.fromkeys(step.needs for step in plan.steps if step.needs)
            return [f"if what it disrupts may be disrupted, set {need}" for need in needs]
        case "WaitingForDependency":
            return ["look at what it waits for; it goes on by itself when that is ready"]
        case "InUse":
            return ["delete or move what uses it (see the tree)"]
        case "ManualStepRequired" | "ReplicationLagging" if isinstance(resource, FederatedZone):
            return ["type this, line by line:", *(resource.status.commands or ())]
        case "NotActing":
            return [f"set spec.management: {Management.MANAGE} where the operator may act (its own, or its cloud's)"]
        case "CredentialsRejected":
            return ["correct the values in its Secret; the operator reads it again within a minute"]
        case "ExternallyDeleted":
            return ["set spec.updatePolicy.replace: Allow to have it made anew, or delete this object"]
        case "TooManyChanges":
            return [
                "see whether reality is really so; then set spec.approvedPlan on its SovereignCloud to the hash it names"
            ]
        case _:
            return []


def _unapproved(policy: Policy, digest: str) -> bool:
    return policy.management is Management.APPROVE and policy.approved_plan != digest
