"""Renditions on their way into the blob store: hashed and counted once, stored while their producer
goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from kazoo_media.blobs.store import BlobStore, BlobWriter
from kazoo_media.errors import StoreUnavailableError

_BATCH_BYTES = 1024 * 1024
_QUEUED_BATCHES = 1
_INLINE_HASH_BYTES = 256 * 1024
"""Hashing less than this, a quarter of a ms, costs less than handing it to a thread."""


class RenditionWriter:
    """One blob being written: a producer calls `write`, then `finish`; `publish_renditions` makes
    it durable.

    At most two batches of a MiB are held: a slow store slows the producer down.
    """

    def __init__(self, blobs: BlobStore, key: str, tasks: asyncio.TaskGroup) -> None:
        """Begin; `tasks` has the task that stores while the producer goes on."""
        self.key = key
        self.size_bytes = 0
        self._blobs = blobs
        self._tasks = tasks
        self._writer: BlobWriter | None = None
        self._digest = hashlib.sha256()
        self._head_was_overwritten = False
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._queue: asyncio.Queue[tuple[list[bytes], bool]] | None = None
        self._storing: asyncio.Task[None] | None = None

    @property
    def sha256(self) -> str:
        """Return the digest of all that was written, once it is finished. Where the head was
        overwritten that is the digest of what is stored once it is published.
        """
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; waits while the store is behind."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._batch_bytes >= _BATCH_BYTES:
            await self._hand_over(last=False)

    async def finish(self) -> None:
        """End the input; all of it is hashed, and the store has it.

        Raises:
            StorageFullError, StoreUnavailableError: of the blob store.
        """
        if self._storing is None:
            self._writer = await self._blobs.create(self.key)
            await self._writer.write(self._batch)
            await self._hash(self._batch)
            self._batch = []
        else:
            await self._hand_over(last=True)
            await self._storing

    async def overwrite_head(self, head: bytes) -> None:
        """Replace the first bytes of what is finished."""
        await self.blob.overwrite_head(head)
        self._head_was_overwritten = True

    async def discard(self) -> None:
        """Remove what was stored and not published. Never raises."""
        if self._writer is not None:
            await self._writer.discard()

    @property
    def blob(self) -> BlobWriter:
        """Return the writer of what is finished."""
        if self._writer is None:
            raise RuntimeError("the rendition is not finished")
        return self._writer

    async def hash_what_is_published(self) -> None:
        """Take the digest of what is stored where it differs from what was written.

        Raises:
            StoreUnavailableError: it cannot be read.
        """
        if not self._head_was_overwritten:
            return
        reader = await self._blobs.open(self.key)
        if reader is None:
            raise StoreUnavailableError
        self._digest = hashlib.sha256()
        async with reader:
            async for chunk in reader.read(0, self.size_bytes):
                await self._hash([chunk])

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

    async def _hash(self, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) < _INLINE_HASH_BYTES:
            _update(self._digest, chunks)
        else:
            await asyncio.to_thread(_update, self._digest, chunks)


async def publish_renditions(blobs: BlobStore, writers: Sequence[RenditionWriter]) -> None:
    """Make finished renditions durable and readable in one step.

    Raises:
        StorageFullError, StoreUnavailableError: of the blob store; none of them is there.
    """
    await blobs.publish([each.blob for each in writers])
    for each in writers:
        await each.hash_what_is_published()


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)
