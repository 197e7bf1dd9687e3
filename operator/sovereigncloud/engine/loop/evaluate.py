"""Evaluation of one object: observe, plan, decide. Shared by reconcile and sweep; only a reconcile acts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, cast

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import PAUSED, RECONCILE_REQUESTED_AT, Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.conditions import (
    conditions,
    differences,
    drift_count,
    drift_entries,
    merge_patch,
    plain,
    plan_status,
    says,
    timestamp,
)
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.core.policy import Decision, Policy, decide, stricter
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Controller, Uses
from sovereigncloud.kinds.endpoint.clouds import no_such

Json = dict[str, Any]
AnyController = Controller[Any, Any]

TAKEN_OVER = "takenOver"
"""Key in `status.external` of an adopted cloud's objects: set once they matched their manifest or drift was reported.
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of evaluating one object.

    Attributes:
        plan: of its kind.
        decision: what may be done of the plan.
        fields: status fields of the kind.
    """

    plan: Plan
    decision: Decision
    fields: Mapping[str, object]


async def evaluate(
    controller: AnyController,
    resource: AnyResource,
    context: Context,
    store: Store,
    *,
    begun: tuple[Step, ...] = (),
    uses: Uses | None = None,
    now: datetime | None = None,
) -> Evaluation:
    """Observe, plan and decide. Raises what the observation raises.

    Args:
        controller: of the kind.
        resource: to be evaluated.
        context: what the controller may read.
        store: for its references.
        begun: steps of an approved plan that is being carried out.
        uses: its references, when already known.
        now: current time, when already known.
    """
    observed = await controller.observe(resource, context)
    plan = controller.plan(resource, observed, context.now if now is None else now)
    taken_over = is_being_taken_over(resource, store)
    policy = _policy(resource, controller.uses(resource) if uses is None else uses, store, taken_over=taken_over)
    if begun:
        policy = replace(policy, begun=begun)
    decision = decide(plan, policy)
    looks = policy.management is Management.OBSERVE or policy.paused
    if (
        taken_over
        and decision.outcome.phase is Phase.DONE
        and not decision.steps
        and not (looks and _is_adopted_by_id(resource))
    ):
        decision = replace(decision, outcome=decision.outcome.with_facts(**{TAKEN_OVER: "yes"}))
    return Evaluation(plan, decision, controller.status(resource, observed))


def is_loss_reported(resource: AnyResource) -> bool:
    """Return whether the loss of the object was confirmed, perhaps by an earlier process, and needs a person.

    Such a loss does not count for the change limits again.
    """
    stalled = resource.status.condition("Stalled")
    same = resource.status.observed_generation == resource.metadata.generation
    return same and stalled is not None and stalled.reason == Reason.EXTERNALLY_DELETED


def at_rest(evaluation: Evaluation) -> bool:
    """Return whether the object matches its spec: no step, no drift, nothing to wait for."""
    decision = evaluation.decision
    idle = not (decision.steps or decision.drift or decision.release or evaluation.plan.absent)
    return idle and decision.outcome.phase is Phase.DONE


def policy_of(resource: AnyResource, uses: Uses, store: Store) -> Policy:
    """Return the decision policy from spec, annotations and the object's cloud."""
    return _policy(resource, uses, store, taken_over=is_being_taken_over(resource, store))


def _policy(resource: AnyResource, uses: Uses, store: Store, *, taken_over: bool) -> Policy:
    owner = owner_of(resource, store)
    cloud = store.get(uses.cloud) if uses.cloud else None
    wishes = [one.spec.management for one in (resource, cloud, owner) if one is not None]
    management = stricter(*wishes)
    adopting = taken_over and _is_adopted_by_id(resource)
    return Policy(
        management=management,
        approved_plan=resource.spec.approved_plan or "",
        salt="" if management is Management.MANAGE and not (resource.paused or adopting) else _salt(resource),
        paused=resource.paused,
        settled=resource.settled or taken_over,
        deleting=resource.deleting,
        adopting=adopting,
        # What a cloud says of drift holds for what it composed, which has no manifest of its own to say it in.
        drift_policy=resource.spec.drift_policy or (owner.spec.drift_policy if owner else None),
    )


def is_being_taken_over(resource: AnyResource, store: Store) -> bool:
    """Return whether it is, or belongs to, an adopted cloud that never matched its manifest so far.

    Every difference is then drift, and driftPolicy decides what happens to it.
    """
    if resource.deleting or TAKEN_OVER in resource.external:
        return False
    return _is_adopted_by_id(resource) or _adopts(resource) or _adopts(owner_of(resource, store))


def _is_adopted_by_id(resource: AnyResource) -> bool:
    fields = _fields(cast(Hashable, type(resource.spec)))
    if "adopt" in fields and resource.spec.adopt is not None:
        return True
    refs = resource.spec.cloud_refs if "cloud_refs" in fields else None
    return refs is not None and any(getattr(one, "adopt", None) is not None for one in refs)


@cache
def _fields(spec: Any) -> frozenset[str]:
    """Return the field names of a spec, cached: asking pydantic is slow."""
    return frozenset(spec.model_fields)


def _adopts(resource: AnyResource | None) -> bool:
    hosted = resource.spec.hosted if isinstance(resource, SovereignCloud) else None
    return hosted is not None and hosted.open_nebula.adopt is not None


def _salt(resource: AnyResource) -> str:
    """Return the salt that limits an approval to this spec and to one use."""
    spec = resource.spec.model_dump_json(exclude={"approved_plan", "management"}, exclude_none=True)
    return f"{resource.status.last_approved_plan or ''} {spec}"


