"""The blob store of one machine: files in a folder.

Every file operation runs in a thread of the store's own pool. A cancelled task waits for its thread
to finish: a thread that continued would write into a descriptor that is closed and may already
belong to another file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import cast

from typing_extensions import override

from kazoo_media.blobs.local_files import (
    BlobFolder,
    close_uncached,
    let_others_go_first,
    open_for_reading,
    open_uncached,
    overwrite,
    read_exactly,
    write_all,
)
from kazoo_media.blobs.store import (
    READ_CHUNK_BYTES,
    BlobReader,
    BlobStore,
    BlobWriter,
    StoredBlob,
)
from kazoo_media.blobs.threads import Threads
from kazoo_media.metrics import NO_METRICS, Metrics

_THREADS = 8
_HELD_BYTES = 256 * 1024


class LocalBlobStore(BlobStore):
    """Blobs below one folder; the first blob creates it. Never on a network file system."""

    def __init__(self, folder: Path, metrics: Metrics = NO_METRICS) -> None:
        self._folder = BlobFolder(folder)
        self._metrics = metrics
        self._threads = Threads(metrics, _THREADS)
        self._background = Threads(metrics, 1, let_others_go_first)

    @override
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        del head_changes  # a file can always be overwritten
        self._folder.path(key)  # refuses a key that could be a path before anything is written
        return _LocalWriter(self._folder, self._threads, key)

    @override
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        published = cast("Sequence[_LocalWriter]", writers)
        with self._threads.timed("publish"):
            await self._threads.run(lambda: self._publish(published))

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        path = self._folder.path(key)
        if in_background:
            reader = _LocalReader(self._background, open_uncached, close_uncached)
        else:
            reader = _LocalReader(self._threads)
        try:
            await reader.begin(path)
        except FileNotFoundError:
            return None
        return reader

    @override
    async def delete(self, key: str) -> None:
        with self._threads.timed("delete"):
            await self._threads.run(lambda: self._folder.remove(key))

    @override
    async def list(self) -> AsyncIterator[StoredBlob]:
        with self._threads.converted_errors("list"):
            subfolders = await self._threads.run(self._folder.subfolders)
        for name in subfolders:
            with self._threads.converted_errors("list"):
                blobs = await self._threads.run(partial(self._folder.scan, name))
            for blob in blobs:
                yield blob

    @override
    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.close)
        await asyncio.to_thread(self._background.close)

    def _publish(self, writers: Sequence[_LocalWriter]) -> None:
        try:
            stored = {each.key: each.stored() for each in writers}
            started = time.perf_counter()
            self._folder.publish(stored)
            self._metrics.synced(time.perf_counter() - started)
        except BaseException:
            for each in writers:
                each.remove()
            raise
        # Now the blobs belong to the caller, even if its task was cancelled.
        for each in writers:
            each.close()


class _LocalWriter(BlobWriter):
    """A file that is created at the first large write.

    A small blob needs only one turn of a thread, in which it is published.
    """

    def __init__(self, folder: BlobFolder, threads: Threads, key: str) -> None:
        self.key = key
        self._folder = folder
        self._threads = threads
        self._held: list[bytes] = []
        self._fd = -1

    @override
    async def write(self, chunks: Sequence[bytes]) -> None:
        self._held += chunks
        if self._fd >= 0 or sum(map(len, self._held)) >= _HELD_BYTES:
            with self._threads.converted_errors("write"):
                await self._threads.run(self.stored)

    @override
    async def overwrite_head(self, head: bytes) -> None:
        if self._fd >= 0:
            with self._threads.converted_errors("write"):
                await self._threads.run(lambda: overwrite(self._fd, head))
        else:
            self._held = [head, b"".join(self._held)[len(head) :]]

    @override
    async def discard(self) -> None:
        self._held = []
        if self._fd >= 0:
            await self._threads.run(self.remove)

    def stored(self) -> int:
        """Write all held bytes to the file and return its descriptor; blocks."""
        if self._fd < 0:
            self._fd = self._folder.create(self.key)
        held, self._held = self._held, []
        write_all(self._fd, held)
        return self._fd

    def remove(self) -> None:
        """Remove the file, if it exists, under either name; blocks."""
        if self._fd >= 0:
            self.close()
            with contextlib.suppress(OSError):
                self._folder.remove(self.key)

    def close(self) -> None:
        """Close the file; blocks."""
        fd, self._fd = self._fd, -1
        # fsync has reported every error that matters.
        with contextlib.suppress(OSError):
            os.close(fd)


class _LocalReader(BlobReader):
    def __init__(
        self,
        threads: Threads,
        opening: Callable[[Path], tuple[int, int]] = open_for_reading,
        closing: Callable[[int], None] = os.close,
    ) -> None:
        self._threads = threads
        self._opening = opening
        self._closing = closing
        self._fd = -1
        self._reads: set[Future[bytes]] = set()
        self.size_bytes = 0

    async def begin(self, path: Path) -> None:
        """Open the file.

        Raises:
            FileNotFoundError: the file does not exist.
        """

        def begin() -> None:
            self._fd, self.size_bytes = self._opening(path)

        try:
            with self._threads.timed("open", FileNotFoundError):
                await self._threads.run(begin)
        except asyncio.CancelledError:
            await self.aclose()
            raise

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        end = offset + length
        ahead = self._submit(offset, end)
        while ahead is not None:
            with self._threads.converted_errors("read"):
                data = await self._threads.result(ahead)
            self._reads.discard(ahead)
            offset += len(data)
            # The disk reads the next chunk while the network takes this one.
            ahead = self._submit(offset, end)
            yield data

    @override
    async def aclose(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            reads = tuple(self._reads)
            await self._threads.run(lambda: self._close_after(reads, fd))

    def _submit(self, offset: int, end: int) -> Future[bytes] | None:
        if offset >= end:
            return None
        fd, length = self._fd, min(READ_CHUNK_BYTES, end - offset)
        read = self._threads.submit(lambda: read_exactly(fd, offset, length))
        self._reads.add(read)
        return read

    def _close_after(self, reads: Sequence[Future[bytes]], fd: int) -> None:
        # The reads were queued earlier, so each has a thread already: no deadlock.
        wait(reads)
        self._closing(fd)
