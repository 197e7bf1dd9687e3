"""What the status of a machine says of its network cards."""

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


def in_order(resource: HostedInstance, vm: Vm) -> list[Nic]:
    """In the order of spec.networks, those on other networks last."""
    if len(vm.nics) < 2:
        return list(vm.nics)
    order = {network.name: place for place, network in enumerate(resource.spec.networks or ())}
    return sorted(vm.nics, key=lambda nic: (order.get(nic.network, len(order)), nic.id))


def card_status(resource: HostedInstance, vm: Vm, view: CloudView | None) -> list[Mapping[str, object]]:
    """Each card in words."""
    return [_card(nic, view) for nic in in_order(resource, vm)]


def _card(nic: Nic, view: CloudView | None) -> Mapping[str, object]:
    said: dict[str, object] = {"name": nic.network}
    if nic.ip:
        said["address"] = nic.ip
    if nic.mac:
        said["mac"] = nic.mac
    if nic.groups and view is not None:
        said["securityGroups"] = sorted(group_name(group, view) for group in nic.groups)
    return said


def exposure(resource: HostedInstance, vm: Vm, view: CloudView | None) -> tuple[Mapping[str, str], ...]:
    """The condition Exposed, while a card has a public address and nothing filters it. What groups say is added up, so
    one that lets everything in, as OpenNebula's own does, makes the others void.
    """
    public = [nic for nic in in_order(resource, vm) if _is_public(nic.ip)]
    if not public:
        return ()
    groups = view.security_groups if view is not None else {}
    open_to_all = {number for number, group in groups.items() if EVERYTHING_IN in group.rules}
    open_cards = [nic for nic in public if not nic.groups or not open_to_all.isdisjoint(nic.groups)]
    if not open_cards:
        return ()
    said = ", ".join(f'{nic.ip} on network "{nic.network}"' for nic in open_cards[:_SHOWN])
    message = (
        f"nothing filters {said}: everybody may reach every port of it; name SecurityGroups in"
        " spec.networks[].securityGroups"
    )
    return ({"type": EXPOSED, "status": "True", "reason": Reason.PUBLIC_WITHOUT_SECURITY_GROUP, "message": message},)


def kept_exposure(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """As it was said before: nobody could look."""
    before = resource.status.condition(EXPOSED)
    if before is None:
        return ()
    return ({"type": EXPOSED, "status": before.status, "reason": before.reason, "message": before.message},)


def _is_public(ip: str) -> bool:
    if ip.startswith(_PRIVATE):  # told at a glance; to read an address takes fifty times as long
        return False
    try:
        return ip_address(ip).is_global
    except ValueError:
        return False
