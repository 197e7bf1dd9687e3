"""Look up leases: which VM, reservation or hold has an address. The network pool lists all leases."""

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
    """Return the lease of an address; None: it is free."""
    for range_ in network.ranges:
        if range_.ip and contains(range_, ip):
            at = index_of(range_, ip)
            found = next((lease for lease in range_.leases if lease.index == at), None)
            if found is not None:
                return found
    return None


def on_hold(network: Network) -> frozenset[str]:
    """Return the addresses on hold."""
    return frozenset(ip for ip, lease in leases(network) if lease.holder == HOLD)


def leases(network: Network) -> Iterator[tuple[str, Lease]]:
    """Yield every leased address with its lease."""
    for range_ in network.ranges:
        if range_.ip:
            yield from ((address_of(range_, lease), lease) for lease in range_.leases)


def holder(lease: Lease, view: CloudView | None) -> str:
    """Format the holder of a lease for messages: VM 7 "db"."""
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
    """Format the holder of a lease as a clause, with the command that releases a held address."""
    if lease.holder == HOLD:
        return f"it is on hold (onevnet release {network.id} {ip})"
    return f"{holder(lease, view)} has it"
