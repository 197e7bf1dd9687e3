"""CEL rules that several kinds share. The API server checks them at apply, before the operator sees an object.

Each message names the field and the remedy. What only a comparison of two strings or the outside can tell stays with the
controllers.
"""

from __future__ import annotations

from typing import Any

from sovereigncloud.api.common.base import WORDS, Rule


def checked(*rules: Rule) -> dict[str, Any]:
    """Rules for a field whose type is not a model, as the `json_schema_extra` of the field; `self` is its value."""
    return {"x-kubernetes-validations": [rule.as_validation() for rule in rules]}


def instead_of_pattern(*rules: Rule) -> dict[str, Any]:
    """The same, for a field whose pattern says less than these rules: the API server need not show it."""
    return {**checked(*rules), WORDS: ""}


def exactly_one(*fields: str, remedy: str) -> Rule:
    """Exactly one of the fields is set."""
    present = ", ".join(f"has(self.{field})" for field in fields)
    named = f"{', '.join(fields[:-1])} and {fields[-1]}"
    return Rule(f"[{present}].exists_one(present, present)", f"exactly one of {named} must be set: {remedy}")


def immutable(field: str, remedy: str) -> Rule:
    """The field keeps its value, and its absence.

    A rule on the field itself would let it be removed first and then set anew, so it stands on the object around it. That
    object must not be removable itself.
    """
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} cannot be changed: {remedy}",
        field=f".{field}",
    )


def whole_mebibytes(least: str, most: str) -> Rule:
    """A quantity of whole MiB, as OpenNebula counts memory and disks (`core.quantity.mebibytes`).

    `quantity().isInteger()` is false for 1.5Gi, which is 1536Mi: so the nearest number of MiB is taken away.
    """
    number = "quantity(string(self))"
    nearest = f"int({number}.asApproximateFloat() / 1048576.0 + 0.001)"  # right whether int() cuts or rounds
    return Rule(
        f"!isQuantity(string(self)) || {number}.compareTo(quantity('{least}')) >= 0 && {number}.compareTo(quantity('{most}')) <= 0"
        f" && {number}.sub({nearest} * 1048576).compareTo(quantity('0')) == 0",
        f"must be a whole number of MiB from {least} to {most}: write for example 4Gi or 512Mi (4G is not whole MiB)",
    )


NEVER_SMALLER = Rule(
    "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
    "a disk can grow, never shrink: set size to what it was or more",
)

IPV4 = Rule("isIP(self) && ip(self).family() == 4", "must be an IPv4 address, for example 10.100.0.10")
IP = Rule("isIP(self)", "must be an IP address, for example 213.186.33.99")

_PREFIX = "cidr(self.publicBlock).prefixLength()"
_SOUND_BLOCK = (
    f"isCIDR(self.publicBlock) && cidr(self.publicBlock).ip().family() == 4 && {_PREFIX} >= 24 && {_PREFIX} <= 30"
)
_BASE = "int(self.publicBlock.split('/')[0].split('.')[3])"
_SIZE = f"[256, 128, 64, 32, 16, 8, 4][{_PREFIX} - 24]"

PUBLIC_BLOCK = Rule(
    "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()"
    " && cidr(self).prefixLength() >= 24 && cidr(self).prefixLength() <= 30",
    "must be an IPv4 block from /24 to /30 that begins with its first address, for example 57.131.167.176/28",
)
"""A block that OVHcloud routes to a vRack: 4 to 256 addresses, always whole (facts: minimum 4, moved whole)."""

# A block is at most a /24, so its addresses differ in their last number only: CEL, which cannot add to an address, can
# add to that. Usable are those after the first (network) and before the penultimate (gateway) and last (broadcast).
_RANGES_IN_BLOCK = Rule(
    f"!has(self.publicBlock) || !has(self.addressRanges) || !({_SOUND_BLOCK})"
    " || self.addressRanges.all(range, isIP(range.ip) && cidr(self.publicBlock).containsIP(range.ip)"
    f" && int(range.ip.split('.')[3]) > {_BASE} && int(range.ip.split('.')[3]) + range.size <= {_BASE} + {_SIZE} - 2)",
    "every range must lie inside publicBlock, after its first address (network) and before its penultimate (gateway) and"
    " last (broadcast): for 57.131.167.176/28 at most {ip: 57.131.167.177, size: 13}; or leave addressRanges out",
    field=".addressRanges",
)

_KEEP_NETWORK = "delete the network and make another of a new name"

NETWORK_RULES = (
    exactly_one(
        "publicBlock", "vlanID", remedy="publicBlock for an IP block routed to the vRack, vlanID for an 802.1Q network"
    ),
    Rule(
        "!has(self.vlanID) || (has(self.addressRanges) && self.addressRanges.size() > 0)",
        "a network with vlanID needs addressRanges: add for example {ip: 10.100.0.10, size: 200}",
    ),
    _RANGES_IN_BLOCK,
    immutable("publicBlock", _KEEP_NETWORK),
    immutable("vlanID", _KEEP_NETWORK),
)
"""For an object with publicBlock, vlanID and addressRanges."""

NETWORK_SOURCES = ("publicBlock", "vlanID", "vxlanID", "bridge", "reservation")
VIRTUAL_NETWORK_RULES = (
    exactly_one(
        *NETWORK_SOURCES,
        remedy="publicBlock for an IP block routed to the vRack, vlanID for an 802.1Q network, vxlanID for a VXLAN, bridge for"
        " one that the hosts have already, reservation for a part of another network",
    ),
    Rule(
        "has(self.publicBlock) || (has(self.addressRanges) && self.addressRanges.size() > 0)",
        "a network without publicBlock needs addressRanges: add for example {ip: 10.100.0.10, size: 200}",
    ),
    Rule(
        "!has(self.physicalDevice) || has(self.publicBlock) || has(self.vlanID) || has(self.vxlanID)",
        "physicalDevice is for publicBlock, vlanID and vxlanID: leave it out, a bridge has its own and a reservation that of"
        " its network",
        field=".physicalDevice",
    ),
    _RANGES_IN_BLOCK,
    *(immutable(source, _KEEP_NETWORK) for source in NETWORK_SOURCES),
)
"""For a VirtualNetwork, which can be more than a network of a hosted cloud."""

RANGE_ENDS = Rule(
    "!isIP(self.ip) || self.ip.split('.').size() != 4 || int(self.ip.split('.')[0]) * 16777216"
    " + int(self.ip.split('.')[1]) * 65536 + int(self.ip.split('.')[2]) * 256 + int(self.ip.split('.')[3])"
    " + self.size <= 4294967296",
    "size reaches beyond 255.255.255.255: make it smaller",
)

NAME_FITS_OUTSIDE = Rule(
    "has(self.spec.name) || self.metadata.name.size() <= 128",
    "metadata.name is longer than the 128 characters that a name outside may have: set spec.name or use a shorter name",
)
