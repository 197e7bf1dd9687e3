"""one.secgroup.*: rules, and how they reach the machines."""

import re
from ipaddress import ip_address

from sovereigncloud_sandbox.opennebula import machines, render, rollout
from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, owned_calls
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal, refused
from sovereigncloud_sandbox.opennebula.model import SecurityGroup, Vm
from sovereigncloud_sandbox.opennebula.template import Template, Vector, parse

_PROTOCOLS = frozenset({"ALL", "TCP", "UDP", "ICMP", "ICMPV6", "IPSEC"})
_PORTS = re.compile(r"\d+(:\d+)?(,\d+(:\d+)?)*")
_HIGHEST_PORT, _MOST_PORTS = 65535, 15


def set_rules(one: SecurityGroup, template: Template) -> None:
    """Take over a new template; a rule that is there twice counts once.

    Raises:
        OneError: 0x2000, a rule is wrong.
    """
    rules: list[Vector] = []
    for rule in template.vectors("RULE"):
        if problem := _wrong_protocol(rule) or _wrong_ports(rule) or _wrong_target(rule):
            raise internal(problem)
        if rule not in rules:
            rules.append(rule)
    template.put("RULE", *rules)
    one.template = template


def _wrong_protocol(rule: Vector) -> str:
    protocol = rule.get("PROTOCOL", "").upper()
    if protocol not in _PROTOCOLS:
        return "Wrong PROTOCOL in rule. Valid options: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL."
    for name, wanted in (("ICMP_TYPE", "ICMP"), ("ICMPV6_TYPE", "ICMPV6")):
        value = rule.get(name, "")
        if value and protocol != wanted:
            return f"{name} is supported only for {wanted} protocol."
        if value and not value.isdecimal():
            return f"Wrong {name}, it must be integer"
    return ""


def _wrong_ports(rule: Vector) -> str:
    ports = rule.get("RANGE", "")
    if not ports:
        return ""
    if rule.get("PROTOCOL", "").upper() not in {"TCP", "UDP"}:
        return "RANGE is supported only for TCP and UDP protocols."
    if not _PORTS.fullmatch(ports):
        return "Invalid RANGE specification."
    numbers = 0
    for part in ports.split(","):
        first, _, last = part.partition(":")
        if int(last or first) > _HIGHEST_PORT:
            return "RANGE out of bounds 0-65536."
        if last and int(last) < int(first):
            return "RANGE BEGIN value is greater than RANGE END value"
        numbers += 2 if last else 1
    return "Not more than 15 ports can be specified in a RULE" if numbers > _MOST_PORTS else ""


def _wrong_target(rule: Vector) -> str:
    if rule.get("RULE_TYPE", "").upper() not in {"INBOUND", "OUTBOUND"}:
        return "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."
    if rule.get("IP"):
        if not rule.get("SIZE", "").isdecimal():
            return "Wrong or empty SIZE."
        try:
            ip_address(rule["IP"])
        except ValueError:
            return "Wrong format for IP value."
    elif rule.get("NETWORK_ID") and not rule["NETWORK_ID"].isdecimal():
        return "Wrong NETWORK_ID."
    return ""


def _rules_changed(cloud: Cloud, one: SecurityGroup, template: Template) -> None:
    set_rules(one, template)
    _commit_rules(cloud, one, recover=False)


def _commit_rules(cloud: Cloud, one: SecurityGroup, *, recover: bool) -> None:
    def apply(vm: Vm) -> bool:
        machines.add_rules(vm, one)
        return True

    rollout.commit(cloud, rollout.Change(one.rollout, apply), recover=recover)


SECGROUP = Kind(
    kind="SECGROUP",
    prefix="one.secgroup",
    root="SECURITY_GROUP_POOL",
    pool=lambda cloud: cloud.security_groups,
    show=lambda _, one: render.security_group(one),
    row=lambda _, one: render.security_group(one),
    changed=_rules_changed,
)


def secgroup_allocate(context: Context, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    authorize_create(cloud, caller, "SECGROUP")
    name = template.take("NAME")
    if not name:
        raise internal("No NAME in template for Security Group.")
    cloud.claim_name(cloud.security_groups, "SECGROUP", name, caller.uid)
    one = SecurityGroup(cloud.next_id("SECGROUP"), name, caller.uid, caller.gid, caller.user.name, caller.user.gname)
    set_rules(one, template)
    cloud.security_groups[one.oid] = one
    return one.oid


def secgroup_clone(context: Context, oid: int, name: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    source: SecurityGroup = SECGROUP.find(context, oid, USE)
    cloud.claim_name(cloud.security_groups, "SECGROUP", name, caller.uid)
    one = SecurityGroup(
        cloud.next_id("SECGROUP"),
        name,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        template=source.template.copy(),
    )
    cloud.security_groups[one.oid] = one
    return one.oid


def secgroup_commit(context: Context, oid: int, recovery: bool) -> Reply:
    _commit_rules(context.cloud, SECGROUP.find(context, oid, MANAGE), recover=recovery)
    return oid


def secgroup_delete(context: Context, oid: int) -> Reply:
    one: SecurityGroup = SECGROUP.find(context, oid, MANAGE)
    if oid == 0:
        raise refused("Cannot delete security group. The default security group (ID 0) cannot be deleted.")
    if one.rollout.all:
        raise refused("Cannot delete security group. The security group has VMs using it")
    del context.cloud.security_groups[oid]
    return oid


CALLS = (
    Call("one.secgroup.allocate", "s", secgroup_allocate),
    Call("one.secgroup.clone", "i s", secgroup_clone),
    Call("one.secgroup.commit", "i b", secgroup_commit),
    Call("one.secgroup.delete", "i", secgroup_delete),
    *owned_calls(SECGROUP),
)
