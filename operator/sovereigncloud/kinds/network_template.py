"""What a VirtualNetwork is in OpenNebula: its template attributes, by the field of spec that each follows from.

After OVHcloud's guide: a public block is bridged untagged onto the vRack, a VLAN is tagged on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sovereigncloud.api.virtualnetwork import VirtualNetwork, VirtualNetworkSpec
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.addressing import check_ranges, contains, gateway_of, machines_of, parse_block, parse_range
from sovereigncloud.kinds.ports import AddressRange, Attributes, Network

ADOPTED = "SOVEREIGNCLOUD_ADOPTED"
"""Noted on a network that was there before: it is not deleted unless spec says so."""

_PHYSICAL_DEVICE = "vrack_bond"
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
    block = None
    attributes: dict[str, dict[str, str]] = {}
    gateway, dns, device = spec.gateway, spec.dns, spec.physical_device
    ranges: tuple[AddressRange, ...] | None = None
    if (spec.public_block is None) == (spec.vlan_id is None):
        raise ValueError("spec: set exactly one of publicBlock and vlanID")
    if spec.public_block is not None:
        block = _named("spec.publicBlock", parse_block, spec.public_block)
        attributes["spec.publicBlock"] = {
            "NETWORK_ADDRESS": str(block.network_address),
            "NETWORK_MASK": str(block.netmask),
        }
        gateway = gateway or gateway_of(block)
        if not adopted:
            attributes["spec.publicBlock"] |= {
                "VN_MAD": "bridge",
                # A machine may hold further addresses of the block, as in the guide.
                "FILTER_IP_SPOOFING": "NO",
                "FILTER_MAC_SPOOFING": "NO",
            }
            dns = dns or [_OVHCLOUD_RESOLVER]
            ranges = (machines_of(block),)
    else:
        attributes["spec.vlanID"] = {"VLAN_ID": str(spec.vlan_id)} | ({} if adopted else {"VN_MAD": "802.1Q"})
    if device or not adopted:
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


def template(resource: VirtualNetwork, mark: Mark) -> Attributes:
    """Of a network to be made. The mark is in the create call itself."""
    asked = wanted(resource.spec, adopted=False)
    flat = {key: value for values in asked.attributes.values() for key, value in values.items()}
    return {
        "NAME": resource.outside_name,
        **flat,
        "AR": [{"TYPE": "IP4", "IP": range_.ip, "SIZE": str(range_.size)} for range_ in asked.ranges or ()],
        **mark.for_opennebula(),
    }


def is_the_same(spec: VirtualNetworkSpec, network: Network) -> bool:
    """Whether an unmarked network of the same name is the one that spec means: it carries the same VLAN, or addresses
    of the same block.
    """
    if spec.public_block is None:
        return network.attributes.get("VLAN_ID") == str(spec.vlan_id)
    block = parse_block(spec.public_block)
    inside = machines_of(block)
    return network.attributes.get("NETWORK_ADDRESS") == str(block.network_address) or any(
        contains(inside, range_.ip) for range_ in network.ranges
    )


def was_adopted(resource: VirtualNetwork, network: Network | None) -> bool:
    """Noted on the network itself; the status has a copy."""
    noted = network is not None and network.attributes.get(ADOPTED) == "YES"
    return noted or resource.external.get("adopted") == "yes"


T = TypeVar("T")
U = TypeVar("U")


def _named(field: str, read: Callable[[T], U], value: T) -> U:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _range(pair: tuple[str, int]) -> AddressRange:
    return parse_range(*pair)
