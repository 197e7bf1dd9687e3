"""Placement: each cycle, the machines that wait are matched with hosts, oldest first."""

import math
import re

from sovereigncloud.sandbox.opennebula import flows
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import refused
from sovereigncloud.sandbox.opennebula.model import SYSTEM, Datastore, Host, HostState, Vm

_NO_HOST = "Cannot dispatch VM: No hosts enabled to run VMs"
# Why hosts were not taken, in the order in which it is said (OpenNebula: SchedulerFailure.cc).
_REASONS = {
    "requirements": "[HOST] Requirements not met on hosts: ",
    "cpu": "[HOST] Not enough CPU on hosts: ",
    "memory": "[HOST] Not enough MEMORY on hosts: ",
    "dispatch": "[HOST] Dispatch limit reached on hosts: ",
    "datastore": "[DS] Not enough capacity on datastores: ",
}


def arm(cloud: Cloud) -> None:
    """A cycle is due if machines wait; cycles keep to their own beat, whenever the machines came."""
    if cloud.scheduler_armed or not cloud.pending:
        return
    cloud.scheduler_armed = True
    period = max(cloud.speeds.scheduler, 0.01)
    # Half a period of distance: a beat computed from floating seconds may be the one that just was.
    beat = math.floor(cloud.now / period + 1.5) * period
    beat = max(beat, math.floor(cloud.quiet_until / period) * period)
    cloud.after(beat - cloud.now, lambda: _cycle(cloud))


def _cycle(cloud: Cloud) -> None:
    cloud.scheduler_armed = False
    hosts = [host for host in cloud.hosts.values() if host.state is HostState.MONITORED]
    for host in hosts:
        host.dispatched = 0
    for oid in sorted(cloud.pending):
        _place(cloud, cloud.vms[oid], hosts)
    arm(cloud)


def _place(cloud: Cloud, vm: Vm, hosts: list[Host]) -> None:
    rejected: dict[str, list[int]] = {}
    requirements = vm.user_template.get("SCHED_REQUIREMENTS")
    best: Host | None = None
    for host in hosts:
        reason = _rejects(cloud, host, vm, requirements)
        if reason:
            rejected.setdefault(reason, []).append(host.oid)
        elif best is None or len(host.vms) < len(best.vms):
            best = host
    if best is not None:
        best.dispatched += 1
        flows.deploy(cloud, vm, best, system_datastore(cloud, best))
    elif cloud.now - vm.pending_since >= cloud.speeds.scheduler * cloud.speeds.sched_message_cycles:
        _say(cloud, vm, rejected)


def _rejects(cloud: Cloud, host: Host, vm: Vm, requirements: str) -> str:
    if requirements and not meets(cloud, host, requirements):
        return "requirements"
    shortage = flows.fits(host, vm.cpu, vm.memory)
    if shortage:
        return "cpu" if "CPU" in shortage else "memory"
    if host.dispatched >= cloud.speeds.max_host:
        return "dispatch"
    # With the ssh drivers a machine's disks are on the disk of its host.
    size = sum(int(disk.get("SIZE", "0") or 0) for disk in vm.disks)
    return "datastore" if size > host.max_disk - host.disk_usage else ""


def _say(cloud: Cloud, vm: Vm, rejected: dict[str, list[int]]) -> None:
    if "datastore" in rejected:
        systems = {system_datastore(cloud, cloud.hosts[oid]).oid for oid in rejected["datastore"]}
        rejected["datastore"] = sorted(systems)
    parts = [text + ",".join(map(str, rejected[key])) for key, text in _REASONS.items() if key in rejected]
    message = " ".join(parts) or _NO_HOST
    current = vm.user_template.get("SCHED_MESSAGE")
    if not current.endswith(f": {message}"):
        vm.user_template.put("SCHED_MESSAGE", f"{flows.log_time(cloud)}: {message}")
        vm.touch()


def system_datastore(cloud: Cloud, host: Host) -> Datastore:
    """The datastore in which a host keeps running disks.

    Raises:
        OneError: 0x800, its cluster has none.
    """
    for one in cloud.datastores.values():
        if one.type == SYSTEM and one.enabled and host.cluster_id in one.clusters:
            return one
    raise refused(f"No system datastores found in cluster [{host.cluster_id}]")


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
