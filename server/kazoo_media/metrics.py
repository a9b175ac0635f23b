"""What the product counts, without a word about how it is published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager


class Metrics:
    """Counts nothing; the service's own subclass publishes what it counts (`service/metrics.py`).

    Every text comes from a small fixed set: never an id, an account or a word of a client.
    """

    def call_ended(self, surface: str, rpc: str, code: str) -> None:
        """Count a call.

        Args:
            surface: "rest" or "grpc".
            rpc: Name of the method, without its service.
            code: HTTP status or name of the gRPC code.
        """

    def received(self, size_bytes: int) -> None:
        """Count bytes of audio from clients."""

    def sent(self, size_bytes: int) -> None:
        """Count bytes of audio to clients."""

    def upload_ended(self, result: str) -> None:
        """Count an upload; the result is STORED, CANCELLED or the reason of its error."""

    def conversion_ended(self, preset: str, backend: str, result: str) -> None:
        """Count a conversion.

        Args:
            preset: Its preset.
            backend: See `Conversion.backend`; "none": it was refused.
            result: "converted", "failed", "retried" (another conversion of the same input
                follows), "refused" or "cancelled".
        """

    def queue_changed(self, queue: str, change: int) -> None:
        """Add to the number of those who wait in a queue or hold a place in it."""

    def waited(self, queue: str, seconds: float) -> None:
        """Record how long one waited for a turn."""

    def committed(self, seconds: float) -> None:
        """Record how long a metadata transaction took to become durable."""

    def synced(self, seconds: float) -> None:
        """Record how long the bytes and names of blobs took to become durable."""

    def store_answered(self, store: str, operation: str, seconds: float) -> None:
        """Record how long an operation of a store took that did not fail.

        Args:
            store: "metadata" or "blobs".
            operation: "read" or "write" of metadata; "open", "read", "publish" or "delete" of a
                blob.
            seconds: With what it waited for.
        """

    def store_failed(self, store: str, operation: str, reason: str) -> None:
        """Count a failure of a store by the reason of its error.

        Args:
            store: "metadata" or "blobs".
            operation: As in `store_answered`; also "write" and "list" of blobs.
            reason: Of the error.
        """

    def cache_used(self, result: str, blobs: int = 1) -> None:
        """Count blobs that the cache had ("hit"), had not ("miss") or gave up ("evicted")."""

    def flushed(self, seconds: float) -> None:
        """Record how long it took to make durable what recorders have sent."""

    def streams_held(self, streams: int, size_bytes: int) -> None:
        """Say how many recorders this process serves, and what it holds that is not durable."""

    def piece_ended(self, result: str) -> None:
        """Count a piece of a recording, "stored" or "failed"."""

    def uploads_open(self, states: Mapping[str, int], tail_bytes: int, oldest_s: float) -> None:
        """Say what the metadata store has of uploads that have not ended.

        Args:
            states: How many are in each state.
            tail_bytes: Bytes of them that are in the metadata store.
            oldest_s: For how long the oldest interrupted one is without a recorder; 0: none is.
        """

    def log_in_refused(self, way: str, reason: str) -> None:
        """Count a refused log-in; the way is "key", "user" or "playback"."""

    def damage_found(self) -> None:
        """Count a stored rendition that is found damaged for the first time."""

    def swept(self, result: str, blobs: int = 1) -> None:
        """Count blobs that a sweep expired, removed or failed to remove."""

    def sweep_ended(self, result: str) -> None:
        """Count a sweep, "done" or "failed"."""

    @contextmanager
    def timed(self, store: str, operation: str) -> Iterator[None]:
        """Record how long the block takes; see `store_answered`."""
        started = time.perf_counter()
        yield
        self.store_answered(store, operation, time.perf_counter() - started)

    @asynccontextmanager
    async def turn(self, queue: str, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        """Hold one of the turns inside the block; count the wait for it."""
        started = time.perf_counter()
        self.queue_changed(queue, 1)
        try:
            await turns.acquire()
        finally:
            self.queue_changed(queue, -1)
        try:
            self.waited(queue, time.perf_counter() - started)
            yield
        finally:
            turns.release()


NO_METRICS = Metrics()
