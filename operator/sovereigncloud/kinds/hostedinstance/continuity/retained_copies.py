"""What rehearsals kept, as copies from which a machine can be made in that very cloud."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.continuity import MachineShape
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.continuity.copies import IMAGE, SOURCE_IMAGE, Copy, DiskCopy
from sovereigncloud.kinds.hostedinstance.continuity.retained_images import KEPT, Kept, kept_images
from sovereigncloud.kinds.hostedinstance.machine.capacity import size
from sovereigncloud.kinds.identity.identification import makers_of
from sovereigncloud.ports.opennebula.views import CloudView, Image

_CAN_BE_CLONED = frozenset({1, 2, 6})
"""Ready, used by machines, or being cloned."""


def kept_copies(images: Iterable[Image], cloud: Key, mark: Mark, owners: Collection[int]) -> list[Copy]:
    """Those that rehearsals kept of the instance with this mark, among these images of a cloud: whole ones, of images that can be cloned."""
    runs: dict[str, list[tuple[Image, Kept]]] = {}
    for image, kept in kept_images(images, mark, owners):
        runs.setdefault(kept.run, []).append((image, kept))
    return [
        _kept_copy(found, cloud)
        for found in runs.values()
        if len({kept.disk for _, kept in found}) == found[0][1].disks
        and all(image.state in _CAN_BE_CLONED for image, _ in found)
    ]


def _kept_copy(found: list[tuple[Image, Kept]], cloud: Key) -> Copy:
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
class KeptThere:
    """What rehearsals kept in a cloud for a namespace, gone through once, however many machines there are."""

    cloud: Key
    owners: frozenset[int] = frozenset()
    images: Mapping[str, list[Image]] = field(default_factory=dict)

    def of(self, mark: Mark) -> list[Copy]:
        """Of the instance with this mark."""
        return kept_copies(self.images.get(mark.object, ()), self.cloud, mark, self.owners)


async def kept_there(view: CloudView, cloud: Key, namespace: str, context: Context) -> KeptThere:
    """Sorted by what they are of."""
    found: dict[str, list[Image]] = {}
    for image in view.images.values():
        if KEPT in image.notes and image.mark is not None:
            found.setdefault(image.mark.object, []).append(image)
    if not found:
        return KeptThere(cloud)
    makers = await makers_of(view, cloud, namespace, context)
    return KeptThere(cloud, makers.owners, found)
