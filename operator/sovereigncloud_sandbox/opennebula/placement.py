"""Which hosts a machine may be on: the clusters of its parts, its owner's rights, and SCHED_REQUIREMENTS."""

import re

from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, Caller, by_rule
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, Host, Vm
from sovereigncloud_sandbox.opennebula.model_storage import SYSTEM


def require(cloud: Cloud, vm: Vm) -> None:
    """Write down in which clusters the machine's disks and networks all are.

    Raises:
        OneError: 0x2000, there is none.
    """
    common = clusters(cloud, vm)
    if common is None:
        common = set(cloud.clusters)
    one_of = " | ".join(f"CLUSTER_ID = {oid}" for oid in sorted(common))
    within = " | ".join(f'"CLUSTERS/ID" @> {oid}' for oid in sorted(common))
    vm.template.put("AUTOMATIC_DS_REQUIREMENTS", f"({within})")
    if vm.nics:
        vm.template.put("AUTOMATIC_NIC_REQUIREMENTS", f"({within})")
    vm.template.put("AUTOMATIC_REQUIREMENTS", f"({one_of}) & !(PIN_POLICY = PINNED)")


def clusters(cloud: Cloud, vm: Vm) -> set[int] | None:
    """The clusters that all disks and networks of a machine share; None where nothing ties it.

    Raises:
        OneError: 0x2000, they share none.
    """
    common: set[int] | None = None
    for number, disk in enumerate(vm.disks):
        image = cloud.images.get(int(disk.get("IMAGE_ID", "-1")))
        if image is not None:
            here = cloud.datastores[image.datastore_id].clusters
            common = _narrowed(common, here, f"DISK. Datastore for DISK {number}")
    for number, nic in enumerate(vm.nics):
        network = cloud.vnets.get(int(nic.get("NETWORK_ID", "-1")))
        if network is not None:
            common = _narrowed(common, network.clusters, f"NIC. Network for NIC {number}")
    return common


def _narrowed(common: set[int] | None, here: set[int], what: str) -> set[int]:
    part, _, of_it = what.partition(". ")
    if not here:
        raise internal(f"Missing clusters. {of_it} is not in any cluster")
    if common is None:
        return set(here)
    if not common & here:
        others = f"(cluster {','.join(map(str, sorted(common)))})"
        raise internal(
            f"Incompatible clusters in {part}. {of_it} is not in the same cluster as the one used by other VM elements "
            f"{others}"
        )
    return common & here


# ---------------------------------------------------------------------------------------------------------- matching


def match(cloud: Cloud, vm: Vm, hosts: list[Host]) -> tuple[list[Host], str]:
    """The hosts that a machine may be placed on; where there are none, what is said of it."""
    owner = cloud.users.get(vm.uid)
    if not hosts or owner is None:
        return [], ""
    caller = Caller(owner, frozenset(owner.groups))
    anything = ONEADMIN in {vm.uid, vm.gid}
    allowed = [host for host in hosts if anything or by_rule(cloud, caller, MANAGE, "HOST", host)]
    if not allowed:
        return [], "Cannot dispatch VM: User is not authorized to use any host"
    wanted = vm.user_template.get("SCHED_REQUIREMENTS")
    within = clusters(cloud, vm)
    met = [
        host
        for host in allowed
        if (within is None or host.cluster_id in within) and (not wanted or meets(cloud, host, wanted))
    ]
    if not met:
        return [], "Cannot dispatch VM: No host meets SCHED_REQUIREMENTS"
    systems = [one for one in cloud.datastores.values() if one.type == SYSTEM and one.enabled]
    usable = [one for one in systems if anything or by_rule(cloud, caller, USE, "DATASTORE", one)]
    if not usable:
        return [], "Cannot dispatch VM: User is not authorized to use any system datastore"
    kept = [host for host in met if any(host.cluster_id in one.clusters for one in usable)]
    return kept, "" if kept else "Cannot dispatch VM: No system datastore meets SCHED_DS_REQUIREMENTS"


# ------------------------------------------------------------------------------------------------------ requirements

_TOKEN = re.compile(r'\s*(?:([&|!()])|("?[\w/.]+"?)\s*(!=|@>|=|<|>)\s*("[^"]*"|[^\s&|!()]+))')


def meets(cloud: Cloud, host: Host, requirements: str) -> bool:
    """Whether a host meets SCHED_REQUIREMENTS; what cannot be read is met by none."""
    try:
        value, rest = _either(_tokens(requirements), 0, _facts(cloud, host))
    except (IndexError, ValueError):
        return False
    return value and rest == len(_tokens(requirements))


def _facts(cloud: Cloud, host: Host) -> dict[str, str]:
    facts = {name: value for name, value in host.template if isinstance(value, str)}
    facts.update(
        ID=str(host.oid),
        NAME=host.name,
        CLUSTER_ID=str(host.cluster_id),
        CLUSTER=cloud.clusters[host.cluster_id].name,
    )
    return facts


def _tokens(text: str) -> list[tuple[str, str, str]]:
    tokens = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(text)
        sign, name, operator, value = match.groups()
        tokens.append((sign, "", "") if sign else (name.strip('"'), operator, value.strip('"')))
        at = match.end()
    return tokens


def _either(tokens: list[tuple[str, str, str]], at: int, facts: dict[str, str]) -> tuple[bool, int]:
    value, at = _single(tokens, at, facts)
    while at < len(tokens) and tokens[at][0] in {"&", "|"}:
        operator = tokens[at][0]
        other, at = _single(tokens, at + 1, facts)
        value = value and other if operator == "&" else value or other
    return value, at


def _single(tokens: list[tuple[str, str, str]], at: int, facts: dict[str, str]) -> tuple[bool, int]:
    head, operator, wanted = tokens[at]
    if head == "!":
        value, at = _single(tokens, at + 1, facts)
        return not value, at
    if head == "(":
        value, at = _either(tokens, at + 1, facts)
        if tokens[at][0] != ")":
            raise ValueError(head)
        return value, at + 1
    return _compare(facts.get(head.upper(), ""), operator, wanted), at + 1


def _compare(fact: str, operator: str, wanted: str) -> bool:
    match operator:
        case "=":
            return bool(re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), fact))
        case "!=":
            return fact != wanted
        case "@>":
            return wanted in fact.split(",")
        case "<":
            return float(fact or "nan") < float(wanted)
        case ">":
            return float(fact or "nan") > float(wanted)
        case _:
            raise ValueError(operator)
