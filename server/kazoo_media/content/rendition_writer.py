"""Renditions on their way into the blob store: hashed and counted once, stored while their producer
goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence

from kazoo_media.blobs.store import BlobStore, BlobWriter
from kazoo_media.errors import StoreUnavailableError

_BATCH_BYTES = 1024 * 1024
_QUEUED_BATCHES = 1
_INLINE_HASH_BYTES = 256 * 1024
"""Hashing less than this, a quarter of a ms, costs less than handing it to a thread."""


class RenditionWriter:
    """One blob being written: a producer calls `write`, then `finish`, then `publish`.

    At most two batches of a MiB are held: a slow store slows the producer down. What is no more
    than one batch is held until `publish_held`, which stores several blobs in one step.
    """

    def __init__(self, blobs: BlobStore, key: str, tasks: asyncio.TaskGroup) -> None:
        """Begin; `tasks` has the task that stores while the producer goes on."""
        self.key = key
        self.size_bytes = 0
        self.held: list[bytes] | None = None
        self._blobs = blobs
        self._tasks = tasks
        self._writer: BlobWriter | None = None
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._queue: asyncio.Queue[tuple[list[bytes], bool]] | None = None
        self._storing: asyncio.Task[None] | None = None

    @property
    def sha256(self) -> str:
        """Return the digest of all that was written, once it is finished."""
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; waits while the store is behind."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._batch_bytes >= _BATCH_BYTES:
            await self._hand_over(last=False)

    async def finish(self) -> None:
        """End the input; all of it is hashed and, but for what is held, stored.

        Raises:
            StorageFullError, StoreUnavailableError: of the blob store.
        """
        if self._storing is None:
            self.held, self._batch = self._batch, []
            await self._hash(self.held)
        else:
            await self._hand_over(last=True)
            await self._storing

    async def publish(self, head: bytes | None = None) -> None:
        """Make the blob durable and readable, or ready for `publish_held`.

        Args:
            head: Replaces the first bytes; `sha256` is then that of what is stored.
        """
        if self._writer is None:
            if head is not None:
                whole = b"".join(self.held or ())
                self.held = [head, whole[len(head) :]]
                self._digest = hashlib.sha256()
                await self._hash(self.held)
            return
        if head is not None:
            await self._writer.overwrite_head(head)
        await self._writer.publish()
        if head is not None:
            await self._hash_what_is_stored()

    async def discard(self) -> None:
        """Remove what was stored and not published. Never raises."""
        self.held = None
        if self._writer is not None:
            await self._writer.discard()

    async def _hand_over(self, *, last: bool) -> None:
        if self._queue is None:
            self._queue = asyncio.Queue(_QUEUED_BATCHES)
            self._storing = self._tasks.create_task(self._store(self._queue))
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        await self._queue.put((batch, last))

    async def _store(self, queue: asyncio.Queue[tuple[list[bytes], bool]]) -> None:
        """Hash and store batches until the last."""
        self._writer = await self._blobs.create(self.key)
        last = False
        while not last:
            batch, last = await queue.get()
            hashing = self._tasks.create_task(self._hash(batch))
            # Not gathered: that ends with the first that is cancelled, while a thread still writes
            # into the file which is closed next.
            await self._writer.write(batch)
            await hashing

    async def _hash_what_is_stored(self) -> None:
        reader = await self._blobs.open(self.key)
        if reader is None:
            raise StoreUnavailableError
        self._digest = hashlib.sha256()
        async with reader:
            async for chunk in reader.read(0, self.size_bytes):
                await self._hash([chunk])

    async def _hash(self, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) < _INLINE_HASH_BYTES:
            _update(self._digest, chunks)
        else:
            await asyncio.to_thread(_update, self._digest, chunks)


async def publish_held(blobs: BlobStore, writers: Iterable[RenditionWriter]) -> None:
    """Make durable and readable what published writers hold."""
    holding = [each for each in writers if each.held is not None]
    if holding:
        await blobs.put({each.key: each.held or () for each in holding})
    for each in holding:
        each.held = None


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)
