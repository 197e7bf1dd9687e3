"""Quotas of users and groups: limits as set, use as counted (OpenNebula: src/um/Quota*.cc).

A limit of -1 means the default quota, -2 none. A machine counts into its cluster's quota once it is placed there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sovereigncloud_sandbox.opennebula.access import Caller
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, refused, unauthorized
from sovereigncloud_sandbox.opennebula.features import at_least
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, ONEADMIN_GROUP, Vm
from sovereigncloud_sandbox.opennebula.model_people import Group, Quotas, User
from sovereigncloud_sandbox.opennebula.template import Template, Vector, vector_xml

KINDS = ("DATASTORE", "NETWORK", "VM", "IMAGE")
DEFAULT, UNLIMITED = -1.0, -2.0
_METRICS = {
    "DATASTORE": ("IMAGES", "SIZE"),
    "NETWORK": ("LEASES",),
    "VM": ("CPU", "MEMORY", "RUNNING_CPU", "RUNNING_MEMORY", "RUNNING_VMS", "SYSTEM_DISK_SIZE", "VMS"),
    "IMAGE": ("RVMS",),
}
_PCI_METRICS = ("PCI_DEV", "PCI_NIC", "RUNNING_PCI_DEV", "RUNNING_PCI_NIC")  # from 7.4
_NOT_RUNNING = frozenset({State.STOPPED, State.POWEROFF, State.UNDEPLOYED, State.SUSPENDED, State.DONE})
# ACTIVE, but on behalf of a machine that is not running.
_ASIDE = frozenset(
    {
        Lcm.HOTPLUG_SAVEAS_POWEROFF,
        Lcm.HOTPLUG_SAVEAS_SUSPENDED,
        Lcm.HOTPLUG_SAVEAS_UNDEPLOYED,
        Lcm.HOTPLUG_SAVEAS_STOPPED,
        Lcm.DISK_SNAPSHOT_POWEROFF,
        Lcm.DISK_SNAPSHOT_REVERT_POWEROFF,
        Lcm.DISK_SNAPSHOT_DELETE_POWEROFF,
        Lcm.DISK_RESIZE_POWEROFF,
        Lcm.DISK_RESIZE_UNDEPLOYED,
        Lcm.HOTPLUG_NIC_POWEROFF,
        Lcm.HOTPLUG_PROLOG_POWEROFF,
        Lcm.HOTPLUG_EPILOG_POWEROFF,
    }
)

Use = dict[tuple[str, str], dict[str, float]]  # (kind, id) -> metric -> amount; the id of a VM quota is its CLUSTER_IDS


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose use is counted."""

    uid: int
    gid: int


# ---------------------------------------------------------------------------------------------------------- checking


def check(cloud: Cloud, caller: Caller, owner: Owner, more: Use) -> None:
    """Refuse what would exceed a limit of the owner or of the owner's group.

    Raises:
        OneError: 0x200 "User [2] : user [2] limit of 1 reached for VMS quota in VM."
    """
    if problem := exceeded(cloud, owner, more):
        raise unauthorized(caller.uid, problem)


def exceeded(cloud: Cloud, owner: Owner, more: Use) -> str:
    """Which limit would be exceeded; empty where none is. oneadmin and its group have none."""
    subjects: list[User | Group] = []
    if owner.uid != ONEADMIN and owner.uid in cloud.users:
        subjects.append(cloud.users[owner.uid])
    if owner.gid != ONEADMIN_GROUP and owner.gid in cloud.groups:
        subjects.append(cloud.groups[owner.gid])
    for one in subjects:
        defaults = cloud.default_user_quotas if isinstance(one, User) else cloud.default_group_quotas
        if not one.quotas and not defaults:
            continue
        used = usage(cloud, one)
        for key, amounts in more.items():
            limits = _limits(one.quotas, defaults, key)
            reached = _reached(key, limits, used.get(key, {}), amounts)
            if reached:
                return f"{one.kind.lower()} [{one.oid}] {reached}"
    return ""


def _limits(quotas: Quotas, defaults: Quotas, key: tuple[str, str]) -> Mapping[str, float]:
    own, default = _row_of(quotas, key), _row_of(defaults, key)
    limits = {}
    for metric in (*_METRICS[key[0]], *(_PCI_METRICS if key[0] == "VM" else ())):
        limit = _number(own.get(metric, "-1"))
        limits[metric] = _number(default.get(metric, "-2")) if limit == DEFAULT else limit
    return limits


def _row_of(quotas: Quotas, key: tuple[str, str]) -> Vector:
    return next((row for row in quotas.get(key[0], []) if _identity(key[0], row) == key[1]), {})


def _identity(kind: str, row: Vector) -> str:
    return row.get("CLUSTER_IDS" if kind == "VM" else "ID", "")


