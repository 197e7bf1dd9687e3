"""oned's XML straight into the values of the port. pyone's bindings would take 13 times as long."""

from __future__ import annotations

import sys
from functools import lru_cache

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup, SecurityRule
from sovereigncloud.ports.opennebula.storage import NO_BACKUPS, ScheduledAction, TemplateDisk, VmBackups, VmSnapshot
from sovereigncloud.ports.opennebula.views import (
    AddressRange,
    Disk,
    Host,
    Image,
    Increment,
    MarketplaceApp,
    Membership,
    Network,
    Nic,
    Pci,
    Template,
    Vm,
)
from sovereigncloud.ports.opennebula.vm_groups import VmGroup
from sovereigncloud.providers.opennebula.xml_elements import (
    Element,
    groups,
    ids,
    notes,
    number,
    shared_text,
    singles,
    text,
    texts,
    unmarked,
)

_BACKUP = 6
DISK_LABEL = "SOVEREIGNCLOUD_DISK"
# STATE in which a machine is on a host: ACTIVE, SUSPENDED, POWEROFF.
_NO_SCHEDULES = frozenset[int]()
"""One for all: each that Python makes takes 230 bytes."""
_ON_A_HOST = frozenset({3, 5, 8})


def particulars(element: Element, template: str) -> Particulars:
    """Whose it is, and the single attributes of its template of that name."""
    return Particulars(text(element, "UNAME"), text(element, "GNAME"), singles(element.find(template)))


# ------------------------------------------------------------------------------------------------------------ machines


_VM_TEXTS = ("ID", "NAME", "UID", "STATE", "LCM_STATE", "STIME")
_VM_SECTIONS = ("TEMPLATE", "USER_TEMPLATE", "HISTORY_RECORDS", "BACKUPS", "SCHED_ACTIONS")
_STAY = ("HOSTNAME", "DS_ID", "STIME")
_SIZES = ("CPU", "VCPU", "MEMORY", "VCPU_MAX", "MEMORY_MAX")
_VECTORS = ("NIC", "DISK", "CPU_MODEL", "PCI", "VMGROUP", "SNAPSHOT")


def vm(element: Element) -> Vm:
    """Each level is passed over once: there may be ten thousand machines."""
    told, sections = texts(element, _VM_TEXTS), groups(element, _VM_SECTIONS)
    template = next(iter(sections["TEMPLATE"]), None)
    sizes, vectors = texts(template, _SIZES), groups(template, _VECTORS)
    user = singles(next(iter(sections["USER_TEMPLATE"]), None))
    state = int(told["STATE"] or -1)
    stays = [stay for records in sections["HISTORY_RECORDS"] for stay in records.iterchildren("HISTORY")]
    last = texts(stays[-1], _STAY) if stays else {}
    return Vm(
        id=int(told["ID"] or -1),
        name=told["NAME"],
        owner=int(told["UID"] or -1),
        state=state,
        lcm_state=int(told["LCM_STATE"] or -1),
        cpu=sys.intern(sizes["CPU"]),
        vcpu=int(sizes["VCPU"] or 1),  # absent means one
        memory=int(sizes["MEMORY"] or -1),
        nics=tuple(map(_nic, vectors["NIC"])),
        disks=tuple(map(_disk, vectors["DISK"])),
        mark=mark_from_opennebula(user),
        host=sys.intern(last["HOSTNAME"]) if last and state in _ON_A_HOST else "",
        scheduler_message=user.get("SCHED_MESSAGE", ""),
        error=user.get("ERROR", ""),
        notes=notes(user),
        vcpu_max=_counted(sizes["VCPU_MAX"]),
        memory_max=_counted(sizes["MEMORY_MAX"]),
        cpu_model=next((shared_text(one, "MODEL") for one in vectors["CPU_MODEL"]), ""),
        pci=tuple(_pci(one) for one in vectors["PCI"] if one.findtext("TYPE") != "NIC"),
        groups=tuple(Membership(_count(one, "VMGROUP_ID"), shared_text(one, "ROLE")) for one in vectors["VMGROUP"]),
        requirements=sys.intern(user.get("SCHED_REQUIREMENTS", "")),
        since=0 if stays else _counted(told["STIME"]),
        snapshots=tuple(map(_snapshot, vectors["SNAPSHOT"])),
        backups=next(map(_backups, sections["BACKUPS"]), NO_BACKUPS),
        schedules=frozenset(oid for actions in sections["SCHED_ACTIONS"] for oid in ids(actions, "ID"))
        or _NO_SCHEDULES,
        system=int(last["DS_ID"] or -1) if last else -1,
        stay=_counted(last["STIME"]) if last else 0,
    )


def _count(element: Element, path: str) -> int:
    return _counted(element.findtext(path) or "")


def _counted(written: str) -> int:
    """A number that a person may have written."""
    return int(written) if written.isdecimal() else 0


