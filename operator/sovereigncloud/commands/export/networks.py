"""From networks and security groups of a zone to what manifests say of them."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from sovereigncloud.ports.opennebula.security_groups import SecurityGroup, SecurityRule
from sovereigncloud.ports.opennebula.views import CloudView, Network

Json = dict[str, Any]
_PREFIXES = range(24, 31)
_BRIDGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_PROTOCOLS = {"ICMPV6": "ICMPv6", "IPSEC": "IPsec"}
_MOST_RANGES = 32


def network_spec(network: Network, view: CloudView, comments: list[str]) -> Json | None:
    """What carries it, its addresses and what machines are told; None, and a comment, where a manifest cannot say it."""
    found, kind = network.attributes, _kind(network, view)
    spec = dict(kind)
    ranges = [{"ip": one.ip, "size": one.size} for one in network.ranges if is_ipv4(one.ip)]
    if ranges and len(ranges) <= _MOST_RANGES:
        spec["addressRanges"] = ranges
    elif "publicBlock" not in kind:
        comments.append(f"a manifest needs from 1 to {_MOST_RANGES} ranges of IPv4 addresses")
        return None
    if len(ranges) < len(network.ranges):
        comments.append("ranges without IPv4 addresses stay as they are: spec cannot name them")
    if is_ipv4(found.get("GATEWAY", "")):
        spec["gateway"] = found["GATEWAY"]
    resolvers = found.get("DNS", "").split()
    if resolvers and all(map(_is_address, resolvers)) and len(resolvers) <= 8:
        spec["dns"] = resolvers
    if 0 < len(found.get("PHYDEV", "")) <= 15 and not {"bridge", "reservation"} & kind.keys():
        spec["physicalDevice"] = found["PHYDEV"]
    if found.get("MTU", "").isdecimal() and 576 <= int(found["MTU"]) <= 9216:
        spec["mtu"] = int(found["MTU"])
    return spec


def _kind(network: Network, view: CloudView) -> Json:
    """Nothing where a manifest has no word for it."""
    found, parent = network.attributes, view.networks.get(network.parent)
    number, block = found.get("VLAN_ID", ""), _block(network)
    if parent is not None:
        return {"reservation": {"from": parent.name}}
    if number.isdecimal() and found.get("VN_MAD") == "vxlan":
        return {"vxlanID": int(number)}
    if number.isdecimal() and 1 <= int(number) <= 4094:
        return {"vlanID": int(number)}
    if block is not None and all(ipaddress.ip_address(one.ip) in block for one in network.ranges if is_ipv4(one.ip)):
        return {"publicBlock": str(block)}
    return {"bridge": found["BRIDGE"]} if _BRIDGE.fullmatch(found.get("BRIDGE", "")) else {}


def _block(network: Network) -> ipaddress.IPv4Network | None:
    base, mask = network.attributes.get("NETWORK_ADDRESS", ""), network.attributes.get("NETWORK_MASK", "")
    try:
        block = ipaddress.IPv4Network(f"{base}/{mask}")
    except ValueError:
        return None
    return block if block.prefixlen in _PREFIXES else None


def group_rules(group: SecurityGroup, view: CloudView) -> list[Json]:
    """What they cannot say is seen where they are planned, and then nothing of the group is written."""
    return [_rule(one, view) for one in group.rules]


def _rule(rule: SecurityRule, view: CloudView) -> Json:
    direction = {"INBOUND": "Inbound", "OUTBOUND": "Outbound"}.get(rule.direction, rule.direction)
    said: Json = {"direction": direction, "protocol": _PROTOCOLS.get(rule.protocol, rule.protocol)}
    if rule.range:
        said["range"] = rule.range
    if rule.icmp_type.isdecimal():
        said["icmpType"] = int(rule.icmp_type)
    network = view.networks.get(int(rule.network_id)) if rule.network_id.isdecimal() else None
    if network is not None:
        said["network"] = network.name
    elif rule.ip and rule.size.isdecimal() and int(rule.size):
        said["cidr"] = f"{rule.ip}/{33 - int(rule.size).bit_length()}"
    return said


def is_ipv4(text: str) -> bool:
    return "." in text and ":" not in text and _is_address(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
