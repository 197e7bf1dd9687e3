"""Virtual networks: address ranges and leases, and what a network lends to a NIC."""

from ipaddress import AddressValueError, IPv4Address

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, internal
from sovereigncloud_sandbox.opennebula.model import AddressRange, Lease, NetState, VNet
from sovereigncloud_sandbox.opennebula.template import Template, Vector

_AR_TYPES = frozenset({"IP4", "IP6", "IP4_6", "IP6_STATIC", "ETHER"})
_AR_OWN = frozenset(
    {"AR_ID", "IP", "MAC", "SIZE", "TYPE", "SHARED", "NEXT_INDEX", "ALLOCATED", "LEASES", "USED_LEASES"}
)
_MAC_PREFIX = 0x0200
_ONE_NETWORK_LIMIT = 1 << 24

# What a NIC takes over from its address range or network (oned.conf: INHERIT_VNET_ATTR).
INHERITED = (
    "VLAN_TAGGED_ID",
    "FILTER",
    "FILTER_IP_SPOOFING",
    "FILTER_MAC_SPOOFING",
    "MTU",
    "METRIC",
    "METHOD",
    "INBOUND_AVG_BW",
    "INBOUND_PEAK_BW",
    "INBOUND_PEAK_KB",
    "OUTBOUND_AVG_BW",
    "OUTBOUND_PEAK_BW",
    "OUTBOUND_PEAK_KB",
    "GATEWAY",
    "DNS",
)


# ------------------------------------------------------------------------------------------------- address ranges


def add_range(one: VNet, vector: Vector, *, parent_ar: int | None = None) -> AddressRange:
    """Add an address range.

    Raises:
        OneError: 0x2000, a size, type or address that makes no range.
    """
    kind = vector.get("TYPE", "")
    if kind not in _AR_TYPES:
        raise internal("Unknown or missing address range TYPE.")
    size = _size(vector.get("SIZE", ""))
    ip = _ip(vector.get("IP", "")) if kind in {"IP4", "IP4_6"} else None
    made = AddressRange(
        ar_id=one.next_ar,
        type=kind,
        size=size,
        mac=_mac(one, vector.get("MAC", ""), ip),
        ip=ip,
        extra={key: value for key, value in vector.items() if key not in _AR_OWN},
        parent_ar=parent_ar,
    )
    one.next_ar += 1
    one.ranges.append(made)
    return made


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1 or int(text) > _ONE_NETWORK_LIMIT:
        raise internal("Wrong SIZE for address range")
    return int(text)


def _ip(text: str) -> int:
    try:
        return int(IPv4Address(text))
    except (AddressValueError, ValueError) as error:
        raise internal("Wrong or empty IP attribute") from error


def _mac(one: VNet, text: str, ip: int | None) -> int:
    if text:
        digits = text.replace(":", "")
        if len(digits) != 12 or text.count(":") != 5 or not all(c in "0123456789abcdefABCDEF" for c in digits):
            raise internal(f"Wrong format for MAC attribute: {text}")
        return int(digits, 16)
    low = ip if ip is not None else (one.oid << 16 | one.next_ar << 8) & 0xFFFFFFFF
    return _MAC_PREFIX << 32 | low


def find_range(one: VNet, text: str) -> AddressRange:
    """An address range by the text of its id.

    Raises:
        OneError: 0x2000.
    """
    if not text:
        raise internal("AR/AR_ID attribute is missing.")
    for candidate in one.ranges:
        if str(candidate.ar_id) == text:
            return candidate
    raise internal(f"Address Range with ID {text} was not found.")


def update_range(one: VNet, vector: Vector) -> None:
    """Change size and own attributes of a range; its addresses stay.

    Raises:
        OneError: 0x2000, no such range, or leases beyond the new size.
    """
    found = find_range(one, vector.get("AR_ID", ""))
    if vector.get("SIZE"):
        if not vector["SIZE"].isdecimal():
            raise internal("Unable to read the SIZE attribute, it must be number >= 0")
        size = int(vector["SIZE"])
        if found.parent_ar is not None and size != found.size:
            raise internal("The SIZE of a reservation cannot be changed.")
        if any(index >= size for index in found.leases):
            raise internal("New SIZE cannot be applied. There are used leases that would fall outside the range.")
        found.size = size
        found.next_index = found.next_index if found.next_index < size else 0
    found.extra = {key: value for key, value in vector.items() if key not in _AR_OWN}


def remove_range(one: VNet, ar_id: int, *, force: bool) -> AddressRange:
    """Take an address range away.

    Raises:
        OneError: 0x2000, no such range, or leases in use.
    """
    found = next((candidate for candidate in one.ranges if candidate.ar_id == ar_id), None)
    if found is None:
        raise internal("Address Range does not exist")
    if found.leases and not force:
        raise internal("Address Range has leases in use")
    one.ranges.remove(found)
    return found


# ------------------------------------------------------------------------------------------------------------ leases


def hold(one: VNet, vector: Vector) -> None:
    """Put an address on hold: nobody gets it.

    Raises:
        OneError: 0x2000.
    """
    found, index = _addressed(one, vector)
    if index in found.leases:
        raise internal("Address is not part of the address range or in use.")
    found.leases[index] = Lease("VM", -1)


def release_hold(one: VNet, vector: Vector) -> None:
    """Take an address off hold.

    Raises:
        OneError: 0x2000.
    """
    found, index = _addressed(one, vector)
    if found.leases.get(index) != Lease("VM", -1):
        raise internal("Address is not in hold")
    del found.leases[index]