def _pci(element: Element) -> Pci:
    return Pci(
        vendor=shared_text(element, "VENDOR"),
        device=shared_text(element, "DEVICE"),
        class_=shared_text(element, "CLASS"),
        id=int(element.findtext("PCI_ID") or -1),
        vm=int(element.findtext("VMID") or -1),
    )


def vm_group(element: Element) -> VmGroup:
    attributes = singles(element.find("TEMPLATE"))
    return VmGroup(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        mark=mark_from_opennebula(attributes),
        roles={
            text(role, "NAME"): frozenset(int(one) for one in text(role, "VMS").split(",") if one.strip().isdecimal())
            for role in element.iterfind("ROLES/ROLE")
        },
    )


def _backups(element: Element) -> VmBackups:
    if all(len(section) == 0 for section in element):
        return NO_BACKUPS
    return VmBackups(
        keep_last=int(element.findtext("BACKUP_CONFIG/KEEP_LAST") or 0),
        mode=shared_text(element, "BACKUP_CONFIG/MODE"),
        images=ids(element, "BACKUP_IDS/ID"),
        increment=number(element, "BACKUP_CONFIG/LAST_INCREMENT_ID"),
    )


def _snapshot(element: Element) -> VmSnapshot:
    return VmSnapshot(
        id=number(element, "SNAPSHOT_ID"),
        name=text(element, "NAME"),
        time=number(element, "TIME"),
        busy=bool(text(element, "ACTION")),
    )


def scheduled(element: Element) -> tuple[ScheduledAction, ...]:
    """What is scheduled for a machine; only one.vm.info tells it."""
    return tuple(
        ScheduledAction(
            action=text(one, "ACTION"),
            args=text(one, "ARGS"),
            time=number(one, "TIME"),
            repeat=number(one, "REPEAT"),
            days=text(one, "DAYS"),
            id=number(one, "ID"),
        )
        for one in element.iterfind("TEMPLATE/SCHED_ACTION")
    )


_NIC = ("NIC_ID", "NETWORK_ID", "NETWORK", "IP", "MAC", "SECURITY_GROUPS")
_DISK = ("DISK_ID", "IMAGE_ID", "IMAGE", "SIZE", DISK_LABEL)


def _nic(element: Element) -> Nic:
    told = texts(element, _NIC)
    return Nic(
        id=int(told["NIC_ID"] or -1),
        network_id=int(told["NETWORK_ID"] or -1),
        network=sys.intern(told["NETWORK"]),
        ip=told["IP"],
        mac=told["MAC"],
        groups=_numbers(told["SECURITY_GROUPS"]),
    )


@lru_cache(maxsize=4096)
def _numbers(listed: str) -> tuple[int, ...]:
    """A list of ids as oned keeps it in one text: thousands of cards have one of a handful."""
    return tuple(sorted({int(one) for one in listed.split(",") if one.strip().isdigit()}))


def _disk(element: Element) -> Disk:
    told = texts(element, _DISK)
    return Disk(
        id=int(told["DISK_ID"] or -1),
        image_id=int(told["IMAGE_ID"] or -1),
        image=sys.intern(told["IMAGE"]),
        size=int(told["SIZE"] or -1),
        label=sys.intern(told[DISK_LABEL]),
    )


# ------------------------------------------------------------------------------------------------------- other objects


def network(element: Element) -> Network:
    attributes = singles(element.find("TEMPLATE"))
    return Network(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        state=number(element, "STATE"),
        clusters=ids(element, "CLUSTERS/ID"),
        attributes=unmarked(attributes),
        ranges=tuple(_range(one) for one in element.iterfind("AR_POOL/AR")),
        used_leases=number(element, "USED_LEASES"),
        mark=mark_from_opennebula(attributes),
        vms=_network_vms(element),
        parent=number(element, "PARENT_NETWORK_ID"),
        outdated=(*ids(element, "OUTDATED_VMS/ID"), *ids(element, "UPDATING_VMS/ID")),
        failed=ids(element, "ERROR_VMS/ID"),
    )


def _network_vms(element: Element) -> tuple[int, ...]:
    found = {
        vm_id
        for path in ("UPDATED_VMS/ID", "OUTDATED_VMS/ID", "UPDATING_VMS/ID", "ERROR_VMS/ID")
        for vm_id in ids(element, path)
    }
    return tuple(sorted(found))


def _range(element: Element) -> AddressRange:
    used = element.findtext("USED_LEASES")
    # The pool packs leases into pairs of index and holder.
    packed = text(element, "ALLOCATED").split()
    return AddressRange(
        ip=text(element, "IP"),
        size=number(element, "SIZE"),
        id=number(element, "AR_ID"),
        used=int(used) if used else len(packed) // 2,
        leases=tuple(_lease(int(index), int(holder)) for index, holder in zip(packed[::2], packed[1::2], strict=False)),
        parent=number(element, "PARENT_NETWORK_AR_ID"),
    )


# A holder: its kind in the upper bits, its id in the lower 32 (recorded; a hold is a machine of id -1).
_HOLDERS = {0x10_0000_0000: "VM", 0x40_0000_0000: "NET", 0x4_0000_0000_0000: "VROUTER"}
_NOBODY = 0xFFFF_FFFF


