"""Look at one object: observe, plan, decide. The reconcile and the sweep do exactly this; only one of them acts."""

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
"""In `status.external` of what an adopted cloud consists of, once it was as its manifest says or the differences told."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What looking at an object brought.

    Attributes:
        plan: what its kind says.
        decision: what may be done of it.
        fields: the kind's own status fields.
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
    """Observe, plan, decide. Raises what the observation raises.

    Args:
        controller: of the kind.
        resource: looked at.
        context: what the controller may see.
        store: for what it refers to.
        begun: the steps of an approved plan that is being carried out.
        uses: what it refers to, where that was asked already.
        now: the time, where that was asked already.
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


def loss_is_reported(resource: AnyResource) -> bool:
    """Whether its loss was confirmed, perhaps by a process before this one, and only a person can do something about it:
    then it is no news that counts.
    """
    stalled = resource.status.condition("Stalled")
    same = resource.status.observed_generation == resource.metadata.generation
    return same and stalled is not None and stalled.reason == Reason.EXTERNALLY_DELETED


def at_rest(examination: Evaluation) -> bool:
    """Whether all is as declared: nothing to do, nothing that differs, nothing waited for."""
    decision = examination.decision
    idle = not (decision.steps or decision.drift or decision.release or examination.plan.absent)
    return idle and decision.outcome.phase is Phase.DONE


def policy_of(resource: AnyResource, uses: Uses, store: Store) -> Policy:
    """What spec, annotations and the cloud that it is in say about acting."""
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
    """Whether it is an adopted cloud, or composed by one, that was never as declared yet: it stood before its manifest,
    so what differs is drift from the first look on, and driftPolicy says what becomes of it.
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
    """Of a spec: pydantic takes long to say that there is no such attribute, and to list those that there are."""
    return frozenset(spec.model_fields)


def _adopts(resource: AnyResource | None) -> bool:
    hosted = resource.spec.hosted if isinstance(resource, SovereignCloud) else None
    return hosted is not None and hosted.open_nebula.adopt is not None


def _salt(resource: AnyResource) -> str:
    """An approval holds for this spec, and once."""
    spec = resource.spec.model_dump_json(exclude={"approved_plan", "management"}, exclude_none=True)
    return f"{resource.status.last_approved_plan or ''} {spec}"


def owner_of(resource: AnyResource, store: Store) -> AnyResource | None:
    """The object of ours that composed this one, while it is there under that uid."""
    for reference in resource.metadata.owner_references:
        if reference.controller:
            owner = store.get(Key(reference.kind, resource.metadata.namespace, reference.name))
            if owner is not None and owner.metadata.uid == reference.uid:
                return owner
    return None


def gate(resource: AnyResource, uses: Uses, store: Store) -> Outcome:
    """Whether what the object refers to lets it be looked at. DONE: go on."""
    if resource.deleting:
        return _in_use(resource, store)
    if uses.cloud is None:
        return DONE
    cloud = store.get(uses.cloud)
    if uses.elsewhere and not getattr(cloud and cloud.status, "endpoint", None) and _others_answer(uses.cloud, store):
        return DONE
    if cloud is None:
        unread = store.stored(uses.cloud) is not None
        return blocked(f"{uses.cloud} has a spec that cannot be read" if unread else no_such(uses.cloud))
    if cloud.deleting and not resource.finalized:
        return blocked(f"{uses.cloud} is being deleted: nothing new is made in it")
    if not getattr(cloud.status, "endpoint", None):
        ready = cloud.status.condition("Ready")
        why = f" ({ready.reason}: {ready.message})" if ready and ready.message else ""
        return blocked(f"waits for {uses.cloud} to answer{why}")
    return DONE


def _others_answer(cloud: Key, store: Store) -> bool:
    others = (store.get(key) for key in store.keys(SovereignCloud.crd.kind) if key != cloud)
    return any(isinstance(one, SovereignCloud) and one.status.endpoint for one in others)


def _in_use(resource: AnyResource, store: Store) -> Outcome:
    """Order belongs to what is used: it stays until nobody that may still need it outside refers to it. Asked for each
    of a thousand users that go, so none of them is parsed.
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
class Subject:
    """What the status writer must know of an object, also of one that cannot be parsed."""

    generation: int
    paused: bool
    asked: str
    external: Mapping[str, str]

    @staticmethod
    def of(body: Json) -> Subject:
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        return Subject(
            generation=metadata.get("generation", 0),
            paused=annotations.get(PAUSED) == "true",
            asked=annotations.get(RECONCILE_REQUESTED_AT, ""),
            external=(body.get("status") or {}).get("external") or {},
        )

    @staticmethod
    def looked_at(resource: AnyResource, previous: Json) -> Subject:
        """As it was looked at: while that took its time, somebody may have changed it, and a status must not claim to
        speak of a spec that nobody has read.
        """
        return Subject(
            generation=resource.metadata.generation,
            paused=resource.paused,
            asked=resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, ""),
            external=previous.get("external") or {},
        )


def status_patch(
    subject: Subject,
    previous: Json,
    outcome: Outcome,
    *,
    now: datetime,
    examination: Evaluation | None = None,
    facts: Mapping[str, str] | None = None,
    approved: str = "",
) -> Json:
    """The merge patch from the status that was written before to the one that is true now; empty: nothing changed.

    Without an examination (reality could not be looked at) drift, plan and the kind's own fields stay as they were.

    Args:
        subject: what it speaks of.
        previous: the status written before.
        outcome: what the loop came to; its facts are ids outside.
        now: for what changes now.
        examination: what was seen.
        facts: further ids; an empty one removes the key.
        approved: the approval that is being used up.
    """
    stamp = timestamp(now)
    fields = dict(examination.fields) if examination else {}
    own = fields.pop(OWN_CONDITIONS, ()) if examination else None
    drift = examination.decision.drift if examination else None
    if examination is not None and examination.plan.absent and not drift:
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
    if examination is not None:
        decision = examination.decision
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


def said(examination: Evaluation) -> Outcome:
    """What to say of an examination after which nothing was done."""
    outcome = examination.decision.outcome
    drift = [v for v in examination.decision.drift if v.action == "Reported"]
    if outcome.phase is Phase.DONE and drift:
        return replace(outcome, reason=outcome.reason or Reason.DRIFTED, message=differences(drift))
    return outcome
