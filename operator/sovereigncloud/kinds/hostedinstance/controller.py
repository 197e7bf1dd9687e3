"""HostedInstance: a virtual machine in OpenNebula, made once and kept as declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, SecretUse, Uses
from sovereigncloud.kinds.endpoint.clouds import cloud_key
from sovereigncloud.kinds.hostedinstance import plan as vm_plan
from sovereigncloud.kinds.hostedinstance import steps
from sovereigncloud.kinds.hostedinstance.continuity.copies import continuity_status
from sovereigncloud.kinds.hostedinstance.continuity.failover import failover_ready, failover_status
from sovereigncloud.kinds.hostedinstance.continuity.failover_readiness import look_from_afar, lost_home, with_elsewhere
from sovereigncloud.kinds.hostedinstance.continuity.retained_copy_cleanup import with_kept
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import guest_secrets
from sovereigncloud.kinds.hostedinstance.machine.cloud_context import console_of
from sovereigncloud.kinds.hostedinstance.network.network_map import as_named_there
from sovereigncloud.kinds.hostedinstance.network.status import card_status, exposure, in_order, kept_exposure
from sovereigncloud.kinds.hostedinstance.observation import (
    InstanceObservation,
    bound_cloud,
    declared_cloud,
    is_left_alone,
    look,
)
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import kept_compliant
from sovereigncloud.kinds.hostedinstance.placement.status import compliant, placement_status, placement_to_be
from sovereigncloud.kinds.hostedinstance.storage.backup_status import backed_up, kept_backed_up
from sovereigncloud.kinds.hostedinstance.storage.status import FIELDS as STORAGE
from sovereigncloud.kinds.hostedinstance.storage.status import OUTLIVES, storage_status
from sovereigncloud.kinds.movement.placement_override import kept_override, placement_overridden
from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.ports.opennebula.vm_states import DENIED, TERMINATED, state_of


class HostedInstanceController:
    """Drives `one.vm.*` of the cloud where the machine is placed."""

    resource = HostedInstance

    def uses(self, resource: HostedInstance) -> Uses:
        """Its cloud and the Secrets with what its guest is given. Without a cloudRef the cloud is found while observing."""
        if is_left_alone(resource):
            return Uses()
        cloud = bound = bound_cloud(resource)
        declared = declared_cloud(resource)
        if declared is not None and not resource.external.get("vm"):
            # A cloud of another namespace only once it was found to be allowed, and recorded.
            cloud = declared if declared in (bound, cloud_key(declared.name, resource.metadata.namespace)) else None
        secrets = () if resource.deleting else tuple(map(SecretUse, guest_secrets(resource)))
        reach, elsewhere = resource.spec.continuity is not None, not resource.external.get("vm")
        return Uses(cloud=cloud, secrets=secrets, reach=reach, elsewhere=elsewhere)

    async def observe(self, resource: HostedInstance, context: Context) -> InstanceObservation:
        if (lost := lost_home(resource, context)) is not None:
            return await look_from_afar(resource, lost, context)
        seen = await with_kept(resource, await look(resource, context), context)
        return await with_elsewhere(resource, seen, context)

    def plan(self, resource: HostedInstance, observed: InstanceObservation, now: datetime) -> Plan:
        return vm_plan.plan(resource, observed, now)

    async def perform(self, step: Step, resource: HostedInstance, context: Context) -> Outcome:
        return await steps.perform(step, resource, context)

    def status(self, resource: HostedInstance, observed: InstanceObservation) -> Mapping[str, object]:
        """Where it is and how to reach it. While nobody could look, or its absence is unconfirmed, what was known
        stays.
        """
        vm = observed.found.thing
        if vm is None or observed.cloud is None:
            told = resource.status.model_dump(by_alias=True, exclude_none=True)
            # Data disks and backups outlive the machine, and what was done to it is not to be asked of the next one.
            nothing = {**dict.fromkeys(_FIELDS), **{key: told.get(key) for key in (*OUTLIVES, "continuity")}}
            nothing["placement"] = placement_to_be(resource, observed)
            if observed.terminated or observed.denied:
                answer = TERMINATED if observed.terminated else DENIED
                return {**nothing, "id": str(observed.found.missing), "state": answer}
            afar = observed.elsewhere is not None
            if (
                not afar
                and observed.problem is None
                and observed.found.problem is None
                and observed.found.missing is None
            ):
                return nothing
            return {
                **{key: told.get(key) for key in _FIELDS},
                "placement": placement_to_be(resource, observed) or told.get("placement"),
                OWN_CONDITIONS: (
                    *kept_exposure(resource),
                    *kept_backed_up(resource),
                    *kept_compliant(resource),
                    *kept_override(resource),
                    *failover_ready(resource, observed),
                ),
            }
        resource = as_named_there(resource, vm)
        addresses = _addresses(resource, vm)
        return {
            "id": str(vm.id),
            "state": state_of(vm).words,
            "addresses": addresses or None,
            "primaryAddress": addresses[0] if addresses else None,
            "networks": card_status(resource, vm, observed.view) or None,
            "placement": placement_status(resource, observed, vm),
            "console": console_of(observed.site, vm),
            "continuity": failover_status(resource, observed, continuity_status(resource, observed)) or None,
            **(storage_status(resource, observed, vm, observed.view) if observed.view is not None else {}),
            OWN_CONDITIONS: (
                *exposure(resource, vm, observed.view),
                *backed_up(resource, observed, vm),
                *compliant(observed),
                *placement_overridden(resource, observed, vm),
                *failover_ready(resource, observed),
            ),
        }


_FIELDS = ("id", "state", "addresses", "primaryAddress", "networks", "placement", "console", "continuity", *STORAGE)


def _addresses(resource: HostedInstance, vm: Vm) -> list[str]:
    return [nic.ip for nic in in_order(resource, vm) if nic.ip]
