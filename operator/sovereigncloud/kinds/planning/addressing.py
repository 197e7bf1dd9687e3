"""The arithmetic of IPv4 blocks and address ranges, as OVHcloud's guide does it by hand.

Of a block routed to the vRack the first address is the network, the penultimate the gateway, the last the broadcast;
machines get all others: of a /28 these are 13, from base+1.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from sovereigncloud.ports.opennebula.views import AddressRange

_SMALLEST_BLOCK = 30


def parse_block(text: str) -> IPv4Network:
    """A public block. Raises ValueError: not a block, host bits set, too small to hold a machine beside its gateway."""
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
    """The penultimate address."""
    return str(block.broadcast_address - 1)


def machines_of(block: IPv4Network) -> AddressRange:
    """All that machines can get."""
    return AddressRange(ip=str(block.network_address + 1), size=block.num_addresses - 3)


def parse_range(ip: str, size: int) -> AddressRange:
    """A range of spec. Raises ValueError where an address is none."""
    wanted = AddressRange(ip=ip, size=size)
    try:
        ends(wanted)
    except ValueError as error:
        raise ValueError(f"{shown(wanted)} is not a range of IPv4 addresses: {error}") from error
    return wanted


def ends(range_: AddressRange) -> tuple[IPv4Address, IPv4Address]:
    """First and last address."""
    first = IPv4Address(range_.ip)
    return first, first + (range_.size - 1)


def contains(range_: AddressRange, ip: str) -> bool:
    """Whether the address is in the range; what is no IPv4 address is in none."""
    try:
        address = IPv4Address(ip)
    except ValueError:
        return False
    first, last = ends(range_)
    return first <= address <= last


def index_of(range_: AddressRange, ip: str) -> int:
    """The place of an address in a range that contains it."""
    return int(IPv4Address(ip)) - int(IPv4Address(range_.ip))


def overlap(one: AddressRange, other: AddressRange) -> bool:
    """OpenNebula does not refuse overlapping ranges: two machines would get one address."""
    (first, last), (other_first, other_last) = ends(one), ends(other)
    return first <= other_last and other_first <= last


def check_ranges(ranges: Iterable[AddressRange], block: IPv4Network | None, gateway: str) -> None:
    """Raises ValueError, naming the range and the remedy, for one that a network cannot have."""
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
    """For people: first address and number."""
    return f"{range_.ip}+{range_.size}"
