"""Retained copies: complete copies that rehearsals kept in a cloud, usable there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.continuity import MachineShape
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.continuity.copies import SOURCE_IMAGE
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT, RetainedImage, retained_images
from sovereigncloud.kinds.hostedinstance.machine.capacity import size
from sovereigncloud.kinds.hostedinstance.machine.copy import IMAGE, Copy, DiskCopy
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.ports.opennebula.views import CloudView, Image

_CAN_BE_CLONED = frozenset({1, 2, 6})
"""Image states that can be cloned: READY, USED, CLONE."""


def retained_copies(images: Iterable[Image], cloud: Key, mark: Mark, owners: Collection[int]) -> list[Copy]:
    """Complete, clonable copies of the instance with this mark among these images."""
    runs: dict[str, list[tuple[Image, RetainedImage]]] = {}
    for image, kept in retained_images(images, mark, owners):
        runs.setdefault(kept.run, []).append((image, kept))
    return [
        _kept_copy(found, cloud)
        for found in runs.values()
        if len({kept.disk for _, kept in found}) == found[0][1].disks
        and all(image.state in _CAN_BE_CLONED for image, _ in found)
    ]


def _kept_copy(found: list[tuple[Image, RetainedImage]], cloud: Key) -> Copy:
    one = found[0][1]
    return Copy(
        kind=IMAGE,
        name=f"{where(cloud)}/{min(image.id for image, _ in found)}",
        time=min(kept.time for _, kept in found),
        outside=True,
        server="",
        disks=tuple(
            DiskCopy(kept.disk, kept.label, image.size, {SOURCE_IMAGE: str(image.id)})
            for image, kept in sorted(found, key=lambda each: each[1].disk)
        ),
        shape=MachineShape(
            cpu=one.cpu or None, vcpu=one.vcpu, memory=size(one.memory), networks=list(one.networks) or None
        ),
    )


@dataclass(frozen=True, slots=True)
class RetainedInCloud:
    """Retained images of a namespace in a cloud, indexed once for all its VMs."""

    cloud: Key
    owners: frozenset[int] = frozenset()
    images: Mapping[str, list[Image]] = field(default_factory=dict)

    def of(self, mark: Mark) -> list[Copy]:
        """Retained copies of the instance with this mark."""
        return retained_copies(self.images.get(mark.object, ()), self.cloud, mark, self.owners)


async def retained_in_cloud(view: CloudView, cloud: Key, namespace: str, context: Context) -> RetainedInCloud:
    """Index the retained images of a cloud by instance."""
    found: dict[str, list[Image]] = {}
    for image in view.images.values():
        if KEPT in image.notes and image.mark is not None:
            found.setdefault(image.mark.object, []).append(image)
    if not found:
        return RetainedInCloud(cloud)
    makers = await makers_of(view, cloud, namespace, context)
    return RetainedInCloud(cloud, makers.owners, found)
