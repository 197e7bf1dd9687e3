"""CONTEXT: the contextualization variables of a VM's guest."""

import re

from sovereigncloud_sandbox.opennebula.access import Caller
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.model import Vm, VNet
from sovereigncloud_sandbox.opennebula.template import Vector

# ETHn_* in CONTEXT: what the guest is told of a NIC, and where it comes from.
_NETWORK_CONTEXT = {
    "DNS": "DNS",
    "EXTERNAL": "EXTERNAL",
    "GATEWAY": "GATEWAY",
    "IP": "IP",
    "IP6": "IP6",
    "IP6_GATEWAY": "GATEWAY6",
    "IP6_METHOD": "IP6_METHOD",
    "IP6_METRIC": "IP6_METRIC",
    "IP6_PREFIX_LENGTH": "PREFIX_LENGTH",
    "IP6_ULA": "IP6_ULA",
    "MAC": "MAC",
    "MASK": "NETWORK_MASK",
    "METHOD": "METHOD",
    "METRIC": "METRIC",
    "MTU": "GUEST_MTU",
    "NETWORK": "NETWORK_ADDRESS",
    "ROUTES": "ROUTES",
    "SEARCH_DOMAIN": "SEARCH_DOMAIN",
    "VLAN_ID": "VLAN_ID",
    "VROUTER_IP": "VROUTER_IP",
    "VROUTER_IP6": "VROUTER_IP6",
    "VROUTER_MANAGEMENT": "VROUTER_MANAGEMENT",
}
_VARIABLE = re.compile(r"\$(?:(USER|NETWORK)\[([A-Z0-9_]+)[^\]]*\]|([A-Z][A-Z0-9_]*))")


def set_context(cloud: Cloud, caller: Caller, vm: Vm, wanted: Vector) -> None:
    """CONTEXT as the guest gets it: variables filled in, and what it has to know of its NICs."""
    current = vm.template.vector("CONTEXT") or {}
    context = {key: _filled(cloud, caller, vm, value) for key, value in wanted.items()}
    taken = {int(one["DISK_ID"]) for one in vm.disks}
    context["DISK_ID"] = current.get("DISK_ID") or str(max(taken, default=-1) + 1)
    context["TARGET"] = wanted.get("TARGET") or "hda"
    vm.template.put("CONTEXT", context)
    set_network_context(cloud, vm)


def set_network_context(cloud: Cloud, vm: Vm) -> None:
    """The ETHn_* of CONTEXT, where NETWORK asks for them."""
    context = vm.template.vector("CONTEXT")
    if context is None:
        return
    for key in [key for key in context if re.match(r"ETH\d+_", key)]:
        del context[key]
    if context.get("NETWORK", "").upper() != "YES":
        return
    for nic in vm.nics:
        network = cloud.vnets.get(int(nic.get("NETWORK_ID", "-1")))
        for name, source in _NETWORK_CONTEXT.items():
            value = nic.get(source, "") or (_from_network(network, nic, source) if network else "")
            context[f"ETH{nic['NIC_ID']}_{name}"] = value


def _from_network(network: VNet, nic: Vector, name: str) -> str:
    for one in network.ranges:
        if str(one.ar_id) == nic.get("AR_ID") and one.extra.get(name):
            return one.extra[name]
    return network.template.get(name)


def _filled(cloud: Cloud, caller: Caller, vm: Vm, value: str) -> str:
    def fill(match: re.Match[str]) -> str:
        scope, key, plain = match.groups()
        if scope == "USER":
            return caller.user.template.get(key)
        if scope == "NETWORK":
            nic = vm.nics[0] if vm.nics else {}
            network = cloud.vnets.get(int(nic.get("NETWORK_ID", "-1")))
            return _from_network(network, nic, key) if network else ""
        if plain == "NAME":
            return vm.name
        if plain == "VMID":
            return str(vm.oid)
        return vm.template.get(plain) or vm.user_template.get(plain) or match.group()

    return _VARIABLE.sub(fill, value)
