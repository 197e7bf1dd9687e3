"""VM groups: affinity, anti-affinity and host rules (OpenNebula: src/vm_group)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, refused
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import Host, PoolObject, Vm
from sovereigncloud_sandbox.opennebula.template import Template, Vector

AFFINED, ANTI_AFFINED = "AFFINED", "ANTI_AFFINED"


@dataclass(slots=True)
class VmGroup(PoolObject):
    """Roles by id; VMS of a role are the ids of its machines."""

    kind: ClassVar[str] = "VMGROUP"

    roles: dict[int, Vector] = field(default_factory=dict)
    next_role: int = 0

    def role(self, name: str) -> Vector | None:
        return next((role for role in self.roles.values() if role["NAME"] == name), None)

    @property
    def vms(self) -> list[int]:
        return [oid for role in self.roles.values() for oid in members(role)]


def members(role: Vector) -> list[int]:
    """The machines of a role."""
    return [int(oid) for oid in role.get("VMS", "").split(",") if oid]


def _set_members(role: Vector, oids: Iterable[int]) -> None:
    kept = sorted(set(oids))
    if kept:
        role["VMS"] = ",".join(map(str, kept))
    else:
        role.pop("VMS", None)


def policy(role: Vector) -> str:
    """AFFINED, ANTI_AFFINED, or nothing."""
    wanted = role.get("POLICY", "").upper()
    return wanted if wanted in {AFFINED, ANTI_AFFINED} else ""


# ------------------------------------------------------------------------------------------------------------- roles


def add_role(group: VmGroup, vector: Vector) -> None:
    """Add a role.

    Raises:
        OneError: 0x2000, it has no name, or one that is there.
    """
    name = vector.get("NAME", "")
    if not name:
        raise internal("Missing NAME in VM group role")
    if group.role(name) is not None:
        raise internal("Role already exists")
    role = {key: value for key, value in vector.items() if key != "VMS"}
    group.roles[group.next_role] = {**role, "ID": str(group.next_role)}
    group.next_role += 1


def check(group: VmGroup, template: Template) -> None:
    """Refuse rules that contradict each other, or roles that are none.

    Raises:
        OneError: 0x2000.
    """
    rules = {rule: _rules(group, template, rule) for rule in (AFFINED, ANTI_AFFINED)}
    for names in rules[AFFINED]:
        for name in sorted(names):
            role = group.role(name)
            if role is not None and policy(role) == ANTI_AFFINED:
                raise internal(f"Role {name} is in an AFFINED rule but the role policy is ANTI_AFFINED")
    both = set().union(*rules[AFFINED]) & set().union(*rules[ANTI_AFFINED])
    if both:
        raise internal(f"Roles defined in AFFINED and ANTI_AFFINED rules: {' '.join(sorted(both))}")


def _rules(group: VmGroup, template: Template, rule: str) -> list[frozenset[str]]:
    found: list[frozenset[str]] = []
    for value in template.values(rule):
        text = value if isinstance(value, str) else ""
        names = frozenset(name.strip() for name in text.split(",") if name.strip())
        if any(group.role(name) is None for name in names):
            raise internal(f"Some roles used in {rule} attribute ({text}) are not defined")
        if names in found:
            raise internal(f"Duplicated {rule} rule ({text}) detected.")
        found.append(names)
    return found


# ---------------------------------------------------------------------------------------------------------- machines


def of(cloud: Cloud, vm: Vm) -> tuple[VmGroup, Vector] | None:
    """The group and the role of a machine."""
    vector = vm.template.vector("VMGROUP")
    group = cloud.vm_groups.get(int(vector.get("VMGROUP_ID", "-1"))) if vector else None
    role = group.role(vector.get("ROLE", "")) if group is not None and vector else None
    return (group, role) if group is not None and role is not None else None


def find(cloud: Cloud, vector: Vector, uid: int) -> VmGroup | None:
    """The group that a VMGROUP attribute means."""
    if name := vector.get("VMGROUP_NAME", ""):
        owner = vector.get("VMGROUP_UID", "")
        return cloud.named(cloud.vm_groups, name, int(owner) if owner.isdecimal() else uid)
    text = vector.get("VMGROUP_ID", "")
    return cloud.vm_groups.get(int(text)) if text.isdecimal() else None


def join(cloud: Cloud, vm: Vm, vector: Vector) -> None:
    """Make a machine a member.

    Raises:
        OneError: 0x2000, there is no such group or role.
    """
    name = vector.get("ROLE", "")
    if not name:
        raise internal("Missing role name in VM Group definition")
    group = find(cloud, vector, vm.uid)
    if group is None:
        raise internal("Cannot find VM Group to associate the VM")
    role = group.role(name)
    if role is None:
        raise internal("Role does not exist in VM Group")
    _set_members(role, [*members(role), vm.oid])
    vm.template.put("VMGROUP", {**vector, "VMGROUP_ID": str(group.oid)})


def leave(cloud: Cloud, vm: Vm) -> None:
    """A machine is no member any more."""
    found = of(cloud, vm)
    if found is not None:
        _set_members(found[1], [oid for oid in members(found[1]) if oid != vm.oid])


# ----------------------------------------------------------------------------------------------------------- placing


def _hosts(cloud: Cloud, vm: Vm, roles: Iterable[Vector]) -> set[int]:
    """Where the other machines of these roles are active."""
    others = [cloud.vms[oid] for role in roles for oid in members(role) if oid != vm.oid and oid in cloud.vms]
    return {one.last.hid for one in others if one.state is State.ACTIVE and one.last is not None}


def _ruled(group: VmGroup, role: Vector, rule: str) -> list[Vector]:
    """The other roles that a rule of the group ties to this one."""
    names: set[str] = set()
    for names_of_rule in _rules(group, group.template, rule):
        if role["NAME"] in names_of_rule:
            names |= names_of_rule - {role["NAME"]}
    return [one for one in group.roles.values() if one["NAME"] in names]


def together_with(cloud: Cloud, vm: Vm) -> list[Vector]:
    """The roles whose machines belong on the host of this one."""
    found = of(cloud, vm)
    if found is None:
        return []
    group, role = found
    own = [role] if policy(role) == AFFINED else []
    return [*own, *_ruled(group, role, AFFINED)]


def allows(cloud: Cloud, vm: Vm, host: Host) -> bool:
    """Whether a machine may be on a host, as far as its group is concerned."""
    found = of(cloud, vm)
    if found is None:
        return True
    group, role = found
    here = _hosts(cloud, vm, together_with(cloud, vm))
    if here and host.oid not in here:
        return False
    apart = [role] if policy(role) == ANTI_AFFINED else []
    if host.oid in _hosts(cloud, vm, [*apart, *_ruled(group, role, ANTI_AFFINED)]):
        return False
    return _host_allowed(role, host.oid)


def _host_allowed(role: Vector, hid: int) -> bool:
    wanted = [oid for oid in role.get("HOST_AFFINED", "").split(",") if oid]
    unwanted = role.get("HOST_ANTI_AFFINED", "").split(",")
    return (not wanted or str(hid) in wanted) and str(hid) not in unwanted


def to_be_placed_with(cloud: Cloud, vm: Vm) -> list[Vm]:
    """The waiting machines that need room on the same host: nobody is placed where not all of them fit."""
    roles = together_with(cloud, vm)
    if not roles or _hosts(cloud, vm, roles):
        return []
    waiting = {oid for role in roles for oid in members(role) if oid in cloud.pending and oid != vm.oid}
    return [cloud.vms[oid] for oid in sorted(waiting)]


def refuse_conflict(cloud: Cloud, vm: Vm, group: VmGroup, name: str) -> None:
    """Refuse to let a machine that is active join where its host is against the rules.

    Raises:
        OneError: 0x800, saying who is where.
    """
    role = group.role(name)
    if role is None:
        raise refused("Role does not exist in VM Group")
    if vm.last is None:
        return
    hid = vm.last.hid
    where = f"VM {vm.oid} is on host {hid} but"
    if policy(role):
        _refuse_hosts(cloud, vm, role, policy(role), f"{where} role {name} is {policy(role)} and")
    for rule in (AFFINED, ANTI_AFFINED):
        for one in _ruled(group, role, rule):
            _refuse_hosts(cloud, vm, one, rule, f"{where} it is {rule} with role {one['NAME']} and")
    if not _host_allowed(role, hid):
        rules = "HOST_AFFINED/HOST_ANTI_AFFINED rules that are violated by this host"
        raise refused(f"{where} role {name} has {rules}")


def _refuse_hosts(cloud: Cloud, vm: Vm, role: Vector, rule: str, sentence: str) -> None:
    hid = vm.last.hid if vm.last else -1
    for other in _active(cloud, vm, role):
        there = other.last.hid if other.last else -1
        if rule == AFFINED and there != hid:
            raise refused(f"{sentence} VM {other.oid} is on host {there}")
        if rule == ANTI_AFFINED and there == hid:
            raise refused(f"{sentence} VM {other.oid} is on the same host")


def _active(cloud: Cloud, vm: Vm, role: Vector) -> list[Vm]:
    found = [cloud.vms[oid] for oid in members(role) if oid != vm.oid and oid in cloud.vms]
    return [one for one in found if one.state is State.ACTIVE and one.last is not None]


def as_action(error: OneError) -> OneError:
    """Calls of their own answer 0x800 to what an allocate answers 0x2000."""
    return refused(error.message)
