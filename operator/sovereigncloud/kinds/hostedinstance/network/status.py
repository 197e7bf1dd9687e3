"""Status of NICs, and the condition Exposed."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.securitygroup.names import group_name
from sovereigncloud.ports.opennebula.security_groups import EVERYTHING_IN
from sovereigncloud.ports.opennebula.views import CloudView, Nic, Vm

EXPOSED = "Exposed"
_SHOWN = 10
_PRIVATE = ("10.", "192.168.")


def nics_in_order(resource: HostedInstance, vm: Vm) -> list[Nic]:
    """Return the NICs of a VM in the order of spec.networks, NICs on other networks last."""
    if len(vm.nics) < 2:
        return list(vm.nics)
    order = {network.name: place for place, network in enumerate(resource.spec.networks or ())}
    return sorted(vm.nics, key=lambda nic: (order.get(nic.network, len(order)), nic.id))


def nic_status(resource: HostedInstance, vm: Vm, view: CloudView | None) -> list[Mapping[str, object]]:
    """Return the status entry of each NIC."""
    return [_nic(nic, view) for nic in nics_in_order(resource, vm)]


def _nic(nic: Nic, view: CloudView | None) -> Mapping[str, object]:
    said: dict[str, object] = {"name": nic.network}
    if nic.ip:
        said["address"] = nic.ip
    if nic.mac:
        said["mac"] = nic.mac
    if nic.groups and view is not None:
        said["securityGroups"] = sorted(group_name(group, view) for group in nic.groups)
    return said


def exposure(resource: HostedInstance, vm: Vm, view: CloudView | None) -> tuple[Mapping[str, str], ...]:
    """Return the condition Exposed if a public address has no effective security group.

    Rules of several groups add up: one group that allows everything, such as the default of OpenNebula, disables the others.
    """
    public = [nic for nic in nics_in_order(resource, vm) if _is_public(nic.ip)]
    if not public:
        return ()
    groups = view.security_groups if view is not None else {}
    open_to_all = {number for number, group in groups.items() if EVERYTHING_IN in group.rules}
    open_nics = [nic for nic in public if not nic.groups or not open_to_all.isdisjoint(nic.groups)]
    if not open_nics:
        return ()
    said = ", ".join(f'{nic.ip} on network "{nic.network}"' for nic in open_nics[:_SHOWN])
    message = (
        f"no security group filters {said}: every port is reachable from the Internet; name SecurityGroups in"
        " spec.networks[].securityGroups"
    )
    return ({"type": EXPOSED, "status": "True", "reason": Reason.PUBLIC_WITHOUT_SECURITY_GROUP, "message": message},)


def previous_exposure(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """Return the condition Exposed unchanged, when the cloud could not be observed."""
    before = resource.status.condition(EXPOSED)
    if before is None:
        return ()
    return ({"type": EXPOSED, "status": before.status, "reason": before.reason, "message": before.message},)


def _is_public(ip: str) -> bool:
    if ip.startswith(_PRIVATE):  # cheap check first: parsing an address takes fifty times as long
        return False
    try:
        return ip_address(ip).is_global
    except ValueError:
        return False
