"""SecurityGroup controller: a tenant's firewall rules, in each cloud that its namespace may use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context, Uses
from sovereigncloud.kinds.securitygroup.observation import (
    GroupObservation,
    declared_clouds,
    is_left_alone,
    known_clouds,
    observe_groups,
)
from sovereigncloud.kinds.securitygroup.plan import plan_groups
from sovereigncloud.kinds.securitygroup.steps import perform_group
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup as Group


class SecurityGroupController:
    """Reconcile SecurityGroup resources through `one.secgroup.*` of several clouds."""

    resource = SecurityGroup

    def uses(self, resource: SecurityGroup) -> Uses:
        """Return the clouds of spec and status; observation finds the others."""
        if is_left_alone(resource):
            return Uses()
        declared = tuple(
            cloud for cloud in declared_clouds(resource) or () if cloud.namespace == resource.metadata.namespace
        )
        return Uses(objects=tuple(dict.fromkeys((*declared, *known_clouds(resource)))))

    async def observe(self, resource: SecurityGroup, context: Context) -> GroupObservation:
        return await observe_groups(resource, context)

    def plan(self, resource: SecurityGroup, observed: GroupObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the Controller protocol
        return plan_groups(resource, observed)

    async def perform(self, step: Step, resource: SecurityGroup, context: Context) -> Outcome:
        return await perform_group(step, resource, context)

    def status(self, resource: SecurityGroup, observed: GroupObservation) -> Mapping[str, object]:
        """Report the group per cloud; an unreachable cloud keeps its last known entry."""
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
                entries.append({"name": name, "id": str(group.id), "machines": _update_progress([group])})
                ready += plan_groups(resource, _only(observed, here)).outcome.phase is Phase.DONE
            elif here.problem is not None and before is not None:
                entries.append(before.model_dump(by_alias=True, exclude_none=True))
            else:
                entries.append({"name": name})
        return {
            "cloudsReady": f"{ready}/{len(clouds)}",
            "machines": _update_progress(groups) if groups else None,
            "clouds": entries,
        }


def _only(observed: GroupObservation, here: object) -> GroupObservation:
    return GroupObservation(observed.mark, observed.admitted, tuple(one for one in observed.clouds if one is here))


def _update_progress(groups: list[Group]) -> str:
    return f"{sum(len(group.updated) for group in groups)}/{sum(len(group.vms) for group in groups)}"
