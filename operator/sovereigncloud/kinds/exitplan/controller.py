"""ExitPlan: leave a cloud or a provider: say what could, rehearse it, do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.core.outcome import Outcome, Phase, done
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import Context, Uses
from sovereigncloud.kinds.endpoint.clouds import referred
from sovereigncloud.kinds.exitplan import plan as exit_plan
from sovereigncloud.kinds.exitplan.observation import ExitObservation, look
from sovereigncloud.kinds.exitplan.plan import DropMove, RememberRun
from sovereigncloud.kinds.exitplan.status import exit_status
from sovereigncloud.kinds.movement.requests import MakeMove, make_move

_SELDOM = 300.0


class ExitPlanController:
    """Makes InstanceMigrations, and calls nothing outside itself."""

    resource = ExitPlan

    def uses(self, resource: ExitPlan) -> Uses:
        """The clouds of its own namespace that it names. Others are looked at in the sweeps of these, and held up by nothing: a
        plan must not keep somebody else's cloud from being deleted.
        """
        if resource.deleting:
            return Uses()
        namespace, left = resource.metadata.namespace, resource.spec.from_.cloud_ref
        refs = (*((left,) if left is not None else ()), *(one.cloud_ref for one in resource.spec.to))
        clouds = dict.fromkeys(referred(ref, namespace) for ref in refs)
        return Uses(objects=tuple(cloud for cloud in clouds if cloud.namespace == namespace))

    async def observe(self, resource: ExitPlan, context: Context) -> ExitObservation:
        return await look(resource, context)

    def plan(self, resource: ExitPlan, observed: ExitObservation, now: datetime) -> Plan:
        made = exit_plan.plan(resource, observed, now)
        unswept = not (resource.deleting or made.steps or self.uses(resource).objects)
        if not unswept or made.outcome.phase is not Phase.DONE or made.outcome.after is not None:
            return made
        return replace(made, outcome=replace(made.outcome, after=_SELDOM))  # no sweep of a cloud comes by

    async def perform(self, step: Step, resource: ExitPlan, context: Context) -> Outcome:
        match step:
            case RememberRun():
                return done(step.event, step.message).with_facts(**dict(step.facts))
            case MakeMove():
                return await make_move(step, context)
            case DropMove():
                await context.kubernetes.delete(step.key.kind, step.key.namespace, step.key.name)
                return done()
            case _:
                raise TypeError(f"not a step of {resource.key}: {step!r}")

    def status(self, resource: ExitPlan, observed: ExitObservation) -> Mapping[str, object]:
        return exit_status(resource, observed)
