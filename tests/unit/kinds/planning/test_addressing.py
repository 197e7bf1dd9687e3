from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereigncloud.kinds.planning.addressing import (
    check_ranges,
    contains,
    ends,
    gateway_of,
    machines_of,
    overlap,
    parse_block,
    parse_range,
)
from sovereigncloud.ports.opennebula.views import AddressRange


@pytest.mark.parametrize(
    ("block", "first", "size", "gateway", "why"),
    [
        ("57.131.167.176/28", "57.131.167.177", 13, "57.131.167.190", "the guide's own example"),
        ("10.0.0.0/30", "10.0.0.1", 1, "10.0.0.2", "the smallest block that holds a machine"),
        ("10.0.0.0/24", "10.0.0.1", 253, "10.0.0.254", "a large one"),
    ],
)
def test_addresses_of_a_block(block: str, first: str, size: int, gateway: str, why: str) -> None:
    parsed = parse_block(block)
    assert machines_of(parsed) == AddressRange(first, size), why
    assert gateway_of(parsed) == gateway, why


@given(st.integers(0, 2**32 - 1), st.integers(8, 30))
def test_machines_get_every_address_but_network_gateway_and_broadcast(base: int, prefix: int) -> None:
    block = IPv4Network((base & (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF, prefix))
    machines = machines_of(block)
    first, last = ends(machines)
    assert int(first) - 1 == int(block.network_address)
    assert int(last) + 2 == int(block.broadcast_address)
    assert not contains(machines, gateway_of(block))
    assert contains(machines, str(last))


@pytest.mark.parametrize(
    ("text", "says", "why"),
    [
        ("57.131.167.177/28", "host bits", "an address of the block instead of the block"),
        ("10.0.0.0/31", "no address left", "no room for a machine beside the gateway"),
        ("999.0.0.0/24", "not an IPv4 block", "passes the pattern of the schema and is no address"),
    ],
)
def test_no_block(text: str, says: str, why: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_block(text)


@pytest.mark.parametrize(
    ("ranges", "block", "gateway", "says", "why"),
    [
        ([("10.0.0.0", 5)], "10.0.0.0/24", "10.0.0.254", "not within block", "begins at the network address"),
        ([("10.0.0.250", 6)], "10.0.0.0/24", "", "not within block", "ends at the broadcast address"),
        ([("10.0.1.1", 6)], "10.0.0.0/24", "", "not within block", "lies in the neighbour's block"),
        ([("10.0.0.250", 5)], "10.0.0.0/24", "10.0.0.254", "contains the gateway", "a machine would get its address"),
        ([("10.0.0.1", 9), ("10.0.0.9", 2)], None, "", "overlap", "two machines would get one address"),
    ],
)
def test_ranges_that_cannot_be(ranges: list, block: str | None, gateway: str, says: str, why: str) -> None:
    parsed = [AddressRange(ip, size) for ip, size in ranges]
    with pytest.raises(ValueError, match=says):
        check_ranges(parsed, parse_block(block) if block else None, gateway)


def test_ranges_that_touch_do_not_overlap() -> None:
    check_ranges([AddressRange("10.0.0.1", 9), AddressRange("10.0.0.10", 2)], None, "10.0.0.12")


def test_a_range_beyond_the_last_address_is_refused() -> None:
    with pytest.raises(ValueError, match="not a range"):
        parse_range("255.255.255.250", 10)


@given(st.integers(0, 300), st.integers(1, 60), st.integers(0, 300), st.integers(1, 60))
def test_overlap_is_having_an_address_in_common(a: int, n: int, b: int, m: int) -> None:
    one, other = (AddressRange(str(ends(AddressRange("10.0.0.0", 1))[0] + x), s) for x, s in ((a, n), (b, m)))
    assert overlap(one, other) == bool(set(range(a, a + n)) & set(range(b, b + m)))
    assert overlap(one, other) == overlap(other, one)