def _lease(index: int, holder: int) -> Lease:
    who = holder & _NOBODY
    if who == _NOBODY:
        return Lease(index, "HOLD")
    return Lease(index, _HOLDERS.get(holder - who, "OTHER"), who)


# Attributes of an address range that oned makes and keeps; an update must not name them (observed: vn.update_ar
# replaces all others).
_KEPT_OF_RANGE = frozenset(
    {
        "AR_ID",
        "ALLOCATED",
        "IP",
        "IP_END",
        "LEASES",
        "MAC",
        "MAC_END",
        "NEXT_INDEX",
        "PARENT_NETWORK_AR_ID",
        "SHARED",
        "SIZE",
        "TYPE",
        "USED_LEASES",
    }
)


def range_attributes(element: Element) -> dict[int, dict[str, str]]:
    """By range id the attributes that somebody gave it: GATEWAY, DNS, ..."""
    return {
        number(one, "AR_ID"): {name: value for name, value in singles(one).items() if name not in _KEPT_OF_RANGE}
        for one in element.iterfind("AR_POOL/AR")
    }


def security_group(element: Element) -> SecurityGroup:
    attributes = singles(element.find("TEMPLATE"))
    return SecurityGroup(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        rules=tuple(_rule(one) for one in element.iterfind("TEMPLATE/RULE")),
        mark=mark_from_opennebula(attributes),
        updated=ids(element, "UPDATED_VMS/ID"),
        outdated=ids(element, "OUTDATED_VMS/ID"),
        updating=ids(element, "UPDATING_VMS/ID"),
        failed=ids(element, "ERROR_VMS/ID"),
        notes=notes(attributes),
    )


def _rule(element: Element) -> SecurityRule:
    return SecurityRule(
        protocol=text(element, "PROTOCOL").upper(),
        direction=text(element, "RULE_TYPE").upper(),
        range=text(element, "RANGE").replace(" ", ""),
        ip=text(element, "IP"),
        size=text(element, "SIZE"),
        network_id=text(element, "NETWORK_ID"),
        icmp_type=text(element, "ICMP_TYPE") or text(element, "ICMPV6_TYPE"),
    )


def image(element: Element) -> Image:
    attributes = singles(element.find("TEMPLATE"))
    made = tuple(map(_increment, element.iterfind("BACKUP_INCREMENTS/INCREMENT")))
    return Image(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        type=number(element, "TYPE"),
        state=number(element, "STATE"),
        size=number(element, "SIZE"),
        datastore_id=number(element, "DATASTORE_ID"),
        running_vms=number(element, "RUNNING_VMS"),
        mark=mark_from_opennebula(attributes),
        error=attributes.get("ERROR", ""),
        source=text(element, "PATH") or text(element, "SOURCE"),
        vms=ids(element, "VMS/ID"),
        persistent=number(element, "PERSISTENT") == 1,
        public=number(element, "PERMISSIONS/OTHER_U") == 1,
        notes=notes(attributes),
        time=max((number(element, "REGTIME"), *(one.time for one in made), 0)),
        backup_of=number(element, "VMS/ID") if number(element, "TYPE") == _BACKUP else -1,
        description=attributes.get("DESCRIPTION", ""),
        increments=made,
        backup_disks=ids(element, "BACKUP_DISK_IDS/ID"),
        backup_job=attributes.get("BACKUP_JOB_ID", ""),
    )


def _increment(element: Element) -> Increment:
    return Increment(number(element, "ID"), text(element, "SOURCE"), number(element, "DATE"))


def host(element: Element) -> Host:
    template = singles(element.find("TEMPLATE"))
    return Host(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        state=number(element, "STATE"),
        cluster_id=number(element, "CLUSTER_ID"),
        im_mad=text(element, "IM_MAD"),
        vm_mad=text(element, "VM_MAD"),
        running_vms=number(element, "HOST_SHARE/RUNNING_VMS"),
        max_cpu=number(element, "HOST_SHARE/MAX_CPU"),
        max_memory=number(element, "HOST_SHARE/MAX_MEM"),
        mark=mark_from_opennebula(template),
        notes={name: value for name, value in notes(template).items() if value},
        pci=tuple(_pci(one) for one in element.iterfind("HOST_SHARE/PCI_DEVICES/PCI")),
    )


def template(element: Element) -> Template:
    return Template(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        public=number(element, "PERMISSIONS/OTHER_U") == 1,
        requirements=text(element, "TEMPLATE/SCHED_REQUIREMENTS"),
        disks=tuple(
            TemplateDisk(number(one, "IMAGE_ID"), text(one, DISK_LABEL)) for one in element.iterfind("TEMPLATE/DISK")
        ),
        notes=frozenset(notes(singles(element.find("TEMPLATE")))),
    )


def app(element: Element) -> MarketplaceApp:
    return MarketplaceApp(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        state=number(element, "STATE"),
        size=number(element, "SIZE"),
        marketplace=text(element, "MARKETPLACE"),
    )