def _addressed(one: VNet, vector: Vector) -> tuple[AddressRange, int]:
    ip, mac = vector.get("IP", ""), vector.get("MAC", "")
    if not ip and not mac:
        raise internal("Missing MAC, IP or IP6.")
    if ip and mac:
        raise internal("Only one attribute MAC, IP or IP6 can be set.")
    ranges = [find_range(one, vector["AR_ID"])] if "AR_ID" in vector else one.ranges
    for candidate in ranges:
        index = _index(candidate, ip, mac)
        if index is not None:
            return candidate, index
    raise internal("Address is not part of the address range or in use.")


def _index(candidate: AddressRange, ip: str, mac: str) -> int | None:
    try:
        return candidate.index_of(ip=ip, mac=mac)
    except ValueError:
        return None


def lease(one: VNet, nic: Vector, vm_id: int) -> None:
    """Give a NIC its address and what it takes over from the network.

    Raises:
        OneError: 0x2000 "Cannot get IP/MAC lease from virtual network 3."
    """
    none_free = internal(f"Cannot get IP/MAC lease from virtual network {one.oid}.")
    if one.state is not NetState.READY:
        raise none_free
    found = _free(one, nic)
    if found is None:
        raise none_free
    chosen, index = found
    chosen.leases[index] = Lease("VM", vm_id)
    if vm_id not in one.rollout:
        one.rollout.updated.add(vm_id)
    chosen.next_index = (index + 1) % chosen.size
    nic["AR_ID"] = str(chosen.ar_id)
    nic["MAC"] = chosen.mac_at(index)
    if chosen.ip is not None:
        nic["IP"] = chosen.ip_at(index)
    nic["NETWORK"] = one.name
    nic["NETWORK_ID"] = str(one.oid)
    nic["BRIDGE"] = one.bridge
    nic["BRIDGE_TYPE"] = one.bridge_type
    nic["VN_MAD"] = one.vn_mad
    for name, value in (("PHYDEV", one.phydev), ("VLAN_ID", one.vlan_id), ("OUTER_VLAN_ID", one.outer_vlan_id)):
        if value:
            nic[name] = value
    for name in INHERITED:
        value = chosen.extra.get(name) or one.template.get(name)
        if value and name not in nic:
            nic[name] = value
    own = nic.get("SECURITY_GROUPS", "").split(",")
    groups = [*one.template.get("SECURITY_GROUPS").split(","), *own]
    nic["SECURITY_GROUPS"] = ",".join(sorted({group.strip() for group in groups if group.strip()}, key=int))
    if one.clusters:
        nic["CLUSTER_ID"] = ",".join(str(cluster) for cluster in sorted(one.clusters))


def _free(one: VNet, nic: Vector) -> tuple[AddressRange, int] | None:
    ip, mac = nic.get("IP", ""), nic.get("MAC", "")
    for candidate in one.ranges:
        if ip or mac:
            index = _index(candidate, ip, "" if ip else mac)
            if index is not None and index not in candidate.leases:
                return candidate, index
        elif len(candidate.leases) < candidate.size:
            for step in range(candidate.size):
                index = (candidate.next_index + step) % candidate.size
                if index not in candidate.leases:
                    return candidate, index
    return None


def give_back(cloud: Cloud, nic: Vector, vm_id: int) -> None:
    """Free the address of a NIC."""
    one = cloud.vnets.get(int(nic.get("NETWORK_ID", "-1")))
    if one is None:
        return
    for candidate in one.ranges:
        index = _index(candidate, "", nic.get("MAC", ""))
        if index is not None and candidate.leases.get(index) == Lease("VM", vm_id):
            del candidate.leases[index]
            break
    if not any(lease == Lease("VM", vm_id) for candidate in one.ranges for lease in candidate.leases.values()):
        one.rollout.discard(vm_id)


def reserve(parent: VNet, target: VNet, template: Template) -> None:
    """Move free addresses of a network into a reservation.

    Raises:
        OneError: 0x800, no such range or not enough free addresses.
    """
    size = int(template.get("SIZE") or 0)
    candidates = parent.ranges
    if "AR_ID" in template:
        candidates = [one for one in parent.ranges if str(one.ar_id) == template.get("AR_ID")]
    for source in candidates:
        start = _index(source, template.get("IP"), template.get("MAC")) if _addresses(template) else None
        if start is None and _addresses(template):
            continue  # the address that is asked for is in another range
        first = _run(source, size, start)
        if first is not None:
            vector = {**source.extra, "TYPE": source.type, "SIZE": str(size), "MAC": source.mac_at(first)}
            if source.ip is not None:
                vector["IP"] = source.ip_at(first)
            add_range(target, vector, parent_ar=source.ar_id)
            source.leases.update({first + step: Lease("NET", target.oid) for step in range(size)})
            return
    raise OneError(Code.ACTION, "Not enough free addresses in an address range")


def _addresses(template: Template) -> bool:
    return bool(template.get("IP") or template.get("MAC"))


def _run(source: AddressRange, size: int, start: int | None) -> int | None:
    starts = range(source.size - size + 1) if start is None else (start,)
    for first in starts:
        if first + size <= source.size and all(first + step not in source.leases for step in range(size)):
            return first
    return None


def free_reservation(cloud: Cloud, one: VNet, gone: AddressRange) -> None:
    """Give the addresses of a reserved range back to the network that they came from."""
    parent = cloud.vnets.get(one.parent) if one.parent is not None else None
    for source in parent.ranges if parent else ():
        if source.ar_id == gone.parent_ar:
            first = _index(source, "", gone.mac_at(0))
            for step in range(gone.size if first is not None else 0):
                source.leases.pop((first or 0) + step, None)
