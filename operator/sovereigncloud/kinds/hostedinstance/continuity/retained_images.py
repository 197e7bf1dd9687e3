"""Images that a rehearsal left in another cloud as a copy of a machine: how they tell what they are. Pure.

All is written on the image, in one update that makes it the instance's: so such a copy is found when the cloud of the machine is lost,
and the Kubernetes cluster with it. It is no disk of the instance: no machine of it uses one, only what is cloned from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.ports.opennebula.views import Image

KEPT = "SOVEREIGNCLOUD_COPY"
"""On an image: what it is a copy of (`Kept`)."""
_NONE = "-"
_WORDS = 10
_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class Kept:
    """A disk in a copy.

    Attributes:
        image: its own number. What is cloned from it says the same, and has another.
        run: UID of the rehearsal; one copy is all that have the same.
        disks: how many there are in that copy.
        time: as of when its data is (RFC 3339, UTC).
        disk: number of the disk in the machine.
        label: its name in spec.disks; empty: a disk of the machine's own.
        cpu, vcpu, memory, networks: what the machine was like, memory in MiB.
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


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """One of them, and where it is."""

    cloud: Key
    image: Image


def read_kept(image: Image) -> Kept | None:
    """None: it is no such image, or a clone of one."""
    words = image.notes.get(KEPT, "").split(" ")
    if len(words) != _WORDS or not all(words[place].isdigit() for place in (0, 2, 4, 7, 8)):
        return None
    number, run, disks, time, disk, label, cpu, vcpu, memory, nets = words
    if int(number) != image.id:
        return None
    networks = tuple(unquote(name) for name in nets.split(",")) if nets != _NONE else ()
    return Kept(
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


def kept_images(images: Iterable[Image], mark: Mark, owners: Collection[int]) -> Iterator[tuple[Image, Kept]]:
    """All of an instance among the images of a cloud, whole copies or not. Only what is made for its namespace counts: others can write the same."""
    for image in images:
        if KEPT not in image.notes or image.owner not in owners or ownership(image.mark, mark) not in _OURS:
            continue
        if (kept := read_kept(image)) is not None:
            yield image, kept
