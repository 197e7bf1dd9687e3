"""Attributes of virtual networks that oned processes, and those that it passes on to running VMs."""

from collections.abc import Iterable, Mapping

from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.model import Vm, VNet
from sovereigncloud_sandbox.opennebula.template import Template

BRIDGE_TYPES = {
    "bridge": "linux",
    "fw": "linux",
    "ebtables": "linux",
    "802.1Q": "linux",
    "vxlan": "linux",
    "dummy": "linux",
    "elastic": "linux",
    "nodeport": "linux",
    "ovswitch": "openvswitch",
    "ovswitch_vxlan": "openvswitch",
    "vcenter": "vcenter_port_groups",
}

# Changes of these are told to the running machines (OpenNebula: VirtualNetwork::set_updated_attributes).
LIVE = (
    "PHYDEV",
    "MTU",
    "VLAN_ID",
    "QINQ_TYPE",
    "CVLANS",
    "VLAN_TAGGED_ID",
    "OUTER_VLAN_ID",
    "INBOUND_AVG_BW",
    "INBOUND_PEAK_BW",
    "INBOUND_PEAK_KB",
    "OUTBOUND_AVG_BW",
    "OUTBOUND_PEAK_BW",
    "OUTBOUND_PEAK_KB",
    "SPOOFCHK",
    "TRUST",
)
# What a driver cannot work without.
_MANDATORY = {"802.1Q": ("PHYDEV", "VLAN_ID"), "vxlan": ("PHYDEV", "VLAN_ID"), "dummy": ("BRIDGE",)}


def establish(one: VNet, template: Template) -> None:
    """Take the attributes that oned itself works with out of the template of a new network.

    Raises:
        OneError: 0x2000, no VN_MAD, one that does not exist, or what it needs is missing.
    """
    automatic = template.take("AUTOMATIC_VLAN_ID").upper() == "YES"
    for attribute in _MANDATORY.get(template.get("VN_MAD"), ()):
        if template.get(attribute) or (attribute == "VLAN_ID" and automatic):
            continue
        spoken = "VLAN_ID (or AUTOMATIC_VLAN_ID)" if attribute == "VLAN_ID" else attribute
        raise internal(f"{spoken} is mandatory for driver {template.get('VN_MAD')}")
    if automatic and not template.get("VLAN_ID"):
        one.vlan_automatic = True
        one.vlan_id = str(one.oid + 2)
    if not template.get("SECURITY_GROUPS"):
        template.put("SECURITY_GROUPS", "0")
    update_well_known(one, template)


def update_well_known(one: VNet, template: Template) -> None:
    """The same for a network that is there: an automatic VLAN stays, and so does a bridge that nobody names.

    Raises:
        OneError: 0x2000, no VN_MAD or one that does not exist.
    """
    vn_mad = template.get("VN_MAD")
    if not vn_mad:
        raise internal("No VN_MAD in template for Virtual Network.")
    if vn_mad not in BRIDGE_TYPES:
        raise internal(f'VN_MAD named "{vn_mad}" is not defined in oned.conf')
    for attribute in ("TEMPLATE_ID", "AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID"):
        template.pop(attribute)
    one.vn_mad = vn_mad
    one.bridge_type = BRIDGE_TYPES[vn_mad]
    one.phydev = template.get("PHYDEV")
    if not one.vlan_automatic:
        one.vlan_id = template.get("VLAN_ID")
    one.outer_vlan_id = template.get("OUTER_VLAN_ID")
    one.bridge = template.get("BRIDGE") or one.bridge or _default_bridge(one)
    template.put("VN_MAD", one.vn_mad)
    template.put("BRIDGE_TYPE", one.bridge_type)
    template.put("PHYDEV", one.phydev)
    template.put("VLAN_ID", one.vlan_id)
    template.put("OUTER_VLAN_ID", one.outer_vlan_id)
    template.put("BRIDGE", one.bridge)
    one.template = template


def live_changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """What of it running machines are told, with the values from before."""
    return {name: before.get(name, "") for name in LIVE if before.get(name, "") != after.get(name, "")}


def singles(template: Template) -> dict[str, str]:
    """The attributes that are no vectors."""
    return {name: value for name, value in template if isinstance(value, str)}


def apply_to_cards(one: VNet, vm: Vm, names: Iterable[str], ar_id: str = "") -> bool:
    """Write changed attributes into a machine's cards in this network; whether anything changed."""
    changed = False
    for nic in vm.nics:
        if nic.get("NETWORK_ID") != str(one.oid) or (ar_id and nic.get("AR_ID") != ar_id):
            continue
        extra = next((ar.extra for ar in one.ranges if str(ar.ar_id) == nic.get("AR_ID")), {})
        for name in names:
            value = extra.get(name) or one.template.get(name)
            if nic.get(name, "") != value:
                changed = True
                nic[name] = value
                if not value:
                    del nic[name]
    return changed


def _default_bridge(one: VNet) -> str:
    return f"onebr.{one.vlan_id}" if one.vlan_id else f"onebr{one.oid}"
