"""HostedInstance: a virtual machine in OpenNebula, made once and kept as declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds import vm_plan, vm_steps
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.controller import SecretUse, Uses, World
from sovereigncloud.kinds.ports import Vm
from sovereigncloud.kinds.vm_observation import (
    InstanceObservation,
    bound_cloud,
    declared_cloud,
    is_left_alone,
    look,
)
from sovereigncloud.kinds.vm_states import DENIED, TERMINATED, state_of


class HostedInstanceController:
    """Drives `one.vm.*` of the cloud where the machine is placed."""

    resource = HostedInstance

    def uses(self, resource: HostedInstance) -> Uses:
        """Its cloud and the Secret with its user data. Without a cloudRef the cloud is found while observing."""
        if is_left_alone(resource):
            return Uses()
        cloud, declared = bound_cloud(resource), declared_cloud(resource)
        if declared is not None and not resource.external.get("vm"):
            cloud = declared if declared.namespace == resource.metadata.namespace else None
        init = resource.spec.cloud_init
        secrets = (SecretUse(init.user_data_secret_ref.name),) if init is not None and not resource.deleting else ()
        return Uses(cloud=cloud, secrets=secrets)

    async def observe(self, resource: HostedInstance, world: World) -> InstanceObservation:
        return await look(resource, world)

    def plan(self, resource: HostedInstance, observed: InstanceObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        return vm_plan.plan(resource, observed)

    async def perform(self, step: Step, resource: HostedInstance, world: World) -> Outcome:
        return await vm_steps.perform(step, resource, world)

    def status(self, resource: HostedInstance, observed: InstanceObservation) -> Mapping[str, object]:
        """Where it is and how to reach it. While nobody could look, or its absence is unconfirmed, what was known
        stays.
        """
        vm = observed.found.thing
        if vm is None or observed.cloud is None:
            if observed.terminated or observed.denied:
                answer = TERMINATED if observed.terminated else DENIED
                return {**dict.fromkeys(_FIELDS), "id": str(observed.found.missing), "state": answer}
            if observed.problem is None and observed.found.problem is None and observed.found.missing is None:
                return dict.fromkeys(_FIELDS)
            known = resource.status.model_dump(by_alias=True, exclude_none=True)
            return {key: known.get(key) for key in _FIELDS}
        addresses = _addresses(resource, vm)
        return {
            "id": str(vm.id),
            "state": state_of(vm).words,
            "addresses": addresses or None,
            "primaryAddress": addresses[0] if addresses else None,
            "placement": {"cloud": where(observed.cloud), "host": vm.host or None},
        }


_FIELDS = ("id", "state", "addresses", "primaryAddress", "placement")


def _addresses(resource: HostedInstance, vm: Vm) -> list[str]:
    """In the order of spec.networks, those on other networks last."""
    order = {network.name: place for place, network in enumerate(resource.spec.networks or ())}
    cards = sorted(vm.nics, key=lambda nic: (order.get(nic.network, len(order)), nic.id))
    return [nic.ip for nic in cards if nic.ip]
