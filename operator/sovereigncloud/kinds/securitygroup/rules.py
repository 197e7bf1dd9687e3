"""Convert the rules of a SecurityGroup to OpenNebula's format, and format them for messages."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from sovereigncloud.api.securitygroup import SecurityGroupRule, SecurityGroupSpec
from sovereigncloud.core.outcome import Outcome, merge
from sovereigncloud.kinds.identity.name_resolution import PendingResource, resolve
from sovereigncloud.kinds.identity.usage_rights import not_of_other_tenants
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.ports.opennebula.views import CloudView

_LAST_PORT = 65535
_PROTOCOLS = {"ICMPV6": "ICMPv6", "IPSEC": "IPsec"}


def validate_rules(spec: SecurityGroupSpec) -> None:
    """Validate the rules. Raises ValueError that names the field."""
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
    pending_resources: Iterable[PendingResource],
    place: str,
    owners: frozenset[int] = frozenset(),
) -> tuple[SecurityRule, ...] | Outcome:
    """Return the rules for a cloud, each once, or the networks that it lacks.

    `owners`: users that may own the namespace's resources; networks of other tenants are no candidates, whatever
    their name.
    """
    rules: list[SecurityRule] = []
    troubles: list[Outcome] = []
    awaited = tuple(pending_resources)
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


def format_rule(rule: SecurityRule, view: CloudView) -> str:
    """Format a rule in the terms of spec: Inbound TCP 22,443 from 10.0.0.0+256."""
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
