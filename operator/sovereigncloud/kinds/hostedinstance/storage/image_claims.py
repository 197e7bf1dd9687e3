"""Who else asks for an image that an instance wants to take."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, record
from sovereigncloud.ports.opennebula.views import CloudView, Image


def disk_holders(resource: HostedInstance, view: CloudView, context: Context) -> Mapping[str, str]:
    """By the name of a data disk of spec: the other instance that still has that image in its spec.disks. One that goes,
    or that took the disk out, has left it behind.
    """
    wanted = images_to_take(resource)
    if not wanted:
        return {}
    images = (image for image in view.images.values() if image.name in wanted and DISK in image.notes)
    found = ((wanted[image.name], _holder(image, resource, context)) for image in images)
    return {name: holder for name, holder in found if holder}


def images_to_take(resource: HostedInstance) -> Mapping[str, str]:
    """Names of images that spec.disks asks for and that are not known to be taken yet, with the disk each is for."""
    return {
        disk.image: disk.name
        for disk in resource.spec.disks or ()
        if disk.image is not None and record(disk.name) not in resource.external
    }


def _holder(image: Image, resource: HostedInstance, context: Context) -> str:
    parts = image.mark.object.split("/") if image.mark is not None else []
    if len(parts) != 3:
        return ""
    key = Key(*parts)
    other = context.get(key) if key != resource.key else None
    if not isinstance(other, HostedInstance) or other.deleting:
        return ""
    asks = any(disk.name == image.notes[DISK] for disk in other.spec.disks or ())
    return str(key) if asks else ""
