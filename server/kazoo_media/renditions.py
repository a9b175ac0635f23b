"""A rendition on its way into the blob store: hashed and counted once, stored while its producer
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
    """One blob being written by two tasks: a producer calls `write` and `finish`, another runs
    `store`.

    At most two batches of a MiB are held: a slow store slows the producer down. What is no more
    than one batch is stored by `publish`, in one step instead of three.
    """

    def __init__(self, blobs: BlobStore, key: str) -> None:
        self.key = key
        self.size_bytes = 0
        self._blobs = blobs
        self._writer: BlobWriter | None = None
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._queue: asyncio.Queue[tuple[list[bytes], bool]] = asyncio.Queue(_QUEUED_BATCHES)
        self._held: list[bytes] = []

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
            await self._hand_over(last=False)

    async def finish(self) -> None:
        """End the input: `store` returns when it has stored the rest."""
        await self._hand_over(last=True)

    async def store(self) -> None:
        """Hash and store what is written until `finish`.

        Raises:
            StorageFullError, StoreUnavailableError: of the blob store.
        """
        last = False
        while not last:
            batch, last = await self._queue.get()
            if last and self._writer is None:
                self._held = batch
                await self._hash(batch)
                return
            if self._writer is None:
                self._writer = await self._blobs.create(self.key)
            await asyncio.gather(self._hash(batch), self._writer.write(batch))

    async def publish(self, head: bytes | None = None) -> None:
        """Make the blob durable and readable.

        Args:
            head: Replaces the first bytes; `sha256` is then that of what is stored.
        """
        if self._writer is None:
            if head is not None:
                whole = b"".join(self._held)
                self._held = [head, whole[len(head) :]]
                self._digest = hashlib.sha256()
                await self._hash(self._held)
            await self._blobs.put(self.key, self._held)
            return
        if head is not None:
            await self._writer.overwrite_head(head)
        await self._writer.publish()
        if head is not None:
            await self._hash_what_is_stored()

    async def discard(self) -> None:
        """Remove what was stored and not published. Never raises."""
        if self._writer is not None:
            await self._writer.discard()

    async def _hand_over(self, *, last: bool) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        await self._queue.put((batch, last))

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


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)
