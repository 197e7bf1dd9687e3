"""The states of an image, in words (include/Image.h), and what they mean for whoever wants to use it."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.ports.opennebula.views import Image

_WORDS = {
    0: "Init",
    1: "Ready",
    2: "Used",
    3: "Disabled",
    4: "Locked",
    5: "Error",
    6: "Cloning",
    7: "Deleting",
    8: "UsedPersistent",
    9: "LockedUsed",
    10: "LockedUsedPersistent",
}
DELETING = 7
THERE = frozenset({1, 2, 8})
"""Ready, or used by machines."""
_IN_ORDER = frozenset({1, 2, 6, 8})
WORDS_IN_ORDER = frozenset(_WORDS[state] for state in _IN_ORDER)
"""The same, as status tells them."""

BOOTABLE_TYPES = frozenset({0, 1, 2})
"""OS, CDROM and DATABLOCK; kernels, ramdisks, files and backups (named by VM and time) share the pool of names."""


def words(image: Image) -> str:
    """The state for people; a number that this version does not know is told as it is."""
    return _WORDS.get(image.state, f"State{image.state}")


def exists_in_order(image: Image, where: str) -> Outcome:
    """Whether the image is there and sound, also while machines use it or it is being cloned."""
    if image.state in _IN_ORDER:
        return DONE
    return _trouble(image, where)


def ready_for_a_machine(image: Image, where: str) -> Outcome:
    """Whether a new machine can be made from it now."""
    match image.state:
        case 1 | 2:
            return DONE
        case 8:
            return waiting(
                Reason.IMAGE_BUSY,
                f'image {image.id} "{image.name}" in {where} is persistent and another machine uses it; it is free when'
                " that machine goes",
            )
        case 6:
            return waiting(Reason.IMAGE_NOT_READY, f'image {image.id} "{image.name}" in {where} is being cloned')
        case _:
            return _trouble(image, where)


def _trouble(image: Image, where: str) -> Outcome:
    name = f'image {image.id} "{image.name}" in {where}'
    match image.state:
        case 5:
            told = f": {image.error}" if image.error else ""
            return stalled(
                Reason.IMAGE_ERROR,
                f"{name} is in state Error{told}; delete it there (oneimage delete {image.id}) once its source is mended,"
                " it is then made again",
            )
        case 3:
            return stalled(Reason.IMAGE_DISABLED, f"{name} is disabled; enable it there (oneimage enable {image.id})")
        case 4 | 9 | 10:
            return waiting(Reason.IMAGE_NOT_READY, f"{name} is {words(image)}: OpenNebula is copying it")
        case _:
            return waiting(Reason.IMAGE_NOT_READY, f"{name} is {words(image)}")
