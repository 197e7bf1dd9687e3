"""Who may speak to the servers themselves, as `firewall.yml` reads it. The machines' own traffic is bridged past it."""

from __future__ import annotations

import ipaddress
from typing import Any

from sovereigncloud.ports.installer.installation import Installation

Json = dict[str, Any]

# OVHcloud's monitoring, by datacentre, and its ping server (OVHcloud docs, network-ip-monitoring). A server that does not
# answer it gets a visit from a technician.
PROBES = (
    "92.222.184.0/24",
    "92.222.185.0/24",
    "92.222.186.0/24",
    "51.38.117.56/32",
    "57.130.4.212/32",
    "193.70.125.118/32",
    "213.186.33.13/32",
)
_PROBE_OFFSETS = (250, 251)  # of each server's own /24

_SSH = 22
_WITH_CERTIFICATE = (80, 443)
_IN_CLEAR = (2616, 2633)  # Sunstone, XML-RPC
_ONEGATE = 5030


def firewall(installation: Installation) -> Json:
    """Sources by family, the servers among themselves, the probes, and which ports are open to whom."""
    reach = installation.reach
    sources = [ipaddress.ip_network(r) for r in reach.source_ranges]
    return {
        "sources4": _merged(n for n in sources if isinstance(n, ipaddress.IPv4Network)),
        "sources6": _merged(n for n in sources if isinstance(n, ipaddress.IPv6Network)),
        "servers": _merged(_servers(installation)),
        "probes": _merged([*map(ipaddress.IPv4Network, PROBES), *_neighbours(installation)]),
        "machines": _merged(map(ipaddress.IPv4Network, reach.machine_ranges)),
        "ports": [_SSH, *(_WITH_CERTIFICATE if reach.tls_secret else _IN_CLEAR)],
        "machine_ports": [_ONEGATE],
    }


def _servers(installation: Installation) -> list[ipaddress.IPv4Network]:
    addresses = [t.address for t in installation.targets if t.address]
    if installation.virtual_ip is not None:
        addresses.append(installation.virtual_ip.address)
    return [ipaddress.IPv4Network(a) for a in addresses]


def _neighbours(installation: Installation) -> list[ipaddress.IPv4Network]:
    """The two addresses in the network of each server from which it is probed, too."""
    found = []
    for target in installation.targets:
        if target.address:
            base = ipaddress.IPv4Network(f"{target.address}/24", strict=False).network_address
            found += [ipaddress.IPv4Network(base + offset) for offset in _PROBE_OFFSETS]
    return found


def _merged(networks: Any) -> list[str]:
    """Without overlaps, which a set of nftables refuses."""
    return [str(n) for n in ipaddress.collapse_addresses(networks)]
