"""oned's XML straight into the values of the port. pyone's bindings would take 13 times as long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import TypeVar

from lxml import etree

from sovereigncloud.core.identity import ONE_INSTALLATION, ONE_OBJECT, ONE_UID, mark_from_opennebula
from sovereigncloud.kinds.ports import (
    AddressRange,
    Cluster,
    Datastore,
    Disk,
    Host,
    Image,
    MarketplaceApp,
    Network,
    Nic,
    Template,
    Vm,
)

T = TypeVar("T")
Element = etree._Element  # noqa: SLF001 - lxml exports no other name for the type

_MARK = frozenset({ONE_INSTALLATION, ONE_OBJECT, ONE_UID})
_NOTE = "SOVEREIGNCLOUD_"
# STATE in which a machine is on a host: ACTIVE, SUSPENDED, POWEROFF.
_ON_A_HOST = frozenset({3, 5, 8})


class Malformed(Exception):
    """XML that is not what oned gives."""


def read_pool(xml: str, tag: str, read: Callable[[Element], T]) -> list[T]:
    """Every object of a pool.

    Raises:
        Malformed: it is no pool, or an object in it is not whole.
    """
    return list(_objects(xml, tag, read))


def _objects(xml: str, tag: str, read: Callable[[Element], T]) -> Iterator[T]:
    if not xml:
        return
    try:
        for _, element in etree.iterparse(
            BytesIO(xml.encode()), tag=tag, huge_tree=True, resolve_entities=False, no_network=True
        ):
            # HOST_POOL/HOST has in VMS/ID nothing of that name, but VM_POOL/VM may have VMs in plans some day.
            parent = element.getparent()
            if parent is not None and parent.getparent() is None:
                yield read(element)
                element.clear()
    except (etree.XMLSyntaxError, ValueError, TypeError) as error:
        raise Malformed(f"not a pool of {tag}") from error


def read_one(xml: str, tag: str, read: Callable[[Element], T]) -> T:
    """One object.

    Raises:
        Malformed: it is none.
    """
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(xml.encode(), parser)
        if root.tag != tag:
            raise Malformed(f"not a {tag}")
        return read(root)
    except (etree.XMLSyntaxError, ValueError, TypeError) as error:
        raise Malformed(f"not a {tag}") from error


def _shared(element: Element, path: str) -> str:
    """A text that many objects have: kept once."""
    return sys.intern(_text(element, path))


def _text(element: Element, path: str) -> str:
    return element.findtext(path) or ""


def _number(element: Element, path: str) -> int:
    return int(element.findtext(path) or -1)


def _ids(element: Element, path: str) -> tuple[int, ...]:
    return tuple(int(one.text or -1) for one in element.iterfind(path))


def singles(element: Element | None) -> dict[str, str]:
    """The single attributes of a template; vectors are left out."""
    return {} if element is None else {str(one.tag): one.text or "" for one in element if len(one) == 0}


def notes(element: Element | None) -> dict[str, str]:
    """Attributes of ours in a template, but for the mark."""
    return {name: value for name, value in _unmarked(singles(element)).items() if name.startswith(_NOTE)}


def _unmarked(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in _MARK}


# ------------------------------------------------------------------------------------------------------------ machines


def vm(element: Element) -> Vm:
    user = singles(element.find("USER_TEMPLATE"))
    state = _number(element, "STATE")
    stays = element.findall("HISTORY_RECORDS/HISTORY")
    return Vm(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        owner=_number(element, "UID"),
        state=state,
        lcm_state=_number(element, "LCM_STATE"),
        cpu=_shared(element, "TEMPLATE/CPU"),
        vcpu=int(element.findtext("TEMPLATE/VCPU") or 1),  # absent means one
        memory=_number(element, "TEMPLATE/MEMORY"),
        nics=tuple(_nic(one) for one in element.iterfind("TEMPLATE/NIC")),
        disks=tuple(_disk(one) for one in element.iterfind("TEMPLATE/DISK")),
        mark=mark_from_opennebula(user),
        host=_shared(stays[-1], "HOSTNAME") if stays and state in _ON_A_HOST else "",
        scheduler_message=user.get("SCHED_MESSAGE", ""),
        error=user.get("ERROR", ""),
        notes=notes(element.find("USER_TEMPLATE")),
    )


def _nic(element: Element) -> Nic:
    return Nic(
        id=_number(element, "NIC_ID"),
        network_id=_number(element, "NETWORK_ID"),
        network=_shared(element, "NETWORK"),
        ip=_text(element, "IP"),
        mac=_text(element, "MAC"),
    )


def _disk(element: Element) -> Disk:
    return Disk(
        id=_number(element, "DISK_ID"),
        image_id=_number(element, "IMAGE_ID"),
        image=_shared(element, "IMAGE"),
        size=_number(element, "SIZE"),
    )


# ------------------------------------------------------------------------------------------------------- other objects


def network(element: Element) -> Network:
    attributes = singles(element.find("TEMPLATE"))
    return Network(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        owner=_number(element, "UID"),
        state=_number(element, "STATE"),
        clusters=_ids(element, "CLUSTERS/ID"),
        attributes=_unmarked(attributes),
        ranges=tuple(_range(one) for one in element.iterfind("AR_POOL/AR")),
        used_leases=_number(element, "USED_LEASES"),
        mark=mark_from_opennebula(attributes),
        vms=_network_vms(element),
    )


def _network_vms(element: Element) -> tuple[int, ...]:
    found = {
        vm_id
        for path in ("UPDATED_VMS/ID", "OUTDATED_VMS/ID", "UPDATING_VMS/ID", "ERROR_VMS/ID")
        for vm_id in _ids(element, path)
    }
    return tuple(sorted(found))


def _range(element: Element) -> AddressRange:
    used = element.findtext("USED_LEASES")
    # The pool packs leases into pairs of index and holder.
    packed = len(_text(element, "ALLOCATED").split()) // 2
    return AddressRange(
        ip=_text(element, "IP"),
        size=_number(element, "SIZE"),
        id=_number(element, "AR_ID"),
        used=int(used) if used else packed,
    )


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
        _number(one, "AR_ID"): {name: value for name, value in singles(one).items() if name not in _KEPT_OF_RANGE}
        for one in element.iterfind("AR_POOL/AR")
    }


def image(element: Element) -> Image:
    attributes = singles(element.find("TEMPLATE"))
    return Image(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        owner=_number(element, "UID"),
        type=_number(element, "TYPE"),
        state=_number(element, "STATE"),
        size=_number(element, "SIZE"),
        datastore_id=_number(element, "DATASTORE_ID"),
        running_vms=_number(element, "RUNNING_VMS"),
        mark=mark_from_opennebula(attributes),
        error=attributes.get("ERROR", ""),
        source=_text(element, "PATH") or _text(element, "SOURCE"),
        vms=_ids(element, "VMS/ID"),
        persistent=_number(element, "PERSISTENT") == 1,
    )


def host(element: Element) -> Host:
    template = singles(element.find("TEMPLATE"))
    return Host(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        state=_number(element, "STATE"),
        cluster_id=_number(element, "CLUSTER_ID"),
        im_mad=_text(element, "IM_MAD"),
        vm_mad=_text(element, "VM_MAD"),
        running_vms=_number(element, "HOST_SHARE/RUNNING_VMS"),
        max_cpu=_number(element, "HOST_SHARE/MAX_CPU"),
        max_memory=_number(element, "HOST_SHARE/MAX_MEM"),
        mark=mark_from_opennebula(template),
        notes={name: value for name, value in _unmarked(template).items() if name.startswith(_NOTE) and value},
    )


def datastore(element: Element) -> Datastore:
    return Datastore(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        type=_number(element, "TYPE"),
        state=_number(element, "STATE"),
        total=_number(element, "TOTAL_MB"),
        free=_number(element, "FREE_MB"),
    )


def cluster(element: Element) -> Cluster:
    return Cluster(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        datastores=frozenset(_ids(element, "DATASTORES/ID")),
        networks=frozenset(_ids(element, "VNETS/ID")),
    )


def template(element: Element) -> Template:
    return Template(id=_number(element, "ID"), name=_text(element, "NAME"), owner=_number(element, "UID"))


def app(element: Element) -> MarketplaceApp:
    return MarketplaceApp(
        id=_number(element, "ID"),
        name=_text(element, "NAME"),
        state=_number(element, "STATE"),
        size=_number(element, "SIZE"),
        marketplace=_text(element, "MARKETPLACE"),
    )
