"""Datastores and images, templates, marketplaces and their apps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from sovereigncloud_sandbox.opennebula.model import PoolObject
from sovereigncloud_sandbox.opennebula.template import Template, Vector

IMAGE_TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "BACKUP", "FILESYSTEM")
IMAGE, SYSTEM, FILE, BACKUP = range(4)
DATASTORE_TYPES = {"IMAGE_DS": IMAGE, "SYSTEM_DS": SYSTEM, "FILE_DS": FILE, "BACKUP_DS": BACKUP}


class ImageState(IntEnum):
    """IMAGE STATE."""

    INIT = 0
    READY = 1
    USED = 2
    DISABLED = 3
    LOCKED = 4
    ERROR = 5
    CLONE = 6
    DELETE = 7
    USED_PERS = 8
    LOCKED_USED = 9
    LOCKED_USED_PERS = 10


# While the datastore's driver works, without and with machines that wait for it.
COPYING = frozenset({ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS})


class AppState(IntEnum):
    """MARKETPLACEAPP STATE."""

    INIT = 0
    READY = 1
    LOCKED = 2
    ERROR = 3
    DISABLED = 4


@dataclass(slots=True)
class Datastore(PoolObject):
    """Sizes in MB; 0 until the first monitoring."""

    kind: ClassVar[str] = "DATASTORE"

    ds_mad: str = "fs"
    tm_mad: str = "ssh"
    type: int = IMAGE
    enabled: bool = True
    clusters: set[int] = field(default_factory=lambda: {0})
    images: set[int] = field(default_factory=set)
    capacity: int = 900_000
    total_mb: int = 0
    used_mb: int = 0

    @property
    def free_mb(self) -> int:
        return max(0, self.total_mb - self.used_mb)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds of a machine: how it was at that moment."""

    vm_id: int
    template: Template
    user_template: Template


@dataclass(slots=True)
class Image(PoolObject):
    kind: ClassVar[str] = "IMAGE"

    type: int = 0
    persistent: bool = False
    regtime: int = 0
    modtime: int = 0
    source: str = ""
    path: str = ""
    format: str = "raw"
    fs: str = ""
    size: int = 0
    state: ImageState = ImageState.LOCKED
    datastore_id: int = 1
    datastore: str = "default"
    vms: set[int] = field(default_factory=set)
    clones: set[int] = field(default_factory=set)
    app_clones: set[int] = field(default_factory=set)
    cloning_id: int = -1
    content: str = ""  # the MD5 of what is in it, once that is known
    waiting: list[Callable[[], None]] = field(default_factory=list)  # until it is copied, or broken
    increments: list[Vector] = field(default_factory=list)  # of a backup
    backup_disks: set[int] = field(default_factory=set)
    saved: Saved | None = None


@dataclass(slots=True)
class VmTemplate(PoolObject):
    kind: ClassVar[str] = "TEMPLATE"

    regtime: int = 0


@dataclass(slots=True)
class Marketplace(PoolObject):
    kind: ClassVar[str] = "MARKETPLACE"

    zone_id: int = 0
    total_mb: int = 0  # of public ones nobody knows
    market_mad: str = "one"
    enabled: bool = True
    used_mb: int = 0
    apps: set[int] = field(default_factory=set)


@dataclass(slots=True)
class MarketApp(PoolObject):
    kind: ClassVar[str] = "MARKETPLACEAPP"

    zone_id: int = 0
    market_id: int = 0
    regtime: int = 0
    source: str = ""
    md5: str = ""
    size: int = 0
    description: str = ""
    version: str = ""
    format: str = "qcow2"
    app_template: str = ""
    origin_id: int = -1
    type: int = 1
    state: AppState = AppState.READY
