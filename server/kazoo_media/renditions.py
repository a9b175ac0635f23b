"""A rendition on its way into the blob store: hashed and counted once, stored while its producer
goes on.
"""

from __future__ import annotations

import asyncio
import hashlib

from kazoo_media.blobs.store import BlobStore, BlobWriter

_BATCH_BYTES = 1024 * 1024
_QUEUED_BATCHES = 1
_INLINE_HASH_BYTES = 64 * 1024
"""Hashing less than this costs less than handing it to a thread."""


class RenditionWriter:
    """One blob being written by two tasks: a producer calls `write` and `finish`, another runs
    `store`.

    At most two batches of a MiB are held: a slow store slows the producer down.
    """

    def __init__(self, writer: BlobWriter, key: str) -> None:
        self.key = key
        self.size_bytes = 0
        self._writer = writer
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._queue: asyncio.Queue[list[bytes]] = asyncio.Queue(_QUEUED_BATCHES)

    @classmethod
    async def create(cls, blobs: BlobStore, key: str) -> RenditionWriter:
        """Return a writer of a new blob."""
        return cls(await blobs.create(key), key)

    @property
    def sha256(self) -> str:
        """Return the digest of all that was stored."""
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; waits while the store is behind."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._batch_bytes >= _BATCH_BYTES:
            await self._hand_over()

    async def finish(self) -> None:
        """End the input: `store` returns when it has stored the rest."""
        if self._batch:
            await self._hand_over()
        await self._queue.put([])

    async def store(self) -> None:
        """Hash and store what is written until `finish`.

        Raises:
            StorageFullError, StoreUnavailableError: of the blob store.
        """
        loop = asyncio.get_running_loop()
        while batch := await self._queue.get():
            if sum(map(len, batch)) < _INLINE_HASH_BYTES:
                self._hash(batch)
                await self._writer.write(batch)
            else:
                await asyncio.gather(
                    loop.run_in_executor(None, self._hash, batch), self._writer.write(batch)
                )

    async def overwrite_head(self, head: bytes) -> None:
        """Replace the first bytes of what is stored. The digest is the caller's to correct."""
        await self._writer.overwrite_head(head)

    async def publish(self) -> None:
        """Make the blob durable and readable."""
        await self._writer.publish()

    async def discard(self) -> None:
        """Remove what was stored and not published. Never raises."""
        await self._writer.discard()

    async def _hand_over(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        await self._queue.put(batch)

    def _hash(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._digest.update(chunk)
