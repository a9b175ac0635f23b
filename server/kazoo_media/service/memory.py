"""The memory allocator of a worker: it keeps what is used again, and a burst goes back."""

from __future__ import annotations

import asyncio
import ctypes
import gc

import structlog

_log = structlog.get_logger()

# mallopt(3), <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_OPTIONS = {
    _M_ARENA_MAX: 1,
    _M_MMAP_THRESHOLD: 64 << 20,
    _M_TRIM_THRESHOLD: 16 << 20,
    _M_TOP_PAD: 1 << 20,
}
_PERIOD_S = 5.0
"""A call takes about 1 ms of a heap in pieces that it has seen before, 20 us of a tidy one."""


def prepare_allocator() -> None:
    """Set options of glibc; call it before there are threads. Other C libraries ignore it.

    By default a worker returns the memory of each message to the kernel and requests it again, and
    what one thread has freed is of no use to the others: with one arena 32 stalled downloads take a
    third less.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)


async def give_memory_back() -> None:
    """Return free memory to the system from time to time; ends when cancelled.

    A call that was cancelled leaves its buffers in a reference cycle, through the tracebacks of
    its exceptions. Python counts objects, not bytes, before it looks for cycles: minutes pass and
    each holds a quarter of a MiB. What exists at the start stays, and need not be looked at again:
    without it a search takes less than 1 ms.

    glibc by itself keeps what was freed below the top of its heap.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        _log.info("this C library keeps the memory of bursts: it has no malloc_trim")
    while True:
        await asyncio.sleep(_PERIOD_S)
        gc.collect()
        if trim is not None:
            await asyncio.to_thread(trim, 0)
