"""Memory that was needed for a moment goes back to the system.

A sweep of a thousand machines holds 5 MB of XML, and a burst of a thousand new objects as many parsed models; the C
library would keep the pages for the next time (per thread: mallopt(3), M_ARENA_MAX), and the pod's limit would have to be
set for the peak of each thread.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys

_M_ARENA_MAX = -8
_ARENAS = 2
INTERVAL = 20.0


def few_arenas() -> None:
    """Let all threads share two arenas. Before the first thread."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has no arenas, and no such call
            mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Collect cycles and hand free pages back: a few milliseconds."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def keep_small(interval: float = INTERVAL) -> None:
    """For ever."""
    while True:
        await asyncio.sleep(interval)
        give_back()
