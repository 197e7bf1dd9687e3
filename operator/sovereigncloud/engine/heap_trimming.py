"""Memory that was needed for a moment goes back to the system.

A sweep of a thousand machines holds 5 MB of XML, and a burst of a thousand new objects as many parsed models; the C
library would keep the pages for the next time (per thread: mallopt(3), M_ARENA_MAX), and the pod's limit would have to be
set for the peak of each thread. Small objects are left to Python's own allocator, whose arenas go back when they are empty
as a whole: after a burst of a thousand objects the process is smaller so than with PYTHONMALLOC=malloc, and was at its peak
(`make bench`: 21 instead of 22.5 KB per object, 30 to 35 instead of 37 KB), and what it computes takes a twentieth less.
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
"""Bytes from which on a block has pages of its own, which go back when it does."""
_TLS_BUFFER = 32 * 1024
_ROUNDS_PER_COLLECTION = 12
_OLD = 100_000
"""So many rounds over the middle-aged until everything is looked through, instead of 10. Of what a sweep of ten thousand machines
keeps nothing goes in cycles, and each look through all of it takes a tenth of a second: `keep_small` has one once a minute. What is
young is looked through as ever: a burst of new objects leaves many cycles, and what they hold would scatter over the heap what
stays (measured: thrice the memory per object).
"""
INTERVAL = 5.0


def few_arenas() -> None:
    """Let all threads share two arenas, and keep what is large out of them. Before the first thread.

    By itself the C library raises the threshold to the largest block that was ever freed: after the first pool of 5 MB
    all further ones would be laid into the heap, and small objects that stay among them would keep its pages.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has no arenas, and no such call
            mallopt(_M_ARENA_MAX, _ARENAS)
            mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)


def small_tls_buffers() -> None:
    """Before the first connection. asyncio zeroes 256 KiB for each, and a watch of each kind is one; a record of TLS has
    at most 16 KiB.
    """
    sslproto.SSLProtocol.max_size = _TLS_BUFFER


def keep_what_is_imported() -> None:
    """Once all is imported: what is there stays, and need not be looked through at each collection of cycles. Of a process that
    compares ten thousand machines half a million objects are classes, models and functions.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _OLD)


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
