"""Resolve the network of a NIC and the image of a disk: by id, else by name and owner."""

from typing import NamedTuple

from sovereigncloud_sandbox.opennebula.access import USE, Caller, authorize
from sovereigncloud_sandbox.opennebula.cloud import Cloud, P
from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.model import VNet
from sovereigncloud_sandbox.opennebula.model_storage import Image
from sovereigncloud_sandbox.opennebula.template import Vector


class _Words(NamedTuple):
    """What oned calls that which a device names."""

    attribute: str
    noun: str
    one: str
    device: str


def network_of(cloud: Cloud, caller: Caller, nic: Vector) -> VNet | None:
    if nic.get("NETWORK_MODE", "").upper() == "AUTO":
        candidates = [one for one in cloud.vnets.values() if any(len(r.leases) < r.size for r in one.ranges)]
        if not candidates:
            raise internal("No network for a NIC with NETWORK_MODE = auto")
        nic["NETWORK_ID"] = str(candidates[0].oid)
    return _found(cloud, caller, nic, cloud.vnets, _Words("NETWORK", "Virtual network", "a network", "NIC"))


def image_of(cloud: Cloud, caller: Caller, disk: Vector) -> Image | None:
    return _found(cloud, caller, disk, cloud.images, _Words("IMAGE", "Image", "an image", "DISK"))


def _found(cloud: Cloud, caller: Caller, device: Vector, pool: dict[int, P], words: _Words) -> P | None:
    """By its id, else by its name and its owner."""
    attribute = words.attribute
    text, name = device.get(f"{attribute}_ID", ""), device.get(attribute, "")
    if text:
        found = pool.get(int(text)) if text.isdecimal() else None
        if found is None:
            raise internal(f"{words.noun} with ID: {text} does not exist")
    elif name:
        uid = _owner(cloud, device, attribute, caller)
        found = cloud.named(pool, name, uid)
        if found is None:
            raise internal(
                f"User {uid} does not own {words.one} with name: {name} . Set {attribute}_UNAME or {attribute}_UID of owner"
                f" in {words.device}."
            )
    else:
        return None
    authorize(cloud, caller, USE, found)
    device[f"{attribute}_ID"] = str(found.oid)
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
