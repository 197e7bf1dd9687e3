"""Disk contents as digests: a test compares the digest of a copy with that of its source.

A disk that is a copy of its image has a content of its own from the prolog on; one of a persistent image is the image. A
guest that runs may write, and a busy one writes all the time: what is copied under it is not what it has in the end.
"""

import hashlib

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.lifecycle import GUEST_RUNS, State
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.model_storage import Image
from sovereigncloud_sandbox.opennebula.template import Vector


def digest(*parts: object) -> str:
    """A digest that looks like an MD5."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]


def of_image(image: Image) -> str:
    """The MD5 of what is in an image."""
    return image.content or digest(image.source)


def of_disk(cloud: Cloud, vm: Vm, disk: Vector) -> str:
    """The digest of what is on a disk at this moment."""
    if vm.busy and guest_runs(vm):
        scribble(cloud, vm)
    image = _image(cloud, disk)
    if image is not None and disk.get("PERSISTENT") == "YES":
        return of_image(image)
    own = vm.contents.get(disk["DISK_ID"])
    if own is None:
        return of_image(image) if image is not None else digest("empty", disk.get("SIZE", ""))
    return own


def put(cloud: Cloud, vm: Vm, disk: Vector, content: str) -> None:
    """This is on a disk from now on."""
    image = _image(cloud, disk)
    if image is not None and disk.get("PERSISTENT") == "YES":
        image.content = content
    else:
        vm.contents[disk["DISK_ID"]] = content


def copied(cloud: Cloud, vm: Vm) -> None:
    """The images were copied for a machine: the prolog."""
    vm.contents.clear()
    for disk in vm.disks:
        fill(cloud, vm, disk)


def fill(cloud: Cloud, vm: Vm, disk: Vector) -> None:
    """A disk is as its image, or empty."""
    image = _image(cloud, disk)
    if image is None:
        vm.contents[disk["DISK_ID"]] = digest("empty", disk.get("SIZE", ""))
    elif disk.get("PERSISTENT") != "YES":
        vm.contents[disk["DISK_ID"]] = of_image(image)


def write(cloud: Cloud, vm: Vm, disk_id: int, data: str) -> None:
    """The guest writes.

    Raises:
        LookupError: it does not run, or has no such disk.
    """
    if not guest_runs(vm):
        raise LookupError(f"VM {vm.oid} does not run: {vm.state.name}")
    disk = next((one for one in vm.disks if one["DISK_ID"] == str(disk_id)), None)
    if disk is None:
        raise LookupError(f"VM {vm.oid} has no disk {disk_id}")
    put(cloud, vm, disk, digest(of_disk(cloud, vm, disk), data))


def scribble(cloud: Cloud, vm: Vm) -> None:
    """A busy guest has written to each of its disks since somebody last looked."""
    busy, vm.busy = vm.busy, False  # what it had is read without writing anew
    for disk in vm.disks:
        put(cloud, vm, disk, digest(of_disk(cloud, vm, disk), cloud.now))
    vm.busy = busy


def guest_runs(vm: Vm) -> bool:
    """Whether there is a process of the hypervisor for it."""
    return vm.state is State.ACTIVE and vm.lcm in GUEST_RUNS


def _image(cloud: Cloud, disk: Vector) -> Image | None:
    return cloud.images.get(int(disk.get("IMAGE_ID", "-1")))
