"""Writing of renditions: hashed and counted once, stored while the producer continues."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from kazoo_media.blobs.store import BlobStore, BlobWriter
from kazoo_media.errors import StoreUnavailableError

_BATCH_BYTES = 256 * 1024
_INLINE_HASH_BYTES = 256 * 1024
"""Hashing less than this takes a quarter of a ms, less than handing it to a thread."""


class RenditionWriter:
    """One blob being written. A producer calls `write`, then `finish`; then it can be published.

    At most two batches of 256 KiB are held, one of which is being stored: a slow store slows the
    producer down.
    """

    def __init__(
        self, blobs: BlobStore, key: str, tasks: asyncio.TaskGroup, *, head_changes: bool
    ) -> None:
        """Begin.

        Args:
            tasks: Runs the task that stores while the producer continues.
            head_changes: Whether `overwrite_head` may be called.
        """
        self._head_changes = head_changes
        self.key = key
        self.size_bytes = 0
        self._blobs = blobs
        self._tasks = tasks
        self._writer: BlobWriter | None = None
        self._digest = hashlib.sha256()
        self._head_was_overwritten = False
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._storing: asyncio.Task[None] | None = None

    @property
    def sha256(self) -> str:
        """Return the digest of the finished blob.

        If the head was overwritten, it is correct only after `publish_renditions`.
        """
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        """Write the next bytes; waits while the store is slower."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._batch_bytes >= _BATCH_BYTES:
            await self._hand_over()

    async def finish(self) -> None:
        """End the input. All of it is now hashed and in the store.

        Raises:
            StorageFullError, StoreUnavailableError: the blob store failed.
        """
        if self._storing is None:
            self._writer = await self._blobs.create(self.key, head_changes=self._head_changes)
            await self._writer.write(self._batch)
            await self._hash(self._batch)
            self._batch = []
        else:
            await self._hand_over()
            await self._storing

    async def overwrite_head(self, head: bytes) -> None:
        """Replace the first bytes of the finished blob."""
        await self.blob.overwrite_head(head)
        self._head_was_overwritten = True

    async def discard(self) -> None:
        """Remove the blob unless it is published; never raises."""
        if self._writer is not None:
            await self._writer.discard()

    @property
    def blob(self) -> BlobWriter:
        """Return the store's writer of the finished blob."""
        if self._writer is None:
            raise RuntimeError("the rendition is not finished")
        return self._writer

    async def hash_what_is_published(self) -> None:
        """Compute the digest again from the store if the head was overwritten.

        Raises:
            StoreUnavailableError: the blob cannot be read.
        """
        if not self._head_was_overwritten:
            return
        reader = await self._blobs.uncached.open(self.key)
        if reader is None:
            raise StoreUnavailableError
        self._digest = hashlib.sha256()
        async with reader:
            async for chunk in reader.read(0, self.size_bytes):
                await self._hash([chunk])

    async def _hand_over(self) -> None:
        """Store the batch when the one before is stored."""
        if self._storing is not None:
            await self._storing
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._storing = self._tasks.create_task(self._store(batch))

    async def _store(self, batch: list[bytes]) -> None:
        if self._writer is None:
            self._writer = await self._blobs.create(self.key, head_changes=self._head_changes)
        hashing = self._tasks.create_task(self._hash(batch))
        # Not gathered: `gather` ends when one is cancelled, while a thread still writes into the
        # file, which is closed next.
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
        StorageFullError, StoreUnavailableError: the blob store failed; none of them is stored.
    """
    await blobs.publish([each.blob for each in writers])
    for each in writers:
        await each.hash_what_is_published()


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)
