"""What a VirtualNetwork is in OpenNebula: its template attributes, by the field of spec that each follows from.

After OVHcloud's guide: a public block is bridged untagged onto the vRack, a VLAN is tagged on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypeVar

from sovereigncloud.api.virtualnetwork import VirtualNetwork, VirtualNetworkSpec
from sovereigncloud.core.identity import ONE_ADOPTED, Mark
from sovereigncloud.kinds.planning.addressing import (
    check_ranges,
    contains,
    gateway_of,
    machines_of,
    parse_block,
    parse_range,
)
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.views import AddressRange, Network

ADOPTED = ONE_ADOPTED

_PHYSICAL_DEVICE = "vrack_bond"
_ON_A_DEVICE = frozenset({"spec.publicBlock", "spec.vlanID", "spec.vxlanID"})
_OVHCLOUD_RESOLVER = "213.186.33.99"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What spec asks for.

    Attributes:
        attributes: template keys and values by the path of the field that they follow from.
        ranges: the address ranges; None: whatever is there.
    """

    attributes: Mapping[str, Mapping[str, str]]
    ranges: tuple[AddressRange, ...] | None


def wanted(spec: VirtualNetworkSpec, *, adopted: bool) -> Wanted:
    """Read spec. Of a network that was there before, only what spec says itself is wanted, no default.

    Raises ValueError, naming the field.
    """
    block = _named("spec.publicBlock", parse_block, spec.public_block) if spec.public_block is not None else None
    path, kind = _kind(spec, block, adopted=adopted)
    attributes: dict[str, dict[str, str]] = {path: kind} if kind else {}
    gateway, dns, device = spec.gateway, spec.dns, spec.physical_device
    ranges: tuple[AddressRange, ...] | None = None
    if block is not None:
        gateway = gateway or gateway_of(block)
        if not adopted:
            dns = dns or [_OVHCLOUD_RESOLVER]
            ranges = (machines_of(block),)
    if path in _ON_A_DEVICE and (device or not adopted):
        attributes["spec.physicalDevice"] = {"PHYDEV": device or _PHYSICAL_DEVICE}
    if gateway:
        attributes["spec.gateway"] = {"GATEWAY": gateway}
    if dns:
        attributes["spec.dns"] = {"DNS": " ".join(dns)}
    if spec.mtu is not None:
        attributes["spec.mtu"] = {"MTU": str(spec.mtu)}
    if spec.address_ranges is not None:
        ranges = tuple(_named("spec.addressRanges", _range, (r.ip, r.size)) for r in spec.address_ranges)
    _named("spec.addressRanges", lambda found: check_ranges(found, block, gateway or ""), ranges or ())
    return Wanted(attributes, ranges)


def _kind(spec: VirtualNetworkSpec, block: IPv4Network | None, *, adopted: bool) -> tuple[str, dict[str, str]]:
    """The field that says what kind of network it is, and what follows from it."""
    kinds: list[tuple[str, dict[str, str], str]] = []
    if block is not None:
        addresses = {"NETWORK_ADDRESS": str(block.network_address), "NETWORK_MASK": str(block.netmask)}
        # A machine may hold further addresses of the block, as in the guide.
        free = {} if adopted else {"FILTER_IP_SPOOFING": "NO", "FILTER_MAC_SPOOFING": "NO"}
        kinds.append(("spec.publicBlock", addresses | free, "bridge"))
    if spec.vlan_id is not None:
        kinds.append(("spec.vlanID", {"VLAN_ID": str(spec.vlan_id)}, "802.1Q"))
    if spec.vxlan_id is not None:
        kinds.append(("spec.vxlanID", {"VLAN_ID": str(spec.vxlan_id)}, "vxlan"))
    if spec.bridge is not None:
        kinds.append(("spec.bridge", {"BRIDGE": spec.bridge}, "bridge"))
    if spec.reservation is not None:
        kinds.append(("spec.reservation", {}, ""))  # it has what its network has
    if len(kinds) != 1:
        raise ValueError("spec: set exactly one of publicBlock, vlanID, vxlanID, bridge and reservation")
    path, values, driver = kinds[0]
    return path, values if adopted or not driver else values | {"VN_MAD": driver}


def template(resource: VirtualNetwork, mark: Mark, groups: tuple[int, ...] = ()) -> Attributes:
    """Of a network to be made. The mark is in the create call itself."""
    asked = wanted(resource.spec, adopted=False)
    flat = {key: value for values in asked.attributes.values() for key, value in values.items()}
    return {
        "NAME": resource.outside_name,
        **flat,
        **({"SECURITY_GROUPS": ",".join(map(str, groups))} if groups else {}),
        "AR": [{"TYPE": "IP4", "IP": range_.ip, "SIZE": str(range_.size)} for range_ in asked.ranges or ()],
        **mark.for_opennebula(),
    }


def is_the_same(spec: VirtualNetworkSpec, network: Network) -> bool:
    """Whether an unmarked network of the same name is the one that spec means: it carries the same VLAN, VXLAN or bridge,
    or addresses of the same block.
    """
    if spec.vlan_id is not None or spec.vxlan_id is not None:
        is_vxlan = network.attributes.get("VN_MAD") == "vxlan"
        number = spec.vlan_id if spec.vlan_id is not None else spec.vxlan_id
        return network.attributes.get("VLAN_ID") == str(number) and is_vxlan == (spec.vxlan_id is not None)
    if spec.bridge is not None:
        return network.attributes.get("BRIDGE") == spec.bridge
    if spec.public_block is None:
        return False
    block = parse_block(spec.public_block)
    inside = machines_of(block)
    return network.attributes.get("NETWORK_ADDRESS") == str(block.network_address) or any(
        contains(inside, range_.ip) for range_ in network.ranges
    )


def was_adopted(resource: VirtualNetwork, network: Network | None) -> bool:
    """Noted on the network itself; the status has a copy."""
    noted = network is not None and network.attributes.get(ADOPTED) == "YES"
    return noted or resource.adopted


T = TypeVar("T")
U = TypeVar("U")


def _named(field: str, read: Callable[[T], U], value: T) -> U:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _range(pair: tuple[str, int]) -> AddressRange:
    return parse_range(*pair)
