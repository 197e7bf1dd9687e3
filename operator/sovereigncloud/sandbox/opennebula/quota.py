"""Quotas of users and groups: limits as set, use as counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sovereigncloud.sandbox.opennebula.access import Caller
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import Code, OneError, unauthorized
from sovereigncloud.sandbox.opennebula.lifecycle import State
from sovereigncloud.sandbox.opennebula.model import ONEADMIN, Group, User, Vm
from sovereigncloud.sandbox.opennebula.template import Template, Vector, vector_xml

KINDS = ("DATASTORE", "NETWORK", "VM", "IMAGE")
_METRICS = {
    "DATASTORE": ("IMAGES", "SIZE"),
    "NETWORK": ("LEASES",),
    "VM": ("CPU", "MEMORY", "RUNNING_CPU", "RUNNING_MEMORY", "RUNNING_VMS", "SYSTEM_DISK_SIZE", "VMS"),
    "IMAGE": ("RVMS",),
}
_NOT_RUNNING = frozenset({State.STOPPED, State.POWEROFF, State.UNDEPLOYED, State.SUSPENDED})

Use = dict[tuple[str, str], dict[str, float]]  # (kind, id) -> metric -> amount


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose use is counted."""

    uid: int
    gid: int


def check(cloud: Cloud, caller: Caller, owner: Owner, more: Use) -> None:
    """Refuse what would exceed a limit of the owner or of the owner's group.

    Raises:
        OneError: 0x200 "User [2] : user [2] limit of 1 reached for VMS quota in VM."
    """
    user = cloud.users.get(owner.uid)
    group = cloud.groups.get(owner.gid)
    subjects: list[User | Group] = [one for one in (user, group) if one is not None and one.quotas]
    if owner.uid == ONEADMIN:
        return
    for one in subjects:
        used = usage(cloud, one)
        for key, amounts in more.items():
            for limits in one.quotas.get(key[0], []):
                if limits.get("ID", "") == key[1]:
                    reached = _reached(key, limits, used.get(key, {}), amounts)
                    if reached:
                        raise unauthorized(caller.uid, f"{one.kind.lower()} [{one.oid}] {reached}")


def _reached(key: tuple[str, str], limits: Vector, used: Mapping[str, float], amounts: Mapping[str, float]) -> str:
    kind, oid = key
    for metric, amount in amounts.items():
        limit = _number(limits.get(metric, "-2"))
        if amount > 0 and limit >= 0 and used.get(metric, 0) + amount > limit:
            which = f" with ID: {oid}" if oid else ""
            return f"limit of {limit:g} reached for {metric} quota in {kind}{which}"
    return ""


def _number(text: str) -> float:
    # one.user.quota takes VMS="x" without a word (observed); such a limit limits nothing here.
    try:
        return float(text)
    except ValueError:
        return -2


def machine_use(cpu: float, memory: int, nics: Iterable[Vector], disks: Iterable[Vector]) -> Use:
    """What a new machine takes."""
    size = sum(int(disk.get("SIZE", "0") or 0) for disk in disks)
    use: Use = {
        ("VM", ""): {
            "VMS": 1,
            "CPU": cpu,
            "MEMORY": memory,
            "RUNNING_VMS": 1,
            "RUNNING_CPU": cpu,
            "RUNNING_MEMORY": memory,
            "SYSTEM_DISK_SIZE": size,
        }
    }
    for nic in nics:
        if network := nic.get("NETWORK_ID"):
            _add(use, ("NETWORK", network), {"LEASES": 1})
    for disk in disks:
        if image := disk.get("IMAGE_ID"):
            _add(use, ("IMAGE", image), {"RVMS": 1})
    return use


def usage(cloud: Cloud, one: User | Group) -> Use:
    """What a user or a group has taken."""
    use: Use = {}
    for vm in cloud.vms.values():
        if vm.state is not State.DONE and _belongs(vm.uid, vm.gid, one):
            for key, amounts in _counted(vm).items():
                _add(use, key, amounts)
    for image in cloud.images.values():
        if _belongs(image.uid, image.gid, one):
            _add(use, ("DATASTORE", str(image.datastore_id)), {"IMAGES": 1, "SIZE": image.size})
    return use


def _belongs(uid: int, gid: int, one: User | Group) -> bool:
    return (uid if isinstance(one, User) else gid) == one.oid


def _counted(vm: Vm) -> Use:
    use = machine_use(vm.cpu, vm.memory, vm.nics, vm.disks)
    if vm.state in _NOT_RUNNING:
        machine = use["VM", ""]
        use["VM", ""] = {metric: amount for metric, amount in machine.items() if not metric.startswith("RUNNING_")}
    return use


def _add(use: Use, key: tuple[str, str], amounts: Mapping[str, float]) -> None:
    counted = use.setdefault(key, {})
    for metric, amount in amounts.items():
        counted[metric] = counted.get(metric, 0) + amount


def update(one: User | Group, template: Template) -> None:
    """Set limits, as one.user.quota and one.group.quota do.

    Raises:
        OneError: 0x800 for oneadmin, whom nothing limits.
    """
    if isinstance(one, User) and one.oid == ONEADMIN:
        raise OneError(Code.ACTION, "Cannot set quotas for oneadmin user")
    for kind in KINDS:
        for vector in template.vectors(kind):
            kept = [limits for limits in one.quotas.get(kind, []) if limits.get("ID", "") != vector.get("ID", "")]
            one.quotas[kind] = [*kept, dict(vector)]


def render(cloud: Cloud, one: User | Group) -> str:
    """The four quota elements, with what is used."""
    used = usage(cloud, one) if one.quotas else {}
    parts = []
    for kind in KINDS:
        rows = "".join(f"<{kind}>{_row(kind, limits, used)}</{kind}>" for limits in one.quotas.get(kind, []))
        parts.append(f"<{kind}_QUOTA>{rows}</{kind}_QUOTA>")
    return "".join(parts)


def _row(kind: str, limits: Vector, used: Use) -> str:
    oid = limits.get("ID", "")
    counted = used.get((kind, oid), {})
    row = {"ID": oid} if oid else {}
    for metric in _METRICS[kind]:
        row[metric] = limits.get(metric, "-2" if kind == "VM" else "-1")
        row[f"{metric}_USED"] = f"{counted.get(metric, 0):g}"
    return vector_xml(row)
