"""Memory of a burst goes back to the system: glibc keeps what it has freed below its top."""

from __future__ import annotations

import asyncio
import ctypes

import structlog

_log = structlog.get_logger()

_PERIOD_S = 5.0
"""A call takes about 1 ms of a heap in pieces that it has seen before, 20 us of a tidy one."""


async def give_memory_back() -> None:
    """Return free memory to the system from time to time; ends when cancelled."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # another C library
        _log.info("this C library keeps the memory of bursts: it has no malloc_trim")
        return
    while True:
        await asyncio.sleep(_PERIOD_S)
        await asyncio.to_thread(trim, 0)
