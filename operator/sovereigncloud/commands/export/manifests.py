"""From what stands to the manifests that say so. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.commands.export.live_inventory import Found
from sovereigncloud.commands.export.names import one_line
from sovereigncloud.ports.opennebula.views import Network
from sovereigncloud.ports.ovh.account import ServerSummary, VrackView

Json = dict[str, Any]
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NETWORK = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,62}[A-Za-z0-9])?")
_SAY_IT = "set management: Manage in it when status says what you expect"


@dataclass(frozen=True, slots=True)
class Names:
    """What is called how in the manifests: the namespace, the Secrets in it, and which of OVHcloud's APIs."""

    namespace: str
    ovh_secret: str = "ovh-account"  # noqa: S105 - the name of one
    open_nebula_secret: str = "opennebula"  # noqa: S105 - the name of one
    endpoint: str = "ovh-eu"
    front_end: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Documents for kubectl, the Secrets to make first, and what could not be written down."""

    documents: tuple[Json, ...]
    secrets: tuple[str, ...]
    notes: tuple[str, ...]
    comments: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """By kind and name: what is left out of one document, or should be known of it."""


def exported(found: Found, names: Names) -> Export:
    """A SovereignCloud for the vRack that the OpenNebula is in, a BareMetalServer for every server that is in none."""
    notes: list[str] = []
    documents: list[Json] = []
    taken: set[str] = set()
    vracks = {server: vrack for vrack in found.account.vracks.values() for server in vrack.interfaces.values()}
    called = _called(found.account.servers.values())
    if found.cloud is not None:
        cloud, taken = _cloud(found, names, vracks, called, notes)
        documents += [cloud] if cloud else []
    for service in sorted(found.account.servers.keys() - taken):
        documents.append(_server(found.account.servers[service], called[service], vracks.get(service), names))
    secrets = [_ovh_secret(names)] + ([one_secret(names)] if taken else [])
    return Export(tuple(documents), tuple(secrets) if documents else (), tuple(notes))


# --- the cloud -------------------------------------------------------------------------------------------------------------


def _cloud(
    found: Found, names: Names, vracks: Mapping[str, VrackView], called: Mapping[str, str], notes: list[str]
) -> tuple[Json | None, set[str]]:
    """The cloud, and the service names of its servers."""
    roles = _roles(found, names)
    front = next((service for service, does in roles.items() if "Frontend" in does), None)
    if front is None:
        where = ", ".join(sorted(found.front)) or found.url
        notes.append(
            f"no server in a vRack has the address of the front-end ({where}): name its service with --front-end to have a"
            " SovereignCloud written"
        )
        return None, set()
    vrack = vracks[front]
    members = {service: does for service, does in roles.items() if vracks.get(service) == vrack}
    notes += [
        f"server {service} is a host of the OpenNebula but in another vRack than the front-end: it is written as a"
        " BareMetalServer"
        for service in sorted(roles.keys() - members.keys())
    ]
    assert found.cloud is not None  # noqa: S101 - asked for by the caller
    addresses = {found.details[service].ip for service in members}
    notes += [
        f"host {host.id} ({host.name}) of the OpenNebula is none of the account's servers in {vrack.name}: the cloud will"
        " not look after it"
        for host in found.cloud.hosts.values()
        if host.name not in addresses
    ]
    hosted: Json = {
        "ovh": {
            "endpoint": names.endpoint,
            "credentialsSecretRef": {"name": names.ovh_secret},
            "vrack": vrack.name,
            "servers": [_hosted(found.account.servers[one], called[one], members[one]) for one in sorted(members)],
        },
        "openNebula": {
            "adopt": {"endpoint": found.url, "credentialsSecretRef": {"name": names.open_nebula_secret}},
        },
    }
    networks = _networks(found.cloud.networks.values(), vrack, notes)
    if networks:
        hosted["networks"] = networks
    return _document("SovereignCloud", vrack.name.lower(), names, {"hosted": hosted}), set(members)


def _roles(found: Found, names: Names) -> dict[str, list[str]]:
    """By service name, of the servers that are matched to the front-end or to a host by their address."""
    hosts = {host.name for host in found.cloud.hosts.values()} if found.cloud else set()
    roles: dict[str, list[str]] = {}
    for service, server in found.details.items():
        front = service == names.front_end if names.front_end else server.ip in found.front
        does = [*(["Frontend"] if front else []), *(["Node"] if server.ip in hosts else [])]
        if does:
            roles[service] = does
    return roles


def _hosted(server: ServerSummary, name: str, roles: list[str]) -> Json:
    shown = server.display_name or server.service_name
    different = {"displayName": shown} if shown != name else {}
    return {"name": name, "serviceName": server.service_name, **different, "roles": roles}


# --- networks --------------------------------------------------------------------------------------------------------------


def _networks(networks: Iterable[Network], vrack: VrackView, notes: list[str]) -> list[Json]:
    """Those that a VirtualNetwork can say: a public block of the vRack, or an 802.1Q VLAN."""
    found: list[Json] = []
    used: set[str] = set()
    for network in sorted(networks, key=lambda one: one.id):
        spec = _network(network, vrack)
        called = network.name.lower().replace("_", "-")
        if isinstance(spec, str):
            notes.append(f'network {network.id} "{network.name}" is left out: {spec}')
        elif called in used or not _NETWORK.fullmatch(network.name):
            notes.append(f'network {network.id} "{network.name}" is left out: its name cannot be that of an entry')
        else:
            used.add(called)
            found.append({"name": network.name, **spec})
    return found


def _network(network: Network, vrack: VrackView) -> Json | str:
    """Its entry without the name, or why there is none."""
    block = _block(network, vrack.blocks)
    vlan = network.attributes.get("VLAN_ID", "")
    ranges = [{"ip": one.ip, "size": one.size} for one in network.ranges]
    if any(":" in one.ip or not one.ip for one in network.ranges):
        return "it has address ranges that are not IPv4"
    if block is not None:
        return {"publicBlock": block, **({"addressRanges": ranges} if ranges else {})}
    if vlan.isdecimal() and 1 <= int(vlan) <= 4094:
        return {"vlanID": int(vlan), **({"addressRanges": ranges} if ranges else {})}
    return f"it is neither in a block that is routed to {vrack.name} nor an 802.1Q VLAN with a VLAN_ID"


def _block(network: Network, blocks: Iterable[str]) -> str | None:
    for text in sorted(blocks):
        block = ipaddress.ip_network(text)
        address = network.attributes.get("NETWORK_ADDRESS", "")
        if address == str(block.network_address):
            return text
        if any(one.ip and ipaddress.ip_address(one.ip) in block for one in network.ranges):
            return text
    return None


# --- servers on their own --------------------------------------------------------------------------------------------------


def _server(server: ServerSummary, name: str, vrack: VrackView | None, names: Names) -> Json:
    ovh: Json = {
        "endpoint": names.endpoint,
        "credentialsSecretRef": {"name": names.ovh_secret},
        "serviceName": server.service_name,
    }
    if vrack is not None:
        ovh["vrack"] = vrack.name
    shown = server.display_name or server.service_name
    return _document("BareMetalServer", name, names, {**({"name": shown} if shown != name else {}), "ovh": ovh})


def _called(servers: Iterable[ServerSummary]) -> dict[str, str]:
    """A name for each, by service name: its display name where that may be one, else the first part of the service name."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for server in sorted(servers, key=lambda one: one.service_name):
        first = server.service_name.partition(".")[0].lower()
        plain = server.service_name.lower().replace(".", "-")
        wishes = [server.display_name, first, plain, *(f"{plain}-{number}" for number in range(2, 1000))]
        name = next(one for one in wishes if _LABEL.fullmatch(one) and one not in used)
        used.add(name)
        found[server.service_name] = name
    return found


