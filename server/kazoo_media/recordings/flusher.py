"""Flushes: what all streams of a process have received becomes durable in one transaction.

Theory of operation:

1. A stream with something to store asks for a flush. The first flush after a pause is immediate,
   the next comes a second later: for 1,000 recordings that is one fsync a second instead of 1,000.
2. A stream that holds a lot, or is asked to flush, does not wait for the second.
3. The transaction decides, not this process: its answer for each stream is the stored row, or why
   nothing was stored. If the transaction fails, or its outcome is not known, all its streams end;
   the recorders ask for the stored offset and go on from there.
4. One flush runs at a time, so a stream never has two in a transaction.
5. Streams without anything to store are flushed from time to time as well: that shows that they
   are alive, and they learn that they were taken over or paused.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress

from kazoo_media.errors import MediaError
from kazoo_media.metadata.uploads import TailAppend, UploadRow, UploadStore
from kazoo_media.metrics import NO_METRICS, Metrics

_INTERVAL_S = 1.0
_IDLE_S = 5.0
URGENT_BYTES = 256 * 1024
"""A stream that holds so much is flushed at once."""

_MOST_BYTES = 32 * 1024 * 1024


class Flushed(ABC):
    """A stream as its flusher sees it."""

    @abstractmethod
    def take(self) -> TailAppend | None:
        """Return what is to be stored now; None: the stream has ended."""

    @abstractmethod
    def acknowledge(self, result: UploadRow | MediaError) -> None:
        """Take the stored row, or why nothing was stored."""


class Flusher:
    """The flushes of one process.

    Attributes:
        held_bytes: What all streams have received and is not durable.
        is_draining: Whether the next flush of a stream is its last.
    """

    def __init__(self, store: UploadStore, metrics: Metrics = NO_METRICS) -> None:
        self.held_bytes = 0
        self.is_draining = False
        self._store = store
        self._metrics = metrics
        self._streams: set[Flushed] = set()
        self._waiting: dict[Flushed, None] = {}
        self._wakes = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._has_flushed = asyncio.Event()
        self._all_due_s = 0.0
        self._is_stopping = self._is_flushing = False

    def add(self, stream: Flushed) -> None:
        """Flush a stream from time to time until it is removed."""
        self._streams.add(stream)

    def remove(self, stream: Flushed) -> None:
        """Forget a stream after its next flush."""
        self._streams.discard(stream)

    def flush_soon(self, stream: Flushed, *, is_urgent: bool) -> None:
        """Flush a stream with the others, or without waiting for them."""
        self._waiting[stream] = None
        self._wakes.set()
        if is_urgent:
            self._is_urgent.set()

    @property
    def is_full(self) -> bool:
        """Return whether the process must hold no more."""
        return self.held_bytes > _MOST_BYTES

    async def flushed(self) -> None:
        """Return after the next flush."""
        self._has_flushed.clear()
        await self._has_flushed.wait()

    async def run(self) -> None:
        """Flush until `stop`; then flush a last time."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while not self._is_stopping:
            await self._wait(next_s)
            next_s = loop.time() + _INTERVAL_S
            if next_s > self._all_due_s:
                self._all_due_s = next_s + _IDLE_S
                self._waiting |= dict.fromkeys(self._streams)
            await self._flush()
        await self._flush()

    def stop(self) -> None:
        """End `run` soon. It is not cancelled: the outcome of a flush must be known."""
        self._is_stopping = True
        self._wakes.set()
        self._is_urgent.set()

    async def drain(self) -> None:
        """Flush everything and end all streams: their recorders go to another process."""
        self.is_draining = True
        for stream in self._streams:
            self.flush_soon(stream, is_urgent=True)
        while self._waiting or self._is_flushing:
            await self.flushed()

    async def _wait(self, next_s: float) -> None:
        """Return when a flush is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._wakes.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(next_s):
                await self._is_urgent.wait()

    async def _flush(self) -> None:
        if not self._is_stopping:
            self._wakes.clear()
            self._is_urgent.clear()
        waiting, self._waiting = self._waiting, {}
        taken = [(each, append) for each in waiting if (append := each.take()) is not None]
        results: list[UploadRow | MediaError] = []
        if taken:
            started = time.perf_counter()
            self._is_flushing = True
            try:
                results = await self._store.append_tails([append for _, append in taken])
            except MediaError as error:
                results = [error] * len(taken)
            else:
                self._metrics.flushed(time.perf_counter() - started)
            finally:
                self._is_flushing = False
        for (stream, _), result in zip(taken, results, strict=True):
            stream.acknowledge(result)
        self._metrics.streams_held(len(self._streams), self.held_bytes)
        self._has_flushed.set()
