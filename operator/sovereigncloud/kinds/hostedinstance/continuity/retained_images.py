"""Retained images: copies of VM disks that a rehearsal kept in another cloud. Pure.

Everything is written on the image in one update, so a copy is found even if the VM's cloud and the Kubernetes cluster
are both lost. A retained image is never attached to a VM; only its clones are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.ports.opennebula.views import Image

KEPT = "SOVEREIGNCLOUD_COPY"
"""Note on a retained image: what it is a copy of (`RetainedImage`)."""
_NONE = "-"
_WORDS = 10
_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class RetainedImage:
    """Disk of a retained copy.

    Attributes:
        image: id of the image itself; a clone inherits this value but has another id.
        run: UID of the rehearsal; images with the same one form one copy.
        disks: number of disks in that copy.
        time: time of its data (RFC 3339, UTC).
        disk: id of the disk in the VM.
        label: its name in spec.disks; empty: a disk of the VM itself.
        cpu, vcpu, memory, networks: shape of the VM, memory in MiB.
    """

    image: int
    run: str
    disks: int
    time: str
    disk: int
    label: str
    cpu: str
    vcpu: int
    memory: int
    networks: tuple[str, ...] = ()

    def __str__(self) -> str:
        nets = ",".join(quote(name, safe="") for name in self.networks) or _NONE
        own = (self.label or _NONE, self.cpu or _NONE, self.vcpu, self.memory, nets)
        return " ".join(map(str, (self.image, self.run, self.disks, self.time, self.disk, *own)))


def read_retained(image: Image) -> RetainedImage | None:
    """Parse the note of a retained image; None for other images and for clones."""
    words = image.notes.get(KEPT, "").split(" ")
    if len(words) != _WORDS or not all(words[place].isdigit() for place in (0, 2, 4, 7, 8)):
        return None
    number, run, disks, time, disk, label, cpu, vcpu, memory, nets = words
    if int(number) != image.id:
        return None
    networks = tuple(unquote(name) for name in nets.split(",")) if nets != _NONE else ()
    return RetainedImage(
        int(number),
        run,
        int(disks),
        time,
        int(disk),
        "" if label == _NONE else label,
        "" if cpu == _NONE else cpu,
        int(vcpu),
        int(memory),
        networks,
    )


def retained_images(
    images: Iterable[Image], mark: Mark, owners: Collection[int]
) -> Iterator[tuple[Image, RetainedImage]]:
    """Retained images of an instance in a cloud, complete copies or not.

    Only images of owners that create for its namespace count, since anybody may write the same note.
    """
    for image in images:
        if KEPT not in image.notes or image.owner not in owners or ownership(image.mark, mark) not in _OURS:
            continue
        if (kept := read_retained(image)) is not None:
            yield image, kept
