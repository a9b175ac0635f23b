"""One blob on its way into a bucket.

A small blob is held and stored by one request. A larger one is a multipart upload that runs while
its bytes arrive. If its head changes, it waits in a local file without a name until it is stored:
parts that are sent cannot be changed.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import obstore
from obstore.store import S3Store
from typing_extensions import override

from kazoo_media.blobs.local_files import overwrite, read_exactly, write_all
from kazoo_media.blobs.s3_client import converted_errors, timed
from kazoo_media.blobs.store import READ_CHUNK_BYTES, BlobWriter, StoredBlob
from kazoo_media.blobs.threads import Threads, finished
from kazoo_media.metrics import Metrics
from kazoo_media.model import unix_time_ms

_HELD_BYTES = 1024 * 1024
_PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 permits; a blob has at most 10,000 of them, 50 GB."""

_PARTS_AT_ONCE = 4


class S3Writer(BlobWriter):
    """A blob that becomes an object when it is stored."""

    def __init__(
        self, objects: S3Store, key: str, path: str, spool: Spool | None, metrics: Metrics
    ) -> None:
        """Begin.

        Args:
            path: Name of the object.
            spool: A file for the bytes; None: send them away while they arrive.
        """
        self.key = key
        self.path = path
        self.size_bytes = 0
        self.is_removed = False
        self._modified_ms = unix_time_ms()
        self._objects = objects
        self._spool = spool
        self._metrics = metrics
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._upload: Multipart | None = None

    @override
    async def write(self, chunks: Sequence[bytes]) -> None:
        size_bytes = sum(map(len, chunks))
        self.size_bytes += size_bytes
        self._modified_ms = unix_time_ms()
        self._held += chunks
        self._held_bytes += size_bytes
        if self._upload is None and self.size_bytes < _HELD_BYTES:
            return
        held, self._held, self._held_bytes = self._held, [], 0
        if self._spool is not None:
            await self._spool.append(held)
        else:
            with converted_errors(self._metrics, "write"):
                await self._send(b"".join(held))

    @override
    async def overwrite_head(self, head: bytes) -> None:
        if self._held_bytes == self.size_bytes:
            self._held = [head, b"".join(self._held)[len(head) :]]
        elif self._spool is not None:
            await self._spool.overwrite(head)
        else:
            raise RuntimeError("the writer was created without head_changes")

    @override
    async def discard(self) -> None:
        """Remove what was written; an object that is stored stays."""
        self.is_removed = True
        self._held, self._held_bytes = [], 0
        if self._upload is not None:
            await self._upload.abort()
        if self._spool is not None:
            await self._spool.close()

    async def store(self) -> None:
        """Make the object. Not to be cancelled.

        Raises:
            StorageFullError, StoreUnavailableError: perhaps it exists nevertheless.
        """
        with timed(self._metrics, "publish"):
            if self._held_bytes == self.size_bytes:
                data = b"".join(self._held)
                await obstore.put_async(self._objects, self.path, data, use_multipart=False)
            elif self._spool is not None:
                await put_parts(self._objects, self.path, self._spool.read())
            elif self._upload is not None:
                await self._send(b"".join(self._held))
                await self._upload.complete()
        if self._spool is not None:
            await self._spool.close()

    def listed(self) -> StoredBlob:
        """Return the entry of the unpublished blob in a listing."""
        return StoredBlob(self.key, self.size_bytes, published=False, modified_ms=self._modified_ms)

    async def _send(self, data: bytes) -> None:
        if self._upload is None:
            self._upload = Multipart(self._objects, self.path)
        if data:
            await self._upload.send(data)


class Multipart:
    """A multipart upload that takes its bytes from a writer.

    obstore's task is never cancelled: that would leave the parts in the bucket. To abort, its
    source raises.
    """

    def __init__(self, objects: S3Store, path: str) -> None:
        self._chunk = b""
        self._is_aborted = False
        self._wanted = asyncio.Event()
        self._given = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(
            put_parts(objects, path, self._chunks())
        )
        self._task.add_done_callback(lambda _: self._wanted.set())

    async def send(self, data: bytes) -> None:
        """Return when the upload has taken the bytes before these.

        Raises:
            BaseError, OSError: the upload has failed.
        """
        await self._wanted.wait()
        if self._task.done():
            self._task.result()
        self._wanted.clear()
        self._chunk = data
        self._given.set()

    async def complete(self) -> None:
        """Make the object from all parts.

        Raises:
            BaseError, OSError: the upload has failed.
        """
        if not self._task.done():
            await self.send(b"")
        await self._task

    async def abort(self) -> None:
        """End the upload; its parts are removed unless it is complete.

        S3 may keep a part that is on its way (AbortMultipartUpload); the bucket's rule removes it.
        """
        self._is_aborted = True
        self._given.set()
        with suppress(Exception):  # whatever it was: the parts are what the bucket's rule removes
            await finished(self._task)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            self._wanted.set()
            await self._given.wait()
            self._given.clear()
            if self._is_aborted:
                raise _AbortedError
            if not self._chunk:
                return
            yield self._chunk


class _AbortedError(OSError):
    """An upload is aborted: its source raises this, and a write to it does as well."""


class Spool:
    """A local file without a name, so that nothing of it survives the process."""

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads
        self._fd = -1
        self._size_bytes = 0

    async def append(self, chunks: Sequence[bytes]) -> None:
        """Write to the end of the file."""

        def append() -> None:
            if self._fd < 0:
                with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                    self._fd = os.dup(file.fileno())
            write_all(self._fd, chunks)

        with self._threads.converted_errors("write"):
            await self._threads.run(append)
        self._size_bytes += sum(map(len, chunks))

    async def overwrite(self, head: bytes) -> None:
        """Replace the first bytes."""
        with self._threads.converted_errors("write"):
            await self._threads.run(lambda: overwrite(self._fd, head))

    async def read(self) -> AsyncIterator[bytes]:
        """Yield all bytes."""
        for offset in range(0, self._size_bytes, READ_CHUNK_BYTES):
            length = min(READ_CHUNK_BYTES, self._size_bytes - offset)
            yield await self._threads.run(partial(read_exactly, self._fd, offset, length))

    async def close(self) -> None:
        """Remove the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            await self._threads.run(lambda: os.close(fd))


async def put_parts(objects: S3Store, path: str, chunks: AsyncIterator[bytes]) -> None:
    """Store an object of unknown length; an error of `chunks` aborts it and is raised."""
    await obstore.put_async(
        objects,
        path,
        chunks,
        use_multipart=True,
        chunk_size=_PART_BYTES,
        max_concurrency=_PARTS_AT_ONCE,
    )
