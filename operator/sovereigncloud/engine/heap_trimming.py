"""Heap trimming: return memory that was needed for a moment to the operating system.

A sweep of a thousand VMs holds 5 MB of XML, and a burst of a thousand new objects as many parsed models. The C
library would keep the pages for the next time (per thread: mallopt(3), M_ARENA_MAX), and the memory limit of the pod
would have to cover the peak of each thread. Small objects stay in Python's own allocator, which returns arenas that
are entirely empty: after a burst of a thousand objects the process is smaller than with PYTHONMALLOC=malloc, and was
at its peak (`make bench`: 21 instead of 22.5 KB per object, 30 to 35 instead of 37 KB), and it computes five per cent
faster.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from asyncio import sslproto

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_ARENAS = 2
_OWN_PAGES = 64 * 1024
"""Bytes: larger blocks get pages of their own, which are returned when the block is freed."""
_TLS_BUFFER = 32 * 1024
_ROUNDS_PER_COLLECTION = 12
_OLD = 100_000
"""Middle-generation garbage collections before a full one; Python's default is 10. A sweep of ten thousand VMs leaves
nothing in cycles, and each full collection takes a tenth of a second: `trim_periodically` runs one per minute. The
young generation is collected as usual: a burst of new objects leaves many cycles, and what they hold would
fragment the heap (measured: three times the memory per object).
"""
INTERVAL = 5.0


def limit_malloc_arenas() -> None:
    """Limit malloc to two arenas and give large blocks their own pages. Call it before the first thread starts.

    By itself the C library raises the threshold to the largest block that was ever freed: after the first pool of 5
    MB all further ones would be put into the heap, and small objects between them would keep its pages.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has no arenas, and no such call
            mallopt(_M_ARENA_MAX, _ARENAS)
            mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)


def shrink_tls_buffers() -> None:
    """Shrink asyncio's TLS read buffers. Call it before the first connection.

    asyncio zeroes 256 KiB per connection, and each watched kind has one; a TLS record has at most 16 KiB.
    """
    sslproto.SSLProtocol.max_size = _TLS_BUFFER


def freeze_imports() -> None:
    """Exclude everything imported so far from garbage collection. Call it after all imports.

    Of a process that compares ten thousand VMs half a million objects are classes, models and functions.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _OLD)


def trim_heap() -> None:
    """Return free pages to the operating system. Takes a few milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def trim_periodically(interval: float = INTERVAL) -> None:
    """Collect garbage and trim the heap once per interval, for ever. A full collection stops everything for a tenth
    of a second.
    """
    rounds = 0
    while True:
        await asyncio.sleep(interval)
        rounds += 1
        if rounds % _ROUNDS_PER_COLLECTION == 0:
            gc.collect()
        trim_heap()
