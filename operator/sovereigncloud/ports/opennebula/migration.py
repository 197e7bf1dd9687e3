"""The door to what OpenNebula does so that a machine can be had in another cloud: disks saved as images, apps of a marketplace.

What takes a template is marked in the call that makes it; a saved disk takes nothing but a name, by which it is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from sovereigncloud.core.identity import Mark

if TYPE_CHECKING:
    from sovereigncloud.ports.opennebula.client import Attributes


class AppState(IntEnum):
    READY = 1
    LOCKED = 2
    ERROR = 3
    DISABLED = 4


@dataclass(frozen=True, slots=True)
class App:
    """An app of a marketplace. `size` in MiB; `source`: where its file is; `digest`: the MD5 of that file; `zone`: whose front-end
    alone deletes it.
    """

    id: int
    name: str
    owner: int
    state: int
    size: int
    source: str
    digest: str
    marketplace: str
    zone: int
    mark: Mark | None = None
    error: str = ""


class Moves(Protocol):
    """Of one front-end, under the credential that it belongs to."""

    async def apps(self) -> tuple[App, ...]:
        """Those of the credential's user. The administrator has those of public marketplaces, too."""
        ...

    async def save_disk(self, vm_id: int, disk_id: int, name: str) -> int:
        """The image that a disk becomes, in the datastore of the image that the disk is of; the machine is busy meanwhile.
        Raises Conflict where the user has an image of that name.
        """
        ...

    async def clone_image(self, image_id: int, name: str) -> int:
        """Another image like it in the same datastore, with all that is written on it. Raises Conflict where the user has an image of
        that name.
        """
        ...

    async def publish(self, template: Attributes, marketplace_id: int) -> int:
        """An image of this zone as an app. Refused, it may stay as an app in ERROR. Raises Conflict where the user has an app of
        that name.
        """
        ...

    async def create_held(self, template: Attributes) -> int:
        """A machine that is on no host before it is released."""
        ...

    async def delete_app(self, app_id: int) -> None:
        """With its file. In its own zone only."""
        ...
