"""Who has which address of a network, in words. The pool tells it of every network in one call."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from sovereigncloud.kinds.planning.addressing import contains, index_of
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Network

HOLD = "HOLD"


def address_of(range_: AddressRange, lease: Lease) -> str:
    return str(IPv4Address(range_.ip) + lease.index)


def lease_of(network: Network, ip: str) -> Lease | None:
    """Who has the address; None: nobody."""
    for range_ in network.ranges:
        if range_.ip and contains(range_, ip):
            at = index_of(range_, ip)
            found = next((lease for lease in range_.leases if lease.index == at), None)
            if found is not None:
                return found
    return None


def on_hold(network: Network) -> frozenset[str]:
    """The addresses that nobody is given."""
    return frozenset(ip for ip, lease in leases(network) if lease.holder == HOLD)


def leases(network: Network) -> Iterator[tuple[str, Lease]]:
    """Every address that is taken, and by whom."""
    for range_ in network.ranges:
        if range_.ip:
            yield from ((address_of(range_, lease), lease) for lease in range_.leases)


def holder(lease: Lease, view: CloudView | None) -> str:
    """Who has it: VM 7 "db"."""
    match lease.holder:
        case "VM":
            vm = view.vms.get(lease.id) if view is not None else None
            return f'VM {lease.id} "{vm.name}"' if vm else f"VM {lease.id}"
        case "NET":
            other = view.networks.get(lease.id) if view is not None else None
            return f'reservation {lease.id} "{other.name}"' if other else f"reservation {lease.id}"
        case "HOLD":
            return "somebody who put it on hold"
        case word:
            return f"{word} {lease.id}"


def taken_by(lease: Lease, ip: str, network: Network, view: CloudView | None) -> str:
    """The same as a sentence, with what frees a held address."""
    if lease.holder == HOLD:
        return f"it is on hold (onevnet release {network.id} {ip})"
    return f"{holder(lease, view)} has it"
