"""SecurityGroup: a tenant's firewall rules, made in each cloud that its namespace may use, kept rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import Context, Uses
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.securitygroup import plan as group_plan
from sovereigncloud.kinds.securitygroup import steps
from sovereigncloud.kinds.securitygroup.observation import (
    GroupObservation,
    declared_clouds,
    is_left_alone,
    known_clouds,
    look,
)
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup as Group


class SecurityGroupController:
    """Drives `one.secgroup.*` of several clouds."""

    resource = SecurityGroup

    def uses(self, resource: SecurityGroup) -> Uses:
        """The clouds that it names, and those where it was made; which others there are is found while observing."""
        if is_left_alone(resource):
            return Uses()
        declared = tuple(
            cloud for cloud in declared_clouds(resource) or () if cloud.namespace == resource.metadata.namespace
        )
        return Uses(objects=tuple(dict.fromkeys((*declared, *known_clouds(resource)))))

    async def observe(self, resource: SecurityGroup, context: Context) -> GroupObservation:
        return await look(resource, context)

    def plan(self, resource: SecurityGroup, observed: GroupObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        return group_plan.plan(resource, observed)

    async def perform(self, step: Step, resource: SecurityGroup, context: Context) -> Outcome:
        return await steps.perform(step, resource, context)

    def status(self, resource: SecurityGroup, observed: GroupObservation) -> Mapping[str, object]:
        """The group in each cloud where it is to be. While nobody could look, what was known stays."""
        clouds = [here for here in observed.clouds if here.wanted]
        if not clouds:
            return {"cloudsReady": None, "machines": None, "clouds": None}
        known = {cloud.name: cloud for cloud in resource.status.clouds or ()}
        entries: list[dict[str, str]] = []
        ready = 0
        groups: list[Group] = []
        for here in clouds:
            name = where(here.cloud)
            group = here.found.thing
            before = known.get(name)
            if group is not None:
                groups.append(group)
                entries.append({"name": name, "id": str(group.id), "machines": _machines([group])})
                ready += group_plan.plan(resource, _only(observed, here)).outcome.phase is Phase.DONE
            elif here.problem is not None and before is not None:
                entries.append(before.model_dump(by_alias=True, exclude_none=True))
            else:
                entries.append({"name": name})
        return {
            "cloudsReady": f"{ready}/{len(clouds)}",
            "machines": _machines(groups) if groups else None,
            "clouds": entries,
        }


def _only(observed: GroupObservation, here: object) -> GroupObservation:
    return GroupObservation(observed.mark, observed.admitted, tuple(one for one in observed.clouds if one is here))


def _machines(groups: list[Group]) -> str:
    return f"{sum(len(group.updated) for group in groups)}/{sum(len(group.vms) for group in groups)}"
