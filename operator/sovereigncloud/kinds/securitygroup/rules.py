"""The rules of a SecurityGroup as OpenNebula keeps them, and how they are said to people."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from sovereigncloud.api.securitygroup import SecurityGroupRule, SecurityGroupSpec
from sovereigncloud.core.outcome import Outcome, merge
from sovereigncloud.kinds.identity.name_resolution import Coming, resolve
from sovereigncloud.kinds.identity.usage_rights import not_of_other_tenants
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.ports.opennebula.views import CloudView

_LAST_PORT = 65535
_PROTOCOLS = {"ICMPV6": "ICMPv6", "IPSEC": "IPsec"}


def check(spec: SecurityGroupSpec) -> None:
    """Raises ValueError, naming the field, for what no cloud could keep."""
    for place, rule in enumerate(spec.rules):
        field = f"spec.rules[{place}]"
        for part in (rule.range or "").split(",") if rule.range else ():
            first, _, last = part.partition(":")
            if not 0 < int(first) <= int(last or first) <= _LAST_PORT:
                raise ValueError(
                    f"{field}.range: {part} is no port or range of ports: write for example 22 or 8000:8080"
                )
        if rule.cidr is not None:
            _network(field, rule.cidr)


def _network(field: str, text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{field}.cidr: {text} is no IPv4 network: {error}") from error


def wanted(
    spec: SecurityGroupSpec,
    view: CloudView,
    on_their_way: Iterable[Coming],
    place: str,
    owners: frozenset[int] = frozenset(),
) -> tuple[SecurityRule, ...] | Outcome:
    """The rules that spec asks for in a cloud, each once; or which network they lack there. `owners`: who may own what is
    made for the namespace; a network of another tenant is no candidate, whatever it is called.
    """
    rules: list[SecurityRule] = []
    troubles: list[Outcome] = []
    awaited = tuple(on_their_way)
    candidates = tuple(not_of_other_tenants(view.networks.values(), view, owners))
    for rule in spec.rules:
        number = ""
        if rule.network is not None:
            network = resolve("network", rule.network, candidates, awaited, place)
            if isinstance(network, Outcome):
                troubles.append(network)
                continue
            number = str(network.id)
        rules.append(_as_kept(rule, number))
    return merge(troubles) if troubles else tuple(dict.fromkeys(rules))


def _as_kept(rule: SecurityGroupRule, network: str) -> SecurityRule:
    block = IPv4Network(rule.cidr) if rule.cidr is not None else None
    return SecurityRule(
        protocol=rule.protocol.upper(),
        direction=rule.direction.upper(),
        range=rule.range or "",
        ip=str(block.network_address) if block else "",
        size=str(block.num_addresses) if block else "",
        network_id=network,
        icmp_type="" if rule.icmp_type is None else str(rule.icmp_type),
    )


def told(rule: SecurityRule, view: CloudView) -> str:
    """In the words of spec: Inbound TCP 22,443 from 10.0.0.0+256."""
    words = [rule.direction.capitalize(), _PROTOCOLS.get(rule.protocol, rule.protocol)]
    if rule.range:
        words.append(rule.range)
    if rule.icmp_type:
        words.append(f"type {rule.icmp_type}")
    towards = "from" if rule.direction == "INBOUND" else "to"
    if rule.ip:
        words += [towards, f"{rule.ip}+{rule.size}"]
    if rule.network_id:
        known = view.networks.get(int(rule.network_id)) if rule.network_id.isdecimal() else None
        words += [towards, f"network {known.name if known else rule.network_id}"]
    return " ".join(words)
