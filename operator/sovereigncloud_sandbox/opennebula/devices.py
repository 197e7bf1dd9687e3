"""PCI devices of hosts, and who has them (OpenNebula: src/host/HostSharePCI.cc)."""

from collections.abc import Iterable

from sovereigncloud_sandbox.opennebula.errors import OneError, internal, refused
from sovereigncloud_sandbox.opennebula.model import Host, Vm
from sovereigncloud_sandbox.opennebula.template import Vector

_MEANT_BY = ("VENDOR", "DEVICE", "CLASS")
_GIVEN = ("DOMAIN", "BUS", "SLOT", "FUNCTION", "ADDRESS", "SHORT_ADDRESS", "VENDOR", "DEVICE", "CLASS", "NUMA_NODE")
_OF_HOST = ("DOMAIN", "BUS", "SLOT", "FUNCTION", "ADDRESS", "PREV_ADDRESS", "NUMA_NODE", "UUID", "MDEV_MODE")
FREE = "-1"
_FIRST_BUS = 0x41


def device(slot: int, vendor: str, model: str, kind: str, name: str = "") -> Vector:
    """A device of a host as monitoring reports it; `slot` tells those of one host apart."""
    bus = f"{_FIRST_BUS + slot:02x}"
    return {
        "ADDRESS": f"0000:{bus}:00:0",
        "BUS": bus,
        "CLASS": kind,
        "CLASS_NAME": "3D controller" if kind == "0302" else "Device",
        "DEVICE": model,
        "DEVICE_NAME": name or f"Device {model}",
        "DOMAIN": "0000",
        "FUNCTION": "0",
        "IFNAME": "-",
        "NUMA_NODE": "0",
        "SHORT_ADDRESS": f"{bus}:00.0",
        "SLOT": "00",
        "SRIOV": "no",
        "TYPE": f"{vendor}:{model}:{kind}",
        "VENDOR": vendor,
        "VENDOR_NAME": "NVIDIA Corporation" if vendor == "10de" else f"Vendor {vendor}",
        "VMID": FREE,
    }


def check(wanted: Vector) -> str:
    """Why a PCI attribute means no device; empty where it means some."""
    named = False
    for name in _MEANT_BY:
        text = wanted.get(name, "")
        if text.strip("0123456789abcdefABCDEF"):
            return f"Wrong Hex value for PCI attribute {name}"
        named = named or bool(text)
    address = wanted.get("SHORT_ADDRESS", "")
    if not address and not named:
        return "SHORT_ADDRESS, DEVICE, VENDOR or CLASS must be defined for PCI."
    if address and named:
        return "SHORT_ADDRESS cannot be set with DEVICE, VENDOR or CLASS"
    return ""


def take_over(vm: Vm) -> None:
    """What a template asks for becomes the machine's, without a device yet; NICs on PCI devices are not played.

    Raises:
        OneError: 0x2000, what is asked for means nothing.
    """
    for number, wanted in enumerate([one for one in vm.user_template.pop("PCI") if isinstance(one, dict)]):
        if problem := check(wanted):
            raise internal(problem)
        vm.template.add("PCI", {**wanted, "PCI_ID": str(number)})


def requests(vm: Vm) -> list[Vector]:
    return vm.template.vectors("PCI")


def fit(host: Host, wanted: Iterable[Vector]) -> bool:
    """Whether a host has a free device for each."""
    return _chosen(host, wanted) is not None


def _chosen(host: Host, wanted: Iterable[Vector]) -> list[tuple[Vector, Vector]] | None:
    free = [one for one in host.pci if one["VMID"] == FREE]
    chosen: list[tuple[Vector, Vector]] = []
    # Addresses first: what is asked for by kind takes any that is left.
    for one in sorted(wanted, key=_by_address, reverse=True):
        found = next((candidate for candidate in free if _means(one, candidate)), None)
        if found is None:
            return None
        free.remove(found)
        chosen.append((one, found))
    return chosen


def _by_address(wanted: Vector) -> bool:
    return not any(wanted.get(name) for name in _MEANT_BY)


def _means(wanted: Vector, candidate: Vector) -> bool:
    if _by_address(wanted):
        return wanted.get("SHORT_ADDRESS") == candidate["SHORT_ADDRESS"]
    return all(int(wanted[name], 16) == int(candidate[name], 16) for name in _MEANT_BY if wanted.get(name))


def assign(host: Host, vm: Vm, wanted: Iterable[Vector]) -> None:
    """Give a machine its devices.

    Raises:
        OneError: 0x800, there is none free.
    """
    chosen = _chosen(host, wanted)
    if chosen is None:
        raise none_free()
    for one, found in chosen:
        found["VMID"] = str(vm.oid)
        one.update({name: found[name] for name in _GIVEN})
        slot = int(one["PCI_ID"]) + 1
        one.update({"VM_BUS": "0x01", "VM_SLOT": f"0x{slot:02x}", "VM_ADDRESS": f"01:{slot:02x}.0"})


def none_free() -> OneError:
    """No device of the host is left for what is asked for."""
    return refused("Cannot assign PCI device in host. Check address and free devices")


def give_back(host: Host, vm: Vm, devices: Iterable[Vector] | None = None) -> None:
    """The machine's devices on this host are free; of all its requests, or of some."""
    addresses = {one.get("ADDRESS") for one in (requests(vm) if devices is None else devices)}
    for one in host.pci:
        if one["VMID"] == str(vm.oid) and one["ADDRESS"] in addresses:
            one["VMID"] = FREE
    for one in requests(vm) if devices is None else devices:
        for name in _OF_HOST:
            one.pop(name, None)