def _reached(
    key: tuple[str, str], limits: Mapping[str, float], used: Mapping[str, float], amounts: Mapping[str, float]
) -> str:
    kind, oid = key
    for metric, amount in amounts.items():
        limit = limits.get(metric, UNLIMITED)
        if amount > 0 and limit != UNLIMITED and used.get(metric, 0) + amount > limit:
            which = f" with ID: {oid}" if oid else ""
            return f"limit of {limit:g} reached for {metric} quota in {kind}{which}"
    return ""


def _number(text: str) -> float:
    # one.user.quota takes VMS="x" without a word (observed); such a limit limits nothing here.
    try:
        return float(text)
    except ValueError:
        return UNLIMITED


# ------------------------------------------------------------------------------------------------------------- using


def machine_use(cpu: float, memory: int, nics: Iterable[Vector], disks: Iterable[Vector], devices: int = 0) -> Use:
    """What a new machine takes."""
    size = sum(int(disk.get("SIZE", "0") or 0) for disk in disks)
    use: Use = {
        ("VM", ""): {
            "VMS": 1,
            "CPU": cpu,
            "MEMORY": memory,
            "PCI_DEV": devices,
            "RUNNING_VMS": 1,
            "RUNNING_CPU": cpu,
            "RUNNING_MEMORY": memory,
            "RUNNING_PCI_DEV": devices,
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


def running_use(vm: Vm) -> Use:
    """What a machine takes more when it runs again."""
    machine = machine_use(vm.cpu, vm.memory, (), (), len(vm.template.vectors("PCI")))["VM", ""]
    return {("VM", ""): {metric: amount for metric, amount in machine.items() if metric.startswith("RUNNING_")}}


def cluster_use(cloud: Cloud, vm: Vm, cluster_id: int) -> Use:
    """What a machine that is placed takes of its owner's quotas for that cluster."""
    if vm.history and vm.history[-1].cluster_id == cluster_id:
        return {}
    machine = machine_use(vm.cpu, vm.memory, (), vm.disks, len(vm.template.vectors("PCI")))["VM", ""]
    keys = {key for one in _subjects(cloud, vm) for key in _cluster_keys(one, cluster_id)}
    return {("VM", key): machine for key in keys}


def keys(cloud: Cloud, vm: Vm) -> list[str]:
    """The VM quotas that a machine counts into: the general one, and those of its cluster."""
    if not vm.history:
        return [""]
    cluster_id = vm.history[-1].cluster_id
    return ["", *sorted({key for one in _subjects(cloud, vm) for key in _cluster_keys(one, cluster_id)})]


def _subjects(cloud: Cloud, vm: Vm) -> list[User | Group]:
    subjects: list[User | Group | None] = [cloud.users.get(vm.uid), cloud.groups.get(vm.gid)]
    return [one for one in subjects if one is not None]


def _cluster_keys(one: User | Group, cluster_id: int) -> list[str]:
    keys = [row.get("CLUSTER_IDS", "") for row in one.quotas.get("VM", [])]
    return [key for key in keys if str(cluster_id) in key.split(",")]


def usage(cloud: Cloud, one: User | Group) -> Use:
    """What a user or a group has taken."""
    return usages(cloud, [one])[one.oid]


def usages(cloud: Cloud, subjects: Iterable[User | Group]) -> dict[int, Use]:
    """The same for many of one kind, by id, in one look at everything."""
    by_oid = {one.oid: one for one in subjects}
    found: dict[int, Use] = {oid: {} for oid in by_oid}
    users = any(isinstance(one, User) for one in by_oid.values())
    for vm in cloud.vms.values():
        oid = vm.uid if users else vm.gid
        if vm.state is not State.DONE and oid in found:
            for key, amounts in _counted(by_oid[oid], vm).items():
                _add(found[oid], key, amounts)
    for image in cloud.images.values():
        oid = image.uid if users else image.gid
        if oid in found:
            _add(found[oid], ("DATASTORE", str(image.datastore_id)), {"IMAGES": 1, "SIZE": image.size})
    for network in cloud.vnets.values():
        oid = network.uid if users else network.gid
        if network.parent is not None and oid in found:
            size = sum(one.size for one in network.ranges)
            _add(found[oid], ("NETWORK", str(network.parent)), {"LEASES": size})
    return found


def is_running(vm: Vm) -> bool:
    """Whether a machine counts as running: one that waits to be placed does."""
    return vm.state not in _NOT_RUNNING and not (vm.state is State.ACTIVE and vm.lcm in _ASIDE)


def taken_by(vm: Vm) -> Use:
    """What a machine takes, clusters aside."""
    use = machine_use(vm.cpu, vm.memory, vm.nics, vm.disks, len(vm.template.vectors("PCI")))
    if not is_running(vm):
        machine = use["VM", ""]
        use["VM", ""] = {metric: amount for metric, amount in machine.items() if not metric.startswith("RUNNING_")}
    return use


def _counted(owner: User | Group, vm: Vm) -> Use:
    use = taken_by(vm)
    if vm.history:
        for key in _cluster_keys(owner, vm.history[-1].cluster_id):
            use["VM", key] = dict(use["VM", ""])
    return use


def _add(use: Use, key: tuple[str, str], amounts: Mapping[str, float]) -> None:
    counted = use.setdefault(key, {})
    for metric, amount in amounts.items():
        counted[metric] = counted.get(metric, 0) + amount


# ----------------------------------------------------------------------------------------------------------- setting


def update(cloud: Cloud, one: User | Group, template: Template) -> None:
    """Set limits, as one.user.quota and one.group.quota do.

    Raises:
        OneError: 0x800 for oneadmin, whom nothing limits, and for what is no quota.
    """
    word = "user" if isinstance(one, User) else "group"
    if one.oid == 0:
        raise OneError(Code.ACTION, f"Cannot set quotas for oneadmin {word}")
    set_limits(cloud, one.quotas, template)


def set_limits(cloud: Cloud, quotas: Quotas, template: Template) -> None:
    """Set limits; a row replaces all limits of its id, what it does not name becomes the default.

    Raises:
        OneError: 0x800.
    """
    for kind in KINDS:
        for given in template.vectors(kind):
            row = dict(given)
            if kind == "VM" and row.get("CLUSTER_IDS"):
                row["CLUSTER_IDS"] = _clusters(cloud, quotas, row["CLUSTER_IDS"])
            for metric in (*_METRICS[kind], *_PCI_METRICS):
                limit = _number(row.get(metric, "-1"))
                if limit < 0 and limit not in {DEFAULT, UNLIMITED}:
                    text = ",".join(f"{key}={value}" for key, value in sorted(given.items()))
                    raise refused(f"Negative limits or bad format in quota {kind} = [ {text} ]")
            identity = _identity(kind, row)
            kept = [other for other in quotas.get(kind, []) if _identity(kind, other) != identity]
            quotas[kind] = [*kept, row] if _limits_something(kind, row) else kept


def _limits_something(kind: str, row: Vector) -> bool:
    implicit = UNLIMITED if kind == "VM" and row.get("CLUSTER_IDS") else DEFAULT
    metrics = (*_METRICS[kind], *_PCI_METRICS)
    limits = [_number(row.get(metric, "-1")) for metric in metrics]
    return any(limit != implicit and not (implicit == UNLIMITED and limit == DEFAULT) for limit in limits)


def _clusters(cloud: Cloud, quotas: Quotas, text: str) -> str:
    wanted = sorted({int(part) for part in text.split(",") if part.strip().isdecimal()})
    normal = ",".join(map(str, wanted))
    for oid in wanted:
        if oid not in cloud.clusters:
            raise refused(f"Cluster {oid} does not exist")
        for row in quotas.get("VM", []):
            others = row.get("CLUSTER_IDS", "")
            if others != normal and str(oid) in others.split(","):
                raise refused(f"Quota for cluster id {oid} already exists")
    return normal


# ----------------------------------------------------------------------------------------------------------- showing


def render(cloud: Cloud, one: User | Group, used: Use | None = None) -> str:
    """The four quota elements, with what is used; whoever has used something has a row, limited or not."""
    counted = usage(cloud, one) if used is None else used
    if one.oid == 0:
        counted = {}  # nothing is counted for oneadmin and its group
    return show(cloud, one.quotas, counted)


def show(cloud: Cloud, quotas: Quotas, counted: Use) -> str:
    """The four quota elements."""
    parts = []
    for kind in KINDS:
        rows = {_identity(kind, row): row for row in quotas.get(kind, [])}
        for key, amounts in counted.items():
            if key[0] == kind and any(amounts.values()):
                rows.setdefault(key[1], {"ID": key[1]} if kind != "VM" else {})
        shown = "".join(
            f"<{kind}>{_row(cloud, kind, rows[oid], counted.get((kind, oid), {}))}</{kind}>" for oid in sorted(rows)
        )
        parts.append(f"<{kind}_QUOTA>{shown}</{kind}_QUOTA>")
    return "".join(parts)


def _row(cloud: Cloud, kind: str, limits: Vector, counted: Mapping[str, float]) -> str:
    named = "CLUSTER_IDS" if kind == "VM" else "ID"
    row = {named: limits[named]} if limits.get(named) else {}
    implicit = "-2" if kind == "VM" and limits.get(named) else "-1"
    pci = _PCI_METRICS if kind == "VM" and at_least(cloud.version, "7.4") else ()
    for metric in (*_METRICS[kind], *pci):
        row[metric] = limits.get(metric, implicit)
        row[f"{metric}_USED"] = f"{counted.get(metric, 0):g}"
    return vector_xml(row)
