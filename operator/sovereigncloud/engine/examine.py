"""Look at one object: observe, plan, decide. The reconcile and the sweep do exactly this; only one of them acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.base import PAUSED, RECONCILE_REQUESTED_AT, Key, Management
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.conditions import (
    conditions,
    differences,
    drift_count,
    drift_entries,
    merge_patch,
    plain,
    plan_status,
    timestamp,
)
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.core.policy import Decision, Policy, decide, stricter
from sovereigncloud.engine.store import AnyResource, Store
from sovereigncloud.kinds.controller import OWN_CONDITIONS, Controller, Uses, World

Json = dict[str, Any]
AnyController = Controller[Any, Any]

TAKEN_OVER = "takenOver"
"""In `status.external` of what an adopted cloud consists of, once it was as its manifest says or the differences told."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What looking at an object brought.

    Attributes:
        plan: what its kind says.
        decision: what may be done of it.
        fields: the kind's own status fields.
    """

    plan: Plan
    decision: Decision
    fields: Mapping[str, object]


async def examine(
    controller: AnyController, resource: AnyResource, world: World, store: Store, *, begun: tuple[Step, ...] = ()
) -> Examination:
    """Observe, plan, decide. Raises what the observation raises.

    Args:
        controller: of the kind.
        resource: looked at.
        world: what the controller may see.
        store: for what it refers to.
        begun: the steps of an approved plan that is being carried out.
    """
    observed = await controller.observe(resource, world)
    plan = controller.plan(resource, observed, world.now)
    policy = policy_of(resource, controller.uses(resource), store)
    if begun:
        policy = replace(policy, begun=begun)
    decision = decide(plan, policy)
    if decision.outcome.phase is Phase.DONE and not decision.steps and is_being_taken_over(resource, store):
        decision = replace(decision, outcome=decision.outcome.with_facts(**{TAKEN_OVER: "yes"}))
    return Examination(plan, decision, controller.status(resource, observed))


def policy_of(resource: AnyResource, uses: Uses, store: Store) -> Policy:
    """What spec, annotations and the cloud that it is in say about acting."""
    owner = owner_of(resource, store)
    above = [store.get(uses.cloud) if uses.cloud else None, owner]
    wishes = [resource.spec.management, *(a.spec.management for a in above if a is not None)]
    management = stricter(*wishes)
    return Policy(
        management=management,
        approved_plan=resource.spec.approved_plan or "",
        salt="" if management is Management.MANAGE and not resource.paused else _salt(resource),
        paused=resource.paused,
        settled=resource.settled or is_being_taken_over(resource, store),
        deleting=resource.deleting,
        # What a cloud says of drift holds for what it composed, which has no manifest of its own to say it in.
        drift_policy=resource.spec.drift_policy or (owner.spec.drift_policy if owner else None),
    )


def is_being_taken_over(resource: AnyResource, store: Store) -> bool:
    """Whether it is an adopted cloud, or composed by one, that was never as declared yet: it stood before its manifest,
    so what differs is drift from the first look on, and driftPolicy says what becomes of it.
    """
    owner = owner_of(resource, store)
    adopts = any(_adopts(one) for one in (resource, owner))
    return adopts and not resource.deleting and TAKEN_OVER not in resource.external


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
    if cloud is None:
        there = store.stored(uses.cloud) is not None
        remedy = "has a spec that cannot be read" if there else "does not exist: create it, or correct the reference"
        return blocked(f"{uses.cloud} {remedy}")
    if cloud.deleting and not resource.finalized:
        return blocked(f"{uses.cloud} is being deleted: nothing new is made in it")
    if not getattr(cloud.status, "endpoint", None):
        ready = cloud.status.condition("Ready")
        why = f" ({ready.reason}: {ready.message})" if ready and ready.message else ""
        return blocked(f"waits for {uses.cloud} to answer{why}")
    return DONE


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
    examination: Examination | None = None,
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
    wanted: Json = {**previous, "observedGeneration": subject.generation}
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
    external = {**subject.external, **outcome.facts, **(facts or {})}
    wanted["external"] = {k: v for k, v in external.items() if v} or None
    if subject.asked:
        wanted["lastHandledReconcileAt"] = subject.asked
    if approved:
        wanted["lastApprovedPlan"] = approved
    return merge_patch(previous, plain(wanted))


def said(examination: Examination) -> Outcome:
    """What to say of an examination after which nothing was done."""
    outcome = examination.decision.outcome
    drift = [v for v in examination.decision.drift if v.action == "Reported"]
    if outcome.phase is Phase.DONE and drift:
        return replace(outcome, reason=outcome.reason or Reason.DRIFTED, message=differences(drift))
    return outcome