def owner_of(resource: AnyResource, store: Store) -> AnyResource | None:
    """Return the owner of the operator's kinds that composed this object, if it exists under that UID."""
    for reference in resource.metadata.owner_references:
        if reference.controller:
            owner = store.get(Key(reference.kind, resource.metadata.namespace, reference.name))
            if owner is not None and owner.metadata.uid == reference.uid:
                return owner
    return None


def gate(resource: AnyResource, uses: Uses, store: Store) -> Outcome:
    """Return whether the references of an object allow its evaluation. DONE: continue."""
    if resource.deleting:
        return _in_use(resource, store)
    if uses.cloud is None:
        return DONE
    cloud = store.get(uses.cloud)
    if uses.elsewhere and not getattr(cloud and cloud.status, "endpoint", None) and _others_answer(uses.cloud, store):
        return DONE
    if cloud is None:
        unread = store.stored(uses.cloud) is not None
        return blocked(f"{uses.cloud} has an invalid spec: correct it first" if unread else no_such(uses.cloud))
    if cloud.deleting and not resource.finalized:
        return blocked(f"{uses.cloud} is being deleted: nothing new is created in it")
    if not getattr(cloud.status, "endpoint", None):
        ready = cloud.status.condition("Ready")
        why = f" ({ready.reason}: {ready.message})" if ready and ready.message else ""
        return blocked(f"waits for {uses.cloud} to answer{why}")
    return DONE


def _others_answer(cloud: Key, store: Store) -> bool:
    others = (store.get(key) for key in store.keys(SovereignCloud.crd.kind) if key != cloud)
    return any(isinstance(one, SovereignCloud) and one.status.endpoint for one in others)


def _in_use(resource: AnyResource, store: Store) -> Outcome:
    """Block the deletion of an object that others still use.

    It is checked for each of a thousand users that are deleted, so none of them is parsed.
    """
    users = ((key, store.stored(key)) for key in store.users(resource.key))
    names = sorted(
        str(key)
        for key, user in users
        if user is not None and (user.finalized or not user.deleting) and resource.metadata.uid not in user.owners
    )
    if not names:
        return DONE
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return blocked(f"in use by {shown}: delete or move them first", reason=Reason.IN_USE)


@dataclass(frozen=True, slots=True)
class StatusTarget:
    """Fields of an object that a status write needs, also of one that cannot be parsed."""

    generation: int
    paused: bool
    asked: str
    external: Mapping[str, str]

    @staticmethod
    def of(body: Json) -> StatusTarget:
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        return StatusTarget(
            generation=metadata.get("generation", 0),
            paused=annotations.get(PAUSED) == "true",
            asked=annotations.get(RECONCILE_REQUESTED_AT, ""),
            external=(body.get("status") or {}).get("external") or {},
        )

    @staticmethod
    def looked_at(resource: AnyResource, previous: Json) -> StatusTarget:
        """Return the target as it was evaluated.

        The object may have changed since, and a status must not refer to a generation that was not evaluated.
        """
        return StatusTarget(
            generation=resource.metadata.generation,
            paused=resource.paused,
            asked=resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, ""),
            external=previous.get("external") or {},
        )


def status_patch(
    subject: StatusTarget,
    previous: Json,
    outcome: Outcome,
    *,
    now: datetime,
    evaluation: Evaluation | None = None,
    facts: Mapping[str, str] | None = None,
    approved: str = "",
) -> Json:
    """Return the merge patch from the previous status to the current one; empty: unchanged.

    Without an evaluation (reality could not be read) drift, plan and the fields of the kind stay as they were.

    Args:
        subject: the object.
        previous: the status written before.
        outcome: of the reconcile; its facts are external ids.
        now: timestamp of changes.
        evaluation: of the object.
        facts: further ids; an empty one removes the key.
        approved: the approval that is being used up.
    """
    stamp = timestamp(now)
    fields = dict(evaluation.fields) if evaluation else {}
    own = fields.pop(OWN_CONDITIONS, ()) if evaluation else None
    drift = evaluation.decision.drift if evaluation else None
    if evaluation is not None and evaluation.plan.absent and not drift:
        # An absence that nobody confirmed says nothing of drift, and what was said stays: else the object would look as
        # if it had never been there, and would be made anew although driftPolicy only reports.
        drift = None
    wanted: Json = {"observedGeneration": subject.generation}
    wanted["conditions"] = conditions(
        outcome,
        drift,
        previous,
        generation=subject.generation,
        paused=subject.paused,
        now=stamp,
        own=cast("Sequence[Json] | None", own),
    )
    if evaluation is not None:
        decision = evaluation.decision
        if drift is not None:
            wanted["drift"] = drift_entries(drift, previous, stamp) or None
            wanted["driftCount"] = drift_count(drift) or None
        wanted["plan"] = plan_status(decision.published, decision.hash)
        wanted.update(fields)
    news = {**outcome.facts, **facts} if facts else outcome.facts
    # Where there is none it is the very value that was written: it was written without empty ones.
    external = {k: v for k, v in {**subject.external, **news}.items() if v} if news else subject.external
    wanted["external"] = external or None
    if subject.asked:
        wanted["lastHandledReconcileAt"] = subject.asked
    if approved:
        wanted["lastApprovedPlan"] = approved
    if says(previous, wanted):
        return {}
    kept = {k: v for k, v in previous.items() if k not in wanted and v is not None}
    return merge_patch(previous, {**kept, **plain(wanted)})


def said(evaluation: Evaluation) -> Outcome:
    """Return the outcome to report when no step is done."""
    outcome = evaluation.decision.outcome
    drift = [v for v in evaluation.decision.drift if v.action == "Reported"]
    if outcome.phase is Phase.DONE and drift:
        return replace(outcome, reason=outcome.reason or Reason.DRIFTED, message=differences(drift))
    return outcome
