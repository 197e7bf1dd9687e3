"""The end of a BareMetalServer: with Retain the server keeps everything but the mark; with Delete it leaves its vRack and is not
renewed, which OVHcloud lets be taken back until a day before. A server is never cancelled at once.
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
from sovereigncloud.kinds.baremetalserver.network.private_interface import plan_detach
from sovereigncloud.kinds.baremetalserver.observation import Observed
from sovereigncloud.kinds.baremetalserver.ordering.plan import plan_giving_up
from sovereigncloud.kinds.sovereigncloud.installation.plan import INSTALLED_TAG
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.ovh.account import Ovh, ServerSummary
from sovereigncloud.ports.ovh.orders import Renewal

_RELEASED = "released"
MARK_TAGS = frozenset({OVH_INSTALLATION, OVH_OBJECT, OVH_UID})


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagServer(Step):
    """`lenient`: where it cannot be done the server is let go of all the same."""

    urn: str
    keys: frozenset[str]
    lenient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndServer(Step):
    """The service is not renewed: it ends at its expiration."""

    name: str
    when: str


def plan_release(resource: BareMetalServer, observed: Observed, now: datetime) -> Plan:
    """The next steps of a server whose object is being deleted; empty and done: nothing of ours is on it."""
    if observed.held:
        held = blocked(f"still in use: {'; '.join(observed.held)}", reason=Reason.IN_USE)
        return Plan(outcome=replace(held, after=10.0))
    summary = observed.summary
    if summary is None:
        retained = resource.deletion_policy is DeletionPolicy.RETAIN
        return Plan() if retained or observed.purchase is None else plan_giving_up(observed.purchase)
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
    return Plan(steps=(*_ending(summary, observed.renewal), *release))


def _release(summary: ServerSummary, keys: frozenset[str], *, lenient: bool = False) -> UntagServer:
    return UntagServer(
        action=Action.DELETE,
        target=f"mark of server {summary.service_name}",
        fields=("spec.deletionPolicy",),
        urn=summary.urn,
        keys=keys,
        lenient=lenient,
    )


def _ending(summary: ServerSummary, renewal: Renewal | None) -> tuple[EndServer, ...]:
    """Not renewed any more; what is paid already is used up, and an engagement goes on to its end."""
    if renewal is None or renewal.ends:
        return ()
    when = f"on {renewal.expires}" if renewal.expires else "when what was paid is used up"
    if renewal.committed_until:
        when += f"; it is committed, and to be paid, until {renewal.committed_until}"
    return (
        EndServer(
            action=Action.DELETE,
            target=f"renewal of server {summary.service_name}: it ends {when}",
            fields=("spec.deletionPolicy",),
            name=summary.service_name,
            when=when,
        ),
    )


# --- performing ---


async def perform_release(step: UntagServer | EndServer, client: Ovh) -> Outcome:
    """Each is idempotent."""
    if isinstance(step, EndServer):
        await client.orders.end_at_expiration(step.name)
        return done(Reason.ENDS_AT_EXPIRATION, f"server {step.name} is not renewed: it ends {step.when}")
    name = step.urn.rpartition(":")[2]
    try:
        await client.untag(step.urn, step.keys)
    except OutsideError as error:
        if not step.lenient:
            raise
        message = f"server {name} is let go of with its mark, which could not be removed: {error}"
        return done(Reason.RELEASED, message, **{_RELEASED: "yes"})
    return done(Reason.RELEASED, f"server {name} no longer carries the mark of this installation")
