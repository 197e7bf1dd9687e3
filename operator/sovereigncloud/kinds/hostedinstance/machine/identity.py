"""Identification of an instance's VM: by spec.adopt, else the recorded id, else the mark."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.identity.adoption import OWNER_FACT, asked, identify_asked
from sovereigncloud.kinds.identity.identification import Identified, Makers, identify
from sovereigncloud.ports.opennebula.views import CloudView, Vm


def identify_vm(
    view: CloudView,
    makers: Makers,
    among: frozenset[int] | None,
    resource: HostedInstance,
    mark: Mark,
    *,
    home: bool,
) -> Identified[Vm]:
    """Identify the VM of an instance: by spec.adopt, else the recorded id, else the mark.

    Args:
        view: pools of the cloud.
        makers: users that may own the VM.
        among: users whose VMs may be adopted; None for any.
        resource: the instance.
        mark: mark of the instance.
        home: whether this is the cloud of the instance; elsewhere spec.adopt and the recorded id do not apply.
    """
    recorded, adopt = resource.external.get("vm") if home else None, resource.spec.adopt
    if home and adopt is not None:
        return identify_asked(asked(adopt, resource.external, recorded, among), view.vms, makers.owner, mark, "VM")
    there = view.vms.get(int(recorded)) if recorded and recorded.isdigit() else None
    return identify(recorded, view.vms, accepted_owners(there, resource, makers.owners), mark, "VM")


def accepted_owners(vm: Vm | None, resource: HostedInstance, owners: frozenset[int]) -> frozenset[int]:
    """Return the user ids that may own the VM: `owners`, or its owner at adoption."""
    adopted = vm is not None and resource.external.get(OWNER_FACT) == str(vm.owner)
    return frozenset({vm.owner}) if vm is not None and adopted else owners
