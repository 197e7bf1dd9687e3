"""Competing claims of instances on an existing disk image."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.disk_names import DISK, record_key
from sovereigncloud.ports.opennebula.views import CloudView, Image


def disk_holders(resource: HostedInstance, view: CloudView, context: Context) -> Mapping[str, str]:
    """Return, by name of a data disk, the other instance that still declares its image.

    An instance that is being deleted, or that removed the disk from spec, has no claim any more.
    """
    wanted = unrecorded_images(resource)
    if not wanted:
        return {}
    images = (image for image in view.images.values() if image.name in wanted and DISK in image.notes)
    found = ((wanted[image.name], _current_holder(image, resource, context)) for image in images)
    return {name: holder for name, holder in found if holder}


def unrecorded_images(resource: HostedInstance) -> Mapping[str, str]:
    """Return disk names by the existing image each one declares and has not recorded yet."""
    return {
        disk.image: disk.name
        for disk in resource.spec.disks or ()
        if disk.image is not None and record_key(disk.name) not in resource.external
    }


def _current_holder(image: Image, resource: HostedInstance, context: Context) -> str:
    parts = image.mark.object.split("/") if image.mark is not None else []
    if len(parts) != 3:
        return ""
    key = Key(*parts)
    other = context.get(key) if key != resource.key else None
    if not isinstance(other, HostedInstance) or other.deleting:
        return ""
    asks = any(disk.name == image.notes[DISK] for disk in other.spec.disks or ())
    return str(key) if asks else ""
