"""Work on large values, which leaves the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LARGE_BYTES = 64 * 1024
_VALUE_BYTES = 16
"""How much each value of a document counts beside its text."""

_Result = TypeVar("_Result")

# One thread: each further one would make the loop wait longer for the interpreter's lock.
_thread = ThreadPoolExecutor(1, thread_name_prefix="large-values")


async def computed(work: Callable[[], _Result], *about: object) -> _Result:
    """Return the result of `work`, which runs on the event loop if all values are small.

    Args:
        about: The values that decide how long it takes.
    """
    return await in_thread(work) if any(map(is_large, about)) else work()


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """Return the result of `work`, which runs in the thread for large values."""
    return await asyncio.get_running_loop().run_in_executor(_thread, work)


def is_large(value: object) -> bool:
    """Return whether bytes or a document take more than 64 KiB."""
    if isinstance(value, bytes):
        return len(value) > LARGE_BYTES
    left = LARGE_BYTES
    waiting = [value]
    while waiting and left >= 0:
        each = waiting.pop()
        if isinstance(each, str):
            left -= len(each)
        elif isinstance(each, dict):
            left -= len(each) * _VALUE_BYTES + len("".join(each))
            waiting += each.values()
        elif isinstance(each, list):
            left -= len(each) * _VALUE_BYTES
            waiting += each
    return left < 0
