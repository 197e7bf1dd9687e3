"""IPv4 arithmetic for public blocks and address ranges, after OVHcloud's guide.

In a block routed to the vRack the first address is the network, the penultimate the gateway and the last the
broadcast. VMs get all others: of a /28 these are 13, from base+1.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from sovereigncloud.ports.opennebula.views import AddressRange

_SMALLEST_BLOCK = 30


def parse_block(text: str) -> IPv4Network:
    """Parse a public block.

    Raises ValueError: not a block, host bits set, or too small to hold a VM beside its gateway.
    """
    try:
        block = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text} is not an IPv4 block: {error}") from error
    if block.prefixlen > _SMALLEST_BLOCK:
        raise ValueError(
            f"{text} has no address left for a machine beside network, gateway and broadcast; /30 at least"
        )
    return block


def gateway_of(block: IPv4Network) -> str:
    """Return the gateway of a public block, its penultimate address."""
    return str(block.broadcast_address - 1)


def machines_of(block: IPv4Network) -> AddressRange:
    """Return the addresses of a public block that VMs can use."""
    return AddressRange(ip=str(block.network_address + 1), size=block.num_addresses - 3)


def parse_range(ip: str, size: int) -> AddressRange:
    """Parse an address range of spec. Raises ValueError for an invalid address."""
    wanted = AddressRange(ip=ip, size=size)
    try:
        ends(wanted)
    except ValueError as error:
        raise ValueError(f"{shown(wanted)} is not a range of IPv4 addresses: {error}") from error
    return wanted


def ends(range_: AddressRange) -> tuple[IPv4Address, IPv4Address]:
    """Return the first and the last address of a range."""
    first = IPv4Address(range_.ip)
    return first, first + (range_.size - 1)


def contains(range_: AddressRange, ip: str) -> bool:
    """Whether the address is in the range; anything but an IPv4 address is not."""
    try:
        address = IPv4Address(ip)
    except ValueError:
        return False
    first, last = ends(range_)
    return first <= address <= last


def index_of(range_: AddressRange, ip: str) -> int:
    """Return the offset of an address in a range that contains it."""
    return int(IPv4Address(ip)) - int(IPv4Address(range_.ip))


def overlap(one: AddressRange, other: AddressRange) -> bool:
    """Whether two ranges share an address.

    OpenNebula accepts overlapping ranges and would then give one address to two VMs.
    """
    (first, last), (other_first, other_last) = ends(one), ends(other)
    return first <= other_last and other_first <= last


def check_ranges(ranges: Iterable[AddressRange], block: IPv4Network | None, gateway: str) -> None:
    """Validate the address ranges of a network.

    Raises ValueError that names the range and the remedy.
    """
    seen: list[AddressRange] = []
    for wanted in ranges:
        first, last = ends(wanted)
        if block is not None and not (first > block.network_address and last < block.broadcast_address):
            usable = machines_of(block)
            raise ValueError(
                f"range {shown(wanted)} is not within block {block}: machines can have {usable.ip} to {ends(usable)[1]}"
            )
        if gateway and contains(wanted, gateway):
            raise ValueError(f"range {shown(wanted)} contains the gateway {gateway}: a machine would get its address")
        for other in seen:
            if overlap(wanted, other):
                raise ValueError(f"ranges {shown(other)} and {shown(wanted)} overlap")
        seen.append(wanted)


def shown(range_: AddressRange) -> str:
    """Format a range for messages: first address and size."""
    return f"{range_.ip}+{range_.size}"
