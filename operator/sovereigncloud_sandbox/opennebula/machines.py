"""A machine from its template: disks, NICs, context and what oned itself adds."""

import uuid
from dataclasses import dataclass

from sovereigncloud_sandbox.opennebula import (
    affinity,
    backups,
    devices,
    flows,
    networking,
    placement,
    planned,
    quota,
    scheduler,
    storage,
)
from sovereigncloud_sandbox.opennebula import context as guest_context
from sovereigncloud_sandbox.opennebula.access import USE, Caller, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.cloud import Cloud, invalid_name
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, unauthorized
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import SecurityGroup, Vm, VNet
from sovereigncloud_sandbox.opennebula.model_storage import COPYING, Image, ImageState
from sovereigncloud_sandbox.opennebula.named_by_devices import image_of, network_of
from sovereigncloud_sandbox.opennebula.template import Template, Vector

# Users outside oneadmin's group may not set these (oned.conf: VM_RESTRICTED_ATTR).
_BANDWIDTHS = tuple(f"{way}BOUND_{what}" for way in ("IN", "OUT") for what in ("AVG_BW", "PEAK_BW", "PEAK_KB"))
_THROUGHPUTS = tuple(
    f"{way}_{unit}_SEC{limit}"
    for way in ("TOTAL", "READ", "WRITE")
    for unit in ("BYTES", "IOPS")
    for limit in ("", "_MAX", "_MAX_LENGTH")
)
RESTRICTED = frozenset(
    {
        "CONTEXT/FILES",
        *(
            f"NIC/{name}"
            for name in ("MAC", "VLAN_ID", "BRIDGE", "FILTER", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING")
        ),
        *(f"NIC/{name}" for name in (*_BANDWIDTHS, "OPENNEBULA_MANAGED", "EXTERNAL", "VLAN_TAGGED_ID")),
        *(f"NIC_ALIAS/{name}" for name in ("MAC", "VLAN_ID", "BRIDGE", *_BANDWIDTHS, "OPENNEBULA_MANAGED")),
        *(f"NIC_DEFAULT/{name}" for name in ("MAC", "VLAN_ID", "BRIDGE", "FILTER", "EXTERNAL")),
        *(
            f"DISK/{name}"
            for name in (*_THROUGHPUTS, "SIZE_IOPS_SEC", "OPENNEBULA_MANAGED", "ORIGINAL_SIZE", "SIZE_PREV")
        ),
        "DEPLOY_ID",
        "CPU_COST",
        "MEMORY_COST",
        "DISK_COST",
        "PCI",
        "EMULATOR",
        "RAW/DATA",
        "USER_PRIORITY",
        "USER_INPUTS/CPU",
        "USER_INPUTS/MEMORY",
        "USER_INPUTS/VCPU",
        "TOPOLOGY/PIN_POLICY",
        "TOPOLOGY/HUGEPAGE_SIZE",
    }
)
# What moves from the user's template into oned's own.
_WELL_KNOWN = (
    "CPU_MODEL",
    "EMULATOR",
    "FEATURES",
    "GRAPHICS",
    "INPUT",
    "MEMORY_MAX",
    "MEMORY_RESIZE_MODE",
    "MEMORY_SLOTS",
    "NIC_DEFAULT",
    "NUMA_NODE",
    "OS",
    "RAW",
    "TOPOLOGY",
    "VCPU_MAX",
    "VIDEO",
    "CPU_COST",
    "MEMORY_COST",
    "DISK_COST",
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a machine is made from."""

    template: Template
    hold: bool = False
    template_id: int | None = None
    checked: bool = False  # what is restricted was looked at when its template was made


def check_restricted(caller: Caller, template: Template, what: str, base: Template | None = None) -> None:
    """Refuse what only oneadmin may set; what stands in `base` already may stay.

    Raises:
        OneError: 0x200, naming the attribute.
    """
    if caller.admin:
        return
    allowed = _restricted_values(base) if base is not None else []
    for path, value in _restricted_values(template):
        if (path, value) not in allowed:
            raise unauthorized(caller.uid, f"{what} includes a restricted attribute {path}")


def _restricted_values(template: Template) -> list[tuple[str, str]]:
    found = []
    for name, value in template:
        if name in RESTRICTED:
            found.append((name, str(value)))
        if isinstance(value, dict):
            found += [(f"{name}/{key}", text) for key, text in value.items() if f"{name}/{key}" in RESTRICTED]
    return found


def allocate(cloud: Cloud, caller: Caller, request: Request) -> Vm:
    """Make a machine: PENDING, HOLD, or CLONING while an image of it is still being copied.

    Raises:
        OneError: 0x200 not authorised or quota; 0x2000 what makes no machine.
    """
    template = request.template
    if not request.checked:
        check_restricted(caller, template, "VM Template")
    authorize_create(cloud, caller, "VM")
    networks = [network_of(cloud, caller, nic) for nic in template.vectors("NIC")]
    images = [image_of(cloud, caller, disk) for disk in template.vectors("DISK")]
    owner = quota.Owner(caller.uid, caller.gid)
    _check_group(cloud, caller, template)
    cpu, memory = _float(template.get("CPU")), _float(template.get("MEMORY"))
    parts = template.vectors("NIC"), template.vectors("DISK")
    use = quota.machine_use(cpu, int(memory), *parts, len(template.vectors("PCI")))
    quota.check(cloud, caller, owner, use)

    vm = Vm(
        oid=cloud.next_id("VM"),
        name="",
        uid=caller.uid,
        gid=caller.gid,
        uname=caller.user.name,
        gname=caller.user.gname,
        stime=cloud.second,
        user_template=template,
        on_hold=request.hold,
    )
    _set_name_and_size(vm, template)
    for name in _WELL_KNOWN:
        values = template.pop(name)
        if values:
            vm.template.put(name, *values)
    if request.template_id is not None:
        vm.template.put("TEMPLATE_ID", str(request.template_id))
    if request.hold:
        vm.template.put("SUBMIT_ON_HOLD", "YES")
    actions = _planned(cloud, template)
    devices.take_over(vm)
    _take_devices(cloud, vm, networks, images)
    for vector in template.vectors("BACKUP_CONFIG"):
        backups.configure(vm, vector, append=False)
    template.pop("BACKUP_CONFIG")
    try:
        _finish(cloud, caller, vm)
        _join_group(cloud, vm)
    except OneError:
        give_all_back(cloud, vm)
        raise
    cloud.vms[vm.oid] = vm
    for one in actions:
        planned.add(cloud, vm, one)
    _start(cloud, vm)
    return vm


def _check_group(cloud: Cloud, caller: Caller, template: Template) -> None:
    for vector in template.vectors("VMGROUP"):
        group = affinity.find(cloud, vector, caller.uid)
        if group is not None:
            authorize(cloud, caller, USE, group)


def _join_group(cloud: Cloud, vm: Vm) -> None:
    vectors = [one for one in vm.user_template.pop("VMGROUP") if isinstance(one, dict)]
    if vectors:
        affinity.join(cloud, vm, vectors[0])


def _planned(cloud: Cloud, template: Template) -> list[Vector]:
    try:
        actions = [planned.read(one, cloud.second) for one in template.vectors("SCHED_ACTION")]
    except planned.PlanError as error:
        raise internal(str(error)) from error
    template.pop("SCHED_ACTION")
    return actions


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def _set_name_and_size(vm: Vm, template: Template) -> None:
    memory, cpu, vcpu = template.take("MEMORY"), template.take("CPU"), template.take("VCPU")
    if not memory.isdecimal() or int(memory) <= 0:
        raise internal("MEMORY attribute must be a positive integer value.")
    if _float(cpu) <= 0:
        raise internal("CPU attribute must be a positive float or integer value.")
    if vcpu and (not vcpu.isdecimal() or int(vcpu) <= 0):
        raise internal("VCPU attribute must be a positive integer value.")
    template.pop("VMID")
    prefix = template.take("TEMPLATE_NAME") or "one"
    vm.name = template.take("NAME") or f"{prefix}-{vm.oid}"
    if reason := invalid_name(vm.name, "VM"):
        raise internal(reason)
    vm.template.put("MEMORY", memory)
    vm.template.put("CPU", f"{_float(cpu):g}")
    if vcpu:
        vm.template.put("VCPU", vcpu)
    vm.template.put("VMID", str(vm.oid))


# ---------------------------------------------------------------------------------------------------- disks and NICs


def _take_devices(cloud: Cloud, vm: Vm, networks: list[VNet | None], images: list[Image | None]) -> None:
    template = vm.user_template
    nics, disks = template.pop("NIC"), template.pop("DISK")
    try:
        for network, nic in zip(networks, nics, strict=True):
            if isinstance(nic, dict):
                take_nic(vm, network, nic)
        for image, disk in zip(images, disks, strict=True):
            if isinstance(disk, dict):
                take_disk(cloud, vm, image, disk)
    except OneError:
        give_all_back(cloud, vm)
        raise


def give_all_back(cloud: Cloud, vm: Vm) -> None:
    """A machine that could not be made has nothing."""
    for nic in vm.nics:
        networking.give_back(cloud, nic, vm.oid)
    for disk in vm.disks:
        storage.give_back(cloud, disk, vm.oid)


def take_nic(vm: Vm, network: VNet | None, nic: Vector) -> None:
    """Give a machine a NIC.

    Raises:
        OneError: 0x2000, no address is free.
    """
    nic_id = max((int(one["NIC_ID"]) for one in vm.nics), default=-1) + 1
    nic["NIC_ID"] = str(nic_id)
    nic.setdefault("NAME", f"NIC{nic_id}")
    for key in ("NETWORK_UNAME", "NETWORK_UID"):
        nic.pop(key, None)
    if network is not None:
        networking.lease(network, nic, vm.oid)
    nic["TARGET"] = f"one-{vm.oid}-{nic_id}"
    vm.template.add("NIC", nic)


def take_disk(cloud: Cloud, vm: Vm, image: Image | None, disk: Vector, *, attach: bool = False) -> None:
    """Give a machine a disk; with `attach`, one that stands on a host already.

    Raises:
        OneError: 0x2000, the image cannot be used, or the disk cannot be made.
    """
    context = vm.template.vector("CONTEXT")
    taken = {int(one["DISK_ID"]) for one in vm.disks} | ({int(context["DISK_ID"])} if context else set())
    disk["DISK_ID"] = str(max(taken, default=-1) + 1)
    for key in ("IMAGE_UNAME", "IMAGE_UID"):
        disk.pop(key, None)
    if image is not None:
        storage.lend(cloud, image, disk, vm.oid, attach=attach)
    else:
        storage.volatile(cloud, disk)
    disk.setdefault("TARGET", _target(disk["DEV_PREFIX"], {one.get("TARGET", "") for one in vm.disks}))
    vm.template.add("DISK", disk)


def _target(prefix: str, taken: set[str]) -> str:
    return next(name for name in (f"{prefix}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz") if name not in taken)


def devices_for(
    cloud: Cloud, caller: Caller, template: Template
) -> tuple[list[tuple[VNet | None, Vector]], list[tuple[Image | None, Vector]]]:
    """The NICs and disks of a template with the network and image of each.

    Raises:
        OneError: 0x2000 there is no such network or image; 0x200 not to be used.
    """
    nics = [(network_of(cloud, caller, nic), nic) for nic in template.vectors("NIC")]
    disks = [(image_of(cloud, caller, disk), disk) for disk in template.vectors("DISK")]
    return nics, disks


# ------------------------------------------------------------------------------------------------------------ context


def _finish(cloud: Cloud, caller: Caller, vm: Vm) -> None:
    template = vm.template
    os = dict(template.vector("OS") or {})
    os.setdefault("UUID", str(uuid.uuid4()))
    template.put("OS", os)
    context = vm.user_template.vector("CONTEXT")
    vm.user_template.pop("CONTEXT")
    if context is not None:
        guest_context.set_context(cloud, caller, vm, context)
    placement.require(cloud, vm)
    set_security_rules(cloud, vm)


def set_security_rules(cloud: Cloud, vm: Vm) -> None:
    """The rules of all security groups of the machine's NICs, copied into it."""
    vm.template.pop("SECURITY_GROUP_RULE")
    groups = {int(group) for nic in vm.nics for group in nic.get("SECURITY_GROUPS", "").split(",") if group}
    for oid, group in sorted(cloud.security_groups.items()):
        if oid not in groups:
            group.rollout.discard(vm.oid)
            continue
        if vm.oid not in group.rollout:
            group.rollout.updated.add(vm.oid)
        add_rules(vm, group)


def add_rules(vm: Vm, group: SecurityGroup) -> None:
    """The rules of one group, in place of those that the machine had of it."""
    named = {"SECURITY_GROUP_ID": str(group.oid), "SECURITY_GROUP_NAME": group.name}
    others = [
        rule
        for rule in vm.template.vectors("SECURITY_GROUP_RULE")
        if rule.get("SECURITY_GROUP_ID") != named["SECURITY_GROUP_ID"]
    ]
    own = [{**rule, **named} for rule in group.template.vectors("RULE")]
    vm.template.put("SECURITY_GROUP_RULE", *others, *own)


# -------------------------------------------------------------------------------------------------------------- start


def _start(cloud: Cloud, vm: Vm) -> None:
    copying = [one for one in _images(cloud, vm) if one.state in COPYING]
    if copying:
        flows.enter(cloud, vm, State.CLONING)
        for image in copying:
            image.waiting.append(lambda: images_settled(cloud, vm))
    else:
        wait(cloud, vm)


def _images(cloud: Cloud, vm: Vm) -> list[Image]:
    oids = [int(disk["IMAGE_ID"]) for disk in vm.disks if "IMAGE_ID" in disk]
    return [cloud.images[oid] for oid in oids if oid in cloud.images]


def wait(cloud: Cloud, vm: Vm) -> None:
    """Nothing more is missing: wait for the scheduler, or for somebody's release."""
    if vm.on_hold:
        flows.enter(cloud, vm, State.HOLD)
    else:
        flows.pend(cloud, vm)
        scheduler.arm(cloud)


def images_settled(cloud: Cloud, vm: Vm) -> None:
    """An image that the machine waits for became usable, or broken."""
    images = _images(cloud, vm)
    if vm.state is not State.CLONING:
        return
    if any(one.state is ImageState.ERROR for one in images):
        flows.enter(cloud, vm, State.CLONING_FAILURE)
    elif not any(one.state in COPYING for one in images):
        wait(cloud, vm)
