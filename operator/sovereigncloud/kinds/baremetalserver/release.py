"""Release of a BareMetalServer when its object is deleted.

With Retain the operator only removes its mark. With Delete it detaches the server from its vRack and stops the
renewal, which OVHcloud allows to be reverted until one day before the end. A server is never cancelled immediately.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import OVH_INSTALLATION, OVH_OBJECT, OVH_UID, is_half_removed
from sovereigncloud.core.outcome import Outcome, Phase, blocked, done
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.baremetalserver.installation_tag import INSTALLED_TAG
from sovereigncloud.kinds.baremetalserver.network.private_interface import plan_detach
from sovereigncloud.kinds.baremetalserver.observation import ServerObservation
from sovereigncloud.kinds.baremetalserver.ordering.plan import plan_abandoned_purchase
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.ovh.account import Ovh, ServerSummary
from sovereigncloud.ports.ovh.orders import Renewal

_RELEASED = "released"
MARK_TAGS = frozenset({OVH_INSTALLATION, OVH_OBJECT, OVH_UID})


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagServer(Step):
    """Remove tags of this installation; `lenient`: a failure does not block the deletion."""

    urn: str
    keys: frozenset[str]
    lenient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRenewal(Step):
    """Stop the renewal: the service ends at its expiration."""

    name: str
    when: str


def plan_release(resource: BareMetalServer, observed: ServerObservation, now: datetime) -> Plan:
    """Plan the release of a server; empty and done: it carries nothing of this installation."""
    if observed.held:
        held = blocked(f"still in use: {'; '.join(observed.held)}", reason=Reason.IN_USE)
        return Plan(outcome=replace(held, after=10.0))
    summary = observed.summary
    if summary is None:
        retained = resource.deletion_policy is DeletionPolicy.RETAIN
        return Plan() if retained or observed.purchase is None else plan_abandoned_purchase(observed.purchase)
    if not observed.is_ours and not is_half_removed(summary.tags, observed.mark):
        return Plan()
    if resource.deletion_policy is DeletionPolicy.RETAIN:
        if resource.external.get(_RELEASED):
            return Plan()
        return Plan(steps=(_release(summary, MARK_TAGS, lenient=True),))
    detach = plan_detach(resource, observed.vrack, now)
    if detach.steps or detach.outcome.phase is not Phase.DONE:
        return detach
    keys = MARK_TAGS | {INSTALLED_TAG}
    release = (_release(summary, keys),) if keys & summary.tags.keys() else ()
    return Plan(steps=(*_stop_renewal(summary, observed.renewal), *release))


def _release(summary: ServerSummary, keys: frozenset[str], *, lenient: bool = False) -> UntagServer:
    return UntagServer(
        action=Action.DELETE,
        target=f"mark of server {summary.service_name}",
        fields=("spec.deletionPolicy",),
        urn=summary.urn,
        keys=keys,
        lenient=lenient,
    )


def _stop_renewal(summary: ServerSummary, renewal: Renewal | None) -> tuple[StopRenewal, ...]:
    """Build the step that stops the renewal.

    The paid period is used up, and a commitment runs to its end.
    """
    if renewal is None or renewal.ends:
        return ()
    when = f"on {renewal.expires}" if renewal.expires else "when what was paid is used up"
    if renewal.committed_until:
        when += f"; it is committed, and to be paid, until {renewal.committed_until}"
    return (
        StopRenewal(
            action=Action.DELETE,
            target=f"renewal of server {summary.service_name}: it ends {when}",
            fields=("spec.deletionPolicy",),
            name=summary.service_name,
            when=when,
        ),
    )


# --- performing ---


async def perform_release(step: UntagServer | StopRenewal, client: Ovh) -> Outcome:
    """Perform one release step; each is idempotent."""
    if isinstance(step, StopRenewal):
        await client.orders.end_at_expiration(step.name)
        return done(Reason.ENDS_AT_EXPIRATION, f"server {step.name} is not renewed: it ends {step.when}")
    name = step.urn.rpartition(":")[2]
    try:
        await client.untag(step.urn, step.keys)
    except OutsideError as error:
        if not step.lenient:
            raise
        message = f"server {name} is released with its mark, which could not be removed: {error}"
        return done(Reason.RELEASED, message, **{_RELEASED: "yes"})
    return done(Reason.RELEASED, f"server {name} no longer carries the mark of this installation")
