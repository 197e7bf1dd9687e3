"""Memory that was needed for a moment goes back to the system.

A sweep of a thousand machines holds 5 MB of XML, and a burst of a thousand new objects as many parsed models; the C
library would keep the pages for the next time (per thread: mallopt(3), M_ARENA_MAX), and the pod's limit would have to be
set for the peak of each thread. The image sets PYTHONMALLOC=malloc: Python's own arenas of 1 MiB go back only when
they are empty as a whole, which after a burst few of them are.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys

_M_ARENA_MAX = -8
_ARENAS = 2
_ROUNDS_PER_COLLECTION = 12
INTERVAL = 5.0


def few_arenas() -> None:
    """Let all threads share two arenas. Before the first thread."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has no arenas, and no such call
            mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Hand free pages back: a few milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def keep_small(interval: float = INTERVAL) -> None:
    """For ever. Cycles are collected seldom: that stops everything for a tenth of a second."""
    rounds = 0
    while True:
        await asyncio.sleep(interval)
        rounds += 1
        if rounds % _ROUNDS_PER_COLLECTION == 0:
            gc.collect()
        give_back()
