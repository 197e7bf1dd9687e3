"""A machine from its template: disks, NICs, context and what oned itself adds."""

import uuid
from dataclasses import dataclass

from sovereigncloud.sandbox.opennebula import context as guest_context
from sovereigncloud.sandbox.opennebula import flows, networking, quota, scheduler, storage
from sovereigncloud.sandbox.opennebula.access import USE, Caller, authorize, authorize_create
from sovereigncloud.sandbox.opennebula.cloud import Cloud, invalid_name
from sovereigncloud.sandbox.opennebula.errors import OneError, internal, unauthorized
from sovereigncloud.sandbox.opennebula.lifecycle import State
from sovereigncloud.sandbox.opennebula.model import Image, ImageState, Vm, VNet
from sovereigncloud.sandbox.opennebula.template import Template, Vector

# Users outside oneadmin's group may not set these (oned.conf: VM_RESTRICTED_ATTR).
RESTRICTED = frozenset(
    {
        "CONTEXT/FILES",
        "NIC/MAC",
        "NIC/VLAN_ID",
        "NIC/BRIDGE",
        "NIC/FILTER",
        "NIC/FILTER_IP_SPOOFING",
        "NIC/FILTER_MAC_SPOOFING",
        "NIC/INBOUND_AVG_BW",
        "NIC/OUTBOUND_AVG_BW",
        "DISK/TOTAL_BYTES_SEC",
        "DISK/TOTAL_IOPS_SEC",
        "DISK/ORIGINAL_SIZE",
        "DEPLOY_ID",
        "CPU_COST",
        "MEMORY_COST",
        "DISK_COST",
        "PCI",
        "EMULATOR",
        "RAW/DATA",
        "USER_PRIORITY",
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


def check_restricted(caller: Caller, template: Template, what: str) -> None:
    """Refuse what only oneadmin may set.

    Raises:
        OneError: 0x200, naming the attribute.
    """
    if caller.admin:
        return
    for name, value in template:
        for path in [name] if isinstance(value, str) else [name, *(f"{name}/{key}" for key in value)]:
            if path in RESTRICTED:
                raise unauthorized(caller.uid, f"{what} includes a restricted attribute {path}")


def allocate(cloud: Cloud, caller: Caller, request: Request) -> Vm:
    """Make a machine: PENDING, HOLD, or CLONING while an image of it is still being copied.

    Raises:
        OneError: 0x200 not authorised or quota; 0x2000 what makes no machine.
    """
    template = request.template
    check_restricted(caller, template, "VM Template")
    authorize_create(cloud, caller, "VM")
    networks = [_network(cloud, caller, nic) for nic in template.vectors("NIC")]
    images = [_image(cloud, caller, disk) for disk in template.vectors("DISK")]
    owner = quota.Owner(caller.uid, caller.gid)
    cpu, memory = _float(template.get("CPU")), _float(template.get("MEMORY"))
    use = quota.machine_use(cpu, int(memory), template.vectors("NIC"), template.vectors("DISK"))
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
    _take_devices(cloud, vm, networks, images)
    _finish(cloud, caller, vm)
    cloud.vms[vm.oid] = vm
    _start(cloud, vm)
    return vm


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


def _network(cloud: Cloud, caller: Caller, nic: Vector) -> VNet | None:
    if nic.get("NETWORK_MODE", "").upper() == "AUTO":
        candidates = [one for one in cloud.vnets.values() if any(len(r.leases) < r.size for r in one.ranges)]
        if not candidates:
            raise internal("No network for a NIC with NETWORK_MODE = auto")
        nic["NETWORK_ID"] = str(candidates[0].oid)
    text, name = nic.get("NETWORK_ID", ""), nic.get("NETWORK", "")
    if text:
        found = cloud.vnets.get(int(text)) if text.isdecimal() else None
        if found is None:
            raise internal(f"Virtual network with ID: {text} does not exist")
    elif name:
        uid = _owner(cloud, nic, "NETWORK", caller)
        found = cloud.named(cloud.vnets, name, uid)
        if found is None:
            raise internal(
                f"User {uid} does not own a network with name: {name} . "
                "Set NETWORK_UNAME or NETWORK_UID of owner in NIC."
            )
    else:
        return None
    authorize(cloud, caller, USE, found)
    nic["NETWORK_ID"] = str(found.oid)
    return found


def _image(cloud: Cloud, caller: Caller, disk: Vector) -> Image | None:
    text, name = disk.get("IMAGE_ID", ""), disk.get("IMAGE", "")
    if text:
        found = cloud.images.get(int(text)) if text.isdecimal() else None
        if found is None:
            raise internal(f"Image with ID: {text} does not exist")
    elif name:
        uid = _owner(cloud, disk, "IMAGE", caller)
        found = cloud.named(cloud.images, name, uid)
        if found is None:
            raise internal(
                f"User {uid} does not own an image with name: {name} . Set IMAGE_UNAME or IMAGE_UID of owner in DISK."
            )
    else:
        return None
    authorize(cloud, caller, USE, found)
    disk["IMAGE_ID"] = str(found.oid)
    return found


def _owner(cloud: Cloud, device: Vector, what: str, caller: Caller) -> int:
    if device.get(f"{what}_UID", "").isdecimal():
        return int(device[f"{what}_UID"])
    name = device.get(f"{what}_UNAME", "")
    if not name:
        return caller.uid
    user = cloud.named(cloud.users, name)
    if user is None:
        raise internal(f"User {name} does not exist")
    return user.oid


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
        for nic in vm.nics:
            networking.give_back(cloud, nic, vm.oid)
        for disk in vm.disks:
            storage.give_back(cloud, disk, vm.oid)
        raise


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


def take_disk(cloud: Cloud, vm: Vm, image: Image | None, disk: Vector) -> None:
    """Give a machine a disk.

    Raises:
        OneError: 0x2000, the image cannot be used, or the disk cannot be made.
    """
    context = vm.template.vector("CONTEXT")
    taken = {int(one["DISK_ID"]) for one in vm.disks} | ({int(context["DISK_ID"])} if context else set())
    disk["DISK_ID"] = str(max(taken, default=-1) + 1)
    for key in ("IMAGE_UNAME", "IMAGE_UID"):
        disk.pop(key, None)
    if image is not None:
        storage.lend(cloud, image, disk, vm.oid)
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
    nics = [(_network(cloud, caller, nic), nic) for nic in template.vectors("NIC")]
    disks = [(_image(cloud, caller, disk), disk) for disk in template.vectors("DISK")]
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
    template.put("AUTOMATIC_DS_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    if vm.nics:
        template.put("AUTOMATIC_NIC_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    template.put("AUTOMATIC_REQUIREMENTS", "(CLUSTER_ID = 0) & !(PIN_POLICY = PINNED)")
    set_security_rules(cloud, vm)


def set_security_rules(cloud: Cloud, vm: Vm) -> None:
    """The rules of all security groups of the machine's NICs, copied into it."""
    vm.template.pop("SECURITY_GROUP_RULE")
    groups = sorted({int(group) for nic in vm.nics for group in nic.get("SECURITY_GROUPS", "").split(",") if group})
    for oid in groups:
        group = cloud.security_groups.get(oid)
        if group is None:
            continue
        group.vms.add(vm.oid)
        for rule in group.template.vectors("RULE"):
            named = {"SECURITY_GROUP_ID": str(oid), "SECURITY_GROUP_NAME": group.name}
            vm.template.add("SECURITY_GROUP_RULE", {**rule, **named})


# -------------------------------------------------------------------------------------------------------------- start


def _start(cloud: Cloud, vm: Vm) -> None:
    copying = [one for one in _images(cloud, vm) if one.state is ImageState.LOCKED]
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
    elif not any(one.state is ImageState.LOCKED for one in images):
        wait(cloud, vm)
