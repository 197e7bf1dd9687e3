"""Looking at an exit: what is left, what could leave it, and how far each machine is that does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.exitplan import ExitMode, ExitPlan
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode, SourceState
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.exit import NOBODY, Blocker, Estimate
from sovereigncloud.core.outcome import Outcome, blocked, retry, stalled
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import no_such, not_allowed, not_answering_yet, referred, where
from sovereigncloud.kinds.exit_readiness.estimate import Question, Source, closed, could_leave
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts
from sovereigncloud.kinds.exitplan.names import is_of_mode, run_of
from sovereigncloud.kinds.exitplan.progress import Progress, Stage, progress_of
from sovereigncloud.kinds.instancemigration.marketplace import ENABLED
from sovereigncloud.kinds.movement.placement_override import exit_key
from sovereigncloud.ports.errors import MissingSecret, OutsideError

_FROM = "spec.from.cloudRef"


@dataclass(frozen=True, slots=True)
class ExitObservation:
    """What was seen.

    Attributes:
        now: when.
        problem: why nothing can be said or done.
        clouds: that are left.
        estimate: of the machines that are still there and not under way.
        progress: by machine (namespace/name), of those that the present run has a move of.
        ranks: by machine, the group that it leaves with, of those that are still there.
        throughput: bytes that a move copies in a second, as earlier ones took; None: none was measured.
        outdated: rehearsals of runs before the present one, which are over.
    """

    now: datetime
    problem: Outcome | None = None
    clouds: tuple[Key, ...] = ()
    estimate: Estimate = NOBODY
    progress: Mapping[str, Progress] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    throughput: int | None = None
    outdated: tuple[Key, ...] = ()

    def are(self, *stages: Stage) -> int:
        """How many machines of the run are at one of these stages."""
        return sum(one.stage in stages for one in self.progress.values())


def is_lost(exit_plan: ExitPlan) -> bool:
    return exit_plan.spec.source_state == SourceState.LOST


async def look(exit_plan: ExitPlan, context: Context) -> ExitObservation:
    """Reads only. Of what is lost nothing is asked."""
    nothing = ExitObservation(context.now)
    if exit_plan.deleting:
        return nothing
    clouds = _clouds(exit_plan, context)
    problem = clouds if isinstance(clouds, Outcome) else _targets_problem(exit_plan, clouds, context)
    if problem is not None or isinstance(clouds, Outcome):
        return replace(nothing, problem=problem)
    sources = await _sources(exit_plan, clouds, context)
    if isinstance(sources, Outcome):
        return replace(nothing, problem=sources, clouds=clouds)
    seen = _moves(exit_plan, replace(nothing, clouds=clouds), context)
    busy = {name for name, one in seen.progress.items() if one.stage in {Stage.UNDER_WAY, Stage.MOVED}}
    question = Question(
        targets=lambda namespace: _open_to(exit_plan, namespace, clouds, context),
        names={one.from_: one.to for one in exit_plan.spec.network_map or ()},
        may=lambda facts: _may(exit_plan, facts),
        rank=lambda facts: rank_of(exit_plan, facts),
        skips=lambda facts: name_of(facts.key) in busy,
    )
    found = await could_leave(sources, question, context)
    ranks = {name_of(facts.key): rank_of(exit_plan, facts) for cloud in clouds for facts in context.inhabitants(cloud)}
    return replace(seen, estimate=found, ranks=ranks)


def name_of(instance: Key) -> str:
    """namespace/name, as in status."""
    return f"{instance.namespace}/{instance.name}"


def rank_of(exit_plan: ExitPlan, facts: InstanceFacts) -> int:
    """The first group whose labels it has, else after all of them."""
    labels, groups = dict(facts.labels), exit_plan.spec.order or ()
    for number, group in enumerate(groups):
        if all(labels.get(name) == value for name, value in (group.match_labels or {}).items()):
            return number
    return len(groups)


# ---------------------------------------------------------------------------------------------------------- the clouds


def _clouds(exit_plan: ExitPlan, context: Context) -> tuple[Key, ...] | Outcome:
    namespace, left = exit_plan.metadata.namespace, exit_plan.spec.from_
    if left.cloud_ref is not None:
        cloud = referred(left.cloud_ref, namespace)
        if refused := not_allowed(cloud, namespace, _FROM, context):
            return refused
        if context.get(cloud) is None:
            return blocked(no_such(cloud))
        return (cloud,)
    name = left.provider_ref.name if left.provider_ref is not None else ""
    found = tuple(cloud for cloud in context.clouds(namespace) if _provider(context.get(cloud)) == name)
    return found or stalled(
        Reason.NOTHING_TO_LEAVE,
        f"no SovereignCloud that namespace {namespace} may use has providerRef {name}: correct spec.from in a new ExitPlan",
    )


def _provider(cloud: object) -> str:
    reference = cloud.spec.provider_ref if isinstance(cloud, SovereignCloud) else None
    return reference.name if reference is not None else ""


def _targets_problem(exit_plan: ExitPlan, clouds: Iterable[Key], context: Context) -> Outcome | None:
    namespace = exit_plan.metadata.namespace
    targets = [referred(one.cloud_ref, namespace) for one in exit_plan.spec.to]
    for target in targets:
        if refused := not_allowed(target, namespace, "spec.to", context):
            return refused
        if context.get(target) is None:
            return blocked(no_such(target))
    if not set(targets) - set(clouds):
        return stalled(Reason.INVALID_SPEC, "spec.to names nothing but what is left: name another cloud")
    return None


def _open_to(exit_plan: ExitPlan, namespace: str, left: Iterable[Key], context: Context) -> tuple[Key, ...]:
    """Where the machines of a namespace could go: clouds that it may use."""
    named = dict.fromkeys(referred(one.cloud_ref, exit_plan.metadata.namespace) for one in exit_plan.spec.to)
    return tuple(
        cloud for cloud in named if cloud not in left and not_allowed(cloud, namespace, "spec.to", context) is None
    )


async def _sources(exit_plan: ExitPlan, clouds: Iterable[Key], context: Context) -> tuple[Source, ...] | Outcome:
    if is_lost(exit_plan):
        return tuple(Source(cloud, None) for cloud in clouds)
    found: list[Source] = []
    for cloud in clouds:
        if problem := not_answering_yet(cloud, context):
            return problem
        try:
            view, client = await context.view(cloud), await context.open_nebula(cloud)
            markets = [(one.name, one.driver, one.state == ENABLED) for one in await client.parts.marketplaces()]
            found.append(Source(cloud, view, closed(cloud, markets, exit_plan.spec.marketplace)))
        except (OutsideError, MissingSecret) as error:
            say = blocked if isinstance(error, MissingSecret) else retry
            return say(f"cloud {where(cloud)}: {error}. If it is lost for good, leave it with sourceState: Lost")
    return tuple(found)


def _may(exit_plan: ExitPlan, facts: InstanceFacts) -> Blocker | None:
    """Who owns a cloud may have it left by everybody; who only uses it, by what is his own."""
    own = exit_plan.metadata.namespace
    if own in {facts.cloud.namespace, facts.key.namespace}:
        return None
    return Blocker(
        Reason.NAMESPACE_NOT_ALLOWED,
        f"{name_of(facts.key)} is of another namespace, and {where(facts.cloud)} is not of namespace {own}: make the ExitPlan"
        f" in namespace {facts.cloud.namespace}, or another one in {facts.key.namespace}",
    )


# ------------------------------------------------------------------------------------------------------------ the moves


def _moves(exit_plan: ExitPlan, nothing: ExitObservation, context: Context) -> ExitObservation:
    """Those of the run that is under way. When it is over nothing of them is looked at any more."""
    run = run_of(exit_plan)
    known = exit_plan.status.measured.bytes_per_second if exit_plan.status.measured is not None else None
    under_way = run is not None and not run.ended and is_of_mode(run, ExitMode(exit_plan.spec.mode))
    if not under_way and known is not None:
        return replace(nothing, throughput=known)
    moves = [one for one in context.everything(InstanceMigration.crd.kind) if isinstance(one, InstanceMigration)]
    throughput = known or _throughput(moves)
    if run is None or not under_way:
        return replace(nothing, throughput=throughput)
    ours = [one for one in moves if exit_key(one) == exit_plan.key]
    progress = {
        f"{one.metadata.namespace}/{one.spec.instance_ref.name}": progress_of(one)
        for one in ours
        if one.metadata.name.endswith(f"-{run.name}")
    }
    outdated = tuple(
        one.key
        for one in ours
        if one.spec.mode == MigrationMode.REHEARSE
        and not one.metadata.name.endswith(f"-{run.name}")
        and progress_of(one).stage is not Stage.UNDER_WAY
        and not one.deleting
    )
    return replace(nothing, throughput=throughput, progress=progress, outdated=outdated)


def _throughput(moves: Iterable[InstanceMigration]) -> int | None:
    """Of all that were measured."""
    told = [(one.status.bytes, one.status.downtime_seconds) for one in moves]
    copied = [(size, took) for size, took in told if size and took]
    return sum(size for size, _ in copied) // sum(took for _, took in copied) if copied else None
