"""Memory of a burst goes back to the system: glibc keeps what it has freed below its top."""

from __future__ import annotations

import asyncio
import ctypes
import resource
from pathlib import Path

import structlog

_log = structlog.get_logger()

_LOOK_S = 5.0
_WORTHWHILE_BYTES = 8 << 20
_STATM = Path("/proc/self/statm")


async def give_memory_back() -> None:
    """Return free memory to the system whenever the process has grown; ends when cancelled."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # another C library
        _log.info("this C library keeps the memory of bursts: it has no malloc_trim")
        return
    least_bytes = 0
    while True:
        resident_bytes = await asyncio.to_thread(_resident_bytes)
        if resident_bytes > least_bytes + _WORTHWHILE_BYTES:
            await asyncio.to_thread(trim, 0)
            least_bytes = await asyncio.to_thread(_resident_bytes)
        await asyncio.sleep(_LOOK_S)


def _resident_bytes() -> int:
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()