# --- as kubectl takes them ---------------------------------------------------------------------------------------------------


def _document(kind: str, name: str, names: Names, spec: Json) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": names.namespace},
        "spec": {"management": "Observe", **spec},
    }


def _ovh_secret(names: Names) -> str:
    return (
        f"kubectl create secret generic {names.ovh_secret} --namespace {names.namespace}"
        " --from-literal=clientId=... --from-literal=clientSecret=..."
    )


def one_secret(names: Names) -> str:
    return (
        f"kubectl create secret generic {names.open_nebula_secret} --namespace {names.namespace}"
        " --from-literal=username=oneadmin --from-literal=password=..."
    )


def as_yaml(export: Export) -> str:
    """Documents, under comments with what to do first and what is not in them."""
    from sovereigncloud.commands.export.yaml_output import dumped  # noqa: PLC0415 - for those who ask for it

    lines = ["# What stands, written down by `sovereign export`. Applied, nothing is changed outside: " + _SAY_IT + "."]
    if export.secrets:
        lines += ["# Make these Secrets first; no password is written here:", *(f"#   {one}" for one in export.secrets)]
    if export.notes:
        lines += ["# Not in it:", *(f"# - {one_line(one)}" for one in export.notes)]
    for one in export.documents:
        told = export.comments.get((one["kind"], one["metadata"]["name"]), ())
        lines += ["---", *(f"# {one_line(line)}" for line in told)]
        lines.append(dumped(one).rstrip("\n"))
    return "\n".join(lines) + "\n"


def as_json(export: Export) -> Json:
    """A list that kubectl takes; what it does not know of, it leaves alone."""
    return {"apiVersion": "v1", "kind": "List", "items": list(export.documents)}
