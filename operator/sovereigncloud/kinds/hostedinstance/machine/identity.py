"""Which machine of a cloud is the instance's: the one that it adopts, else the recorded one, else the one with its mark."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.identity.adoption import OWNER_FACT, asked, identify_asked
from sovereigncloud.kinds.identity.identification import Identified, Makers, identify
from sovereigncloud.ports.opennebula.views import CloudView, Vm


def which_one(
    view: CloudView,
    makers: Makers,
    among: frozenset[int] | None,
    resource: HostedInstance,
    mark: Mark,
    *,
    home: bool,
) -> Identified[Vm]:
    """The one that spec names; else the one that was recorded, or carries the mark.

    Args:
        view: of the cloud.
        makers: whose it may be.
        among: whose may be adopted.
        resource: looked for.
        mark: of it.
        home: it is, or is to be, in this cloud.
    """
    recorded, adopt = resource.external.get("vm") if home else None, resource.spec.adopt
    if home and adopt is not None:
        return identify_asked(asked(adopt, resource.external, recorded, among), view.vms, makers.owner, mark, "VM")
    there = view.vms.get(int(recorded)) if recorded and recorded.isdigit() else None
    return identify(recorded, view.vms, accepted(there, resource, makers.owners), mark, "VM")


def accepted(vm: Vm | None, resource: HostedInstance, owners: frozenset[int]) -> frozenset[int]:
    """Whose the machine has to be: the credential's user's, or his whose it was when it was adopted."""
    adopted = vm is not None and resource.external.get(OWNER_FACT) == str(vm.owner)
    return frozenset({vm.owner}) if vm is not None and adopted else owners
