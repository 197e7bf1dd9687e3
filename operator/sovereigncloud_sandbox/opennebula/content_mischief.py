"""Fault injection for data: guests that write, image files that change."""

from collections.abc import Callable, Mapping

from sovereigncloud_sandbox.opennebula import contents, federation
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.model_storage import Image, MarketApp


def _vm(cloud: Cloud, which: int | str) -> Vm:
    cloud.advance()
    alive = [one for one in cloud.vms.values() if one.state is not State.DONE and which in {one.oid, one.name}]
    if not alive:
        raise LookupError(f"no VM {which!r} in {cloud.name}")
    return alive[-1]


def write(cloud: Cloud, vm: int | str, data: str, disk: int = 0) -> None:
    """The guest writes to a disk: what is on it is another digest from now on."""
    contents.write(cloud, _vm(cloud, vm), disk, data)


def set_busy(cloud: Cloud, vm: int | str, *, busy: bool = True) -> None:
    """The guest writes all the time while it runs, or does no more."""
    one = _vm(cloud, vm)
    if one.busy and contents.guest_runs(one):
        contents.scribble(cloud, one)
    one.busy = busy


def put_in_image(cloud: Cloud, image: int | str, content: str) -> None:
    """An image has this digest, whatever it had."""
    cloud.advance()
    found = [one for one in cloud.images.values() if image in {one.oid, one.name}]
    if not found:
        raise LookupError(f"no image {image!r} in {cloud.name}")
    found[-1].content = content


def _app(cloud: Cloud, which: int | str) -> MarketApp:
    cloud.advance()
    found = [one for one in federation.home(cloud).apps.values() if which in {one.oid, one.name}]
    if not found:
        raise LookupError(f"no app {which!r} in {cloud.name}")
    return found[-1]


def tamper_with_app(cloud: Cloud, app: int | str, content: str = "tampered") -> None:
    """The file of an app is no longer what its MD5 says."""
    cloud.files[_app(cloud, app).source].md5 = contents.digest(content)


def digests(cloud: Cloud) -> Mapping[str, Mapping[str, object]]:
    """What is on the disks of machines and in images, by id."""
    cloud.advance()
    machines = {
        str(vm.oid): {disk["DISK_ID"]: contents.of_disk(cloud, vm, disk) for disk in vm.disks}
        for vm in cloud.vms.values()
        if vm.state is not State.DONE
    }
    images: list[Image] = list(cloud.images.values())
    return {"vms": machines, "images": {str(one.oid): contents.of_image(one) for one in images if one.content}}


CONTENT_MISCHIEF: Mapping[str, Callable[..., None]] = {
    "vm-write": write,
    "vm-busy": set_busy,
    "image-content": put_in_image,
    "app-tamper": tamper_with_app,
}
