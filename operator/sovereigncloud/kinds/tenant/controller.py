"""Tenant: namespaces in clouds of the platform, each a group, a VDC and users of OpenNebula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.tenant import Tenant, TenantCloudStatus
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.core.quantity import mebibytes, quantity
from sovereigncloud.kinds.contract.controller import Context, Uses
from sovereigncloud.kinds.contract.tenancy import key_of, user_name
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores
from sovereigncloud.kinds.planning.composition import consent_last, join
from sovereigncloud.kinds.tenant import steps as tenant_steps
from sovereigncloud.kinds.tenant.observation import TenantIn, TenantObservation, clouds_of, is_left_alone, look
from sovereigncloud.kinds.tenant.plan import plan_in
from sovereigncloud.kinds.tenant.removal import leave_cloud

_HUNDREDTH = Decimal("0.01")


class TenantController:
    """Drives `one.group.*`, `one.vdc.*`, `one.user.*` and `one.acl.*` of several clouds."""

    resource = Tenant

    def uses(self, resource: Tenant) -> Uses:
        """Its clouds, those too that it still has to leave."""
        return Uses() if is_left_alone(resource) else Uses(objects=tuple(here.cloud for here in clouds_of(resource)))

    async def observe(self, resource: Tenant, context: Context) -> TenantObservation:
        return await look(resource, context)

    def plan(self, resource: Tenant, observed: TenantObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        wrong = DONE if resource.deleting else _wrong(resource)
        if wrong.phase is not Phase.DONE:
            return Plan(outcome=wrong)
        plan = join(_in(here, resource, observed) for here in observed.clouds)
        return replace(plan, steps=consent_last(plan.steps))

    async def perform(self, step: Step, resource: Tenant, context: Context) -> Outcome:
        return await tenant_steps.perform(step, resource, context)

    def status(self, resource: Tenant, observed: TenantObservation) -> Mapping[str, object]:
        """What is in each cloud. While nobody could look, what was known stays."""
        entries = [entry for here in observed.clouds if (entry := _entry(here, resource, observed))]
        wanted = [here for here in observed.clouds if here.wanted is not None]
        ready = sum(1 for entry in entries if entry.get("ready"))
        return {
            "clouds": entries or None,
            "cloudsReady": f"{ready}/{len(wanted)}" if wanted else None,
        }


def _in(here: TenantIn, resource: Tenant, observed: TenantObservation) -> Plan:
    plan = plan_in(here, resource, observed.mark) if here.wanted else leave_cloud(here, resource, observed.mark)
    if not here.needs:
        return plan
    steps = tuple(s if s.inside else replace(s, needs=here.needs) for s in plan.steps)
    return Plan(drift=plan.drift, steps=steps, outcome=plan.outcome, absent=plan.absent)


def _wrong(resource: Tenant) -> Outcome:
    """What the API server does not see: a cloud that is listed twice, a number that OpenNebula cannot hold."""
    twice = [c for c, times in Counter(key_of(one.cloud_ref) for one in resource.spec.clouds).items() if times > 1]
    if twice:
        return stalled(
            Reason.INVALID_SPEC, f"spec.clouds lists {', '.join(map(where, twice))} more than once: keep one entry"
        )
    for one in resource.spec.clouds:
        quota, path = one.quota, f"spec.clouds[{where(key_of(one.cloud_ref))}].quota"
        if quota is None:
            continue
        sizes = [("memory", quota.memory), ("systemDisk", quota.system_disk)]
        sizes += [(f"datastores[{store.name}].size", store.size) for store in quota.datastores or ()]
        for name, size in sizes:
            if size is None:
                continue
            try:
                mebibytes(size)
            except ValueError as error:
                return stalled(Reason.INVALID_SPEC, f"{path}.{name}: {error}")
        if quota.cpu is not None and (cpu := quantity(quota.cpu)) != cpu.quantize(_HUNDREDTH):
            return stalled(
                Reason.INVALID_SPEC,
                f"{path}.cpu: {quota.cpu} is no whole number of hundredths of a processor: write {cores(cpu.quantize(_HUNDREDTH))}",
            )
    return DONE


def _kept(here: TenantIn, resource: Tenant) -> TenantCloudStatus | None:
    """What was made and is missing stays recorded: else its loss would be forgotten as soon as it was told, and it would be
    made anew although driftPolicy only reports it.
    """
    return here.known if here.wanted is not None and not resource.deleting else None


def _users(here: TenantIn, resource: Tenant, kept: TenantCloudStatus | None) -> list[dict[str, str]]:
    group, users = here.group.thing, []
    recorded = {u.namespace: u.id for u in (kept.users or () if kept else ()) if u.namespace and u.id}
    for namespace in here.namespaces:
        user = here.named(user_name(resource.metadata.name, namespace, here.cloud))
        # Also one that is gone, as long as its Secret is there.
        if user is not None and (group is None or user.group == group.id) and user.mark is not None:
            users.append({"namespace": namespace, "id": str(user.id)})
        elif user is None and namespace in resource.spec.namespaces and namespace in recorded:
            users.append({"namespace": namespace, "id": recorded[namespace]})
        elif here.secrets.get(namespace):
            users.append({"namespace": namespace})
    return users


def _entry(here: TenantIn, resource: Tenant, observed: TenantObservation) -> dict[str, object] | None:
    known = here.known.model_dump(by_alias=True, exclude_none=True) if here.known is not None else None
    if here.problem is not None or here.people is None:
        return {**known, "ready": False} if known is not None else None
    group, vdc, kept = here.group.thing, here.vdc.thing, _kept(here, resource)
    users = _users(here, resource, kept)
    entry: dict[str, object] = {"name": here.cloud.name, "namespace": here.cloud.namespace}
    if group is not None:
        entry["group"] = str(group.id)
    elif kept and kept.group and here.group.missing is not None:
        entry["group"] = kept.group
    if vdc is not None:
        entry["vdc"] = str(vdc.id)
    elif kept and kept.vdc and here.vdc.missing is not None:
        entry["vdc"] = kept.vdc
    if users:
        entry["users"] = users
    if here.wanted is None:
        left = leave_cloud(here, resource, observed.mark)
        return entry if left.steps or left.outcome.phase is not Phase.DONE else None
    plan = plan_in(here, resource, observed.mark)
    entry["ready"] = not plan.steps and plan.outcome.phase is Phase.DONE
    return entry
