"""How long an event loop cannot run its callbacks, in CPU time of the process.

A timer ticks every few milliseconds. What the process has computed between two ticks was either a
callback of the loop, or a thread that did not let go of the interpreter. CPU time is counted, so
that other processes of a busy machine raise no alarm; and time, as other threads compute, too.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_TICK_S = 0.002
LONGEST_S = 0.1
"""The longest that a callback may take."""


@dataclass
class LoopWatch:
    """What a watch has seen.

    Attributes:
        longest_s: The longest pause between two ticks.
        ticks: How many there were.
    """

    longest_s: float = 0.0
    ticks: int = 0


@contextmanager
def watched(loop: asyncio.AbstractEventLoop) -> Iterator[LoopWatch]:
    """Watch a loop that runs in another thread."""
    watch = LoopWatch()
    ended = threading.Event()
    last = 0.0, 0.0

    def tick() -> None:
        nonlocal last
        pause_s = min(time.process_time() - last[0], time.monotonic() - last[1])
        if watch.ticks:
            watch.longest_s = max(watch.longest_s, pause_s)
        watch.ticks += 1
        last = time.process_time(), time.monotonic()
        if not over:
            loop.call_later(_TICK_S, tick)
        else:
            ended.set()

    over = False
    gc.collect()
    gc.freeze()  # what other tests have left would count as time of this one's callbacks
    loop.call_soon_threadsafe(tick)
    try:
        yield watch
    finally:
        over = True
        ended.wait(20)
        gc.unfreeze()
