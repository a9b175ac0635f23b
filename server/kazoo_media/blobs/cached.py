"""A cache of blobs on the local disk of a node, in front of a store elsewhere.

Blobs never change, so a cached one is always right. One that was deleted elsewhere stays until it
is evicted; nobody asks for it, as its row is gone. A failure of the cache is never a failure of a
read: the store behind it has the bytes.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

import structlog
from typing_extensions import override

from kazoo_media.blobs.cache_files import (
    BLOCK_BYTES,
    CachedFile,
    CacheFolder,
    DamagedFileError,
    Part,
)
from kazoo_media.blobs.store import BlobReader, BlobStore, BlobWriter, StoredBlob
from kazoo_media.blobs.threads import Threads
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metrics import NO_METRICS, Metrics

MOST_CACHED_BYTES = 16 * 1024 * 1024
"""A larger blob, a long recording, is read from the store: a client wants parts of it, once."""

_THREADS = 8
_POLL_S = 0.02
_POLLS = 250
"""How often to look whether another process has fetched a blob: 5 s."""

_log = structlog.get_logger()


class _Fetched(enum.Enum):
    CACHED = enum.auto()
    MISSING = enum.auto()
    NOT_CACHED = enum.auto()


class CachedBlobStore(BlobStore):
    """Another store, whose small blobs are read from there once a node."""

    def __init__(
        self, store: BlobStore, folder: Path, capacity_bytes: int, metrics: Metrics = NO_METRICS
    ) -> None:
        """Cache what is read from a store. The folder is made when the first blob is cached."""
        self.keeps_open_blobs = store.keeps_open_blobs
        self.worthwhile_bytes = store.worthwhile_bytes
        self._store = store
        self._metrics = metrics
        self._folder = CacheFolder(folder, capacity_bytes, metrics)
        self._most_bytes = min(MOST_CACHED_BYTES, capacity_bytes // 4)
        self._threads = Threads(metrics, _THREADS)
        self._was_reported = False
        self._fetching: dict[str, asyncio.Task[_Fetched]] = {}

    @property
    @override
    def uncached(self) -> BlobStore:
        return self._store

    @override
    def link(self, key: str, lifetime_s: int, content_type: str, disposition: str) -> str | None:
        return self._store.link(key, lifetime_s, content_type, disposition)

    @override
    async def forget_copy(self, key: str) -> None:
        try:
            await self._threads.run(lambda: self._folder.remove(key))
        except OSError as error:
            self._report(error)

    @override
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        return await self._store.create(key, head_changes=head_changes)

    @override
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        await self._store.publish(writers)

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        if in_background:
            return await self._store.open(key, in_background=True)
        fetched = _Fetched.CACHED
        try:
            found = await self._find(key)
            self._metrics.cache_used("miss" if found is None else "hit")
            if found is None:
                fetched = await self._fetch_once(key)
                found = await self._find(key)
        except OSError as error:
            self._report(error)
            return await self._store.open(key)
        if found is not None:
            return _CachedReader(self._store, self._folder, self._threads, key, found)
        return None if fetched is _Fetched.MISSING else await self._store.open(key)

    @override
    async def delete(self, key: str) -> None:
        await self.forget_copy(key)
        await self._store.delete(key)

    @override
    async def list(self) -> AsyncIterator[StoredBlob]:
        async for each in self._store.list():
            yield each

    @override
    async def aclose(self) -> None:
        while self._fetching:
            await asyncio.wait(self._fetching.values())
        await asyncio.to_thread(self._threads.close)
        await self._store.aclose()

    async def _find(self, key: str) -> CachedFile | None:
        opening = self._threads.submit(lambda: self._folder.open(key))
        try:
            return await self._threads.result(opening)
        except asyncio.CancelledError:
            found = opening.result() if opening.exception() is None else None
            if found is not None:
                found.close()
            raise

    async def _fetch_once(self, key: str) -> _Fetched:
        """Fetch a blob into the cache; all who want it now wait for the same request."""
        fetching = self._fetching.get(key)
        if fetching is None:
            fetching = asyncio.get_running_loop().create_task(self._fetch(key))
            self._fetching[key] = fetching
            fetching.add_done_callback(partial(self._end_fetch, key))
        return await asyncio.shield(fetching)

    def _end_fetch(self, key: str, fetching: asyncio.Task[_Fetched]) -> None:
        del self._fetching[key]
        if not fetching.cancelled():
            fetching.exception()  # asyncio logs one that nobody has looked at

    async def _fetch(self, key: str) -> _Fetched:
        for _ in range(_POLLS):
            part = await self._threads.run(lambda: self._folder.begin(key))
            if part is not None:
                return await self._fetch_into(part, key)
            await asyncio.sleep(_POLL_S)
            found = await self._find(key)
            if found is not None:
                await self._threads.run(found.close)
                return _Fetched.CACHED
        return _Fetched.NOT_CACHED

    async def _fetch_into(self, part: Part, key: str) -> _Fetched:
        fetched = _Fetched.NOT_CACHED
        try:
            reader = await self._store.open(key)
            if reader is None:
                fetched = _Fetched.MISSING
                return fetched
            async with reader:
                if reader.size_bytes <= self._most_bytes:
                    await self._threads.run(partial(part.reserve, reader.size_bytes))
                    async for chunk in reader.read(0, reader.size_bytes):
                        await self._threads.run(partial(part.append, chunk))
                    await self._threads.run(part.publish)
                    fetched = _Fetched.CACHED
                    self._was_reported = False
        finally:
            if fetched is not _Fetched.CACHED:
                await self._threads.run(part.remove)
            await self._threads.run(part.close)
        return fetched

    def _report(self, error: OSError) -> None:
        if not self._was_reported:
            _log.warning("the blob cache cannot be used", reason=str(error))
        self._was_reported = True


class _CachedReader(BlobReader):
    def __init__(
        self,
        store: BlobStore,
        folder: CacheFolder,
        threads: Threads,
        key: str,
        file: CachedFile,
    ) -> None:
        self.size_bytes = file.size_bytes
        self._store = store
        self._folder = folder
        self._threads = threads
        self._key = key
        self._file: CachedFile | None = file
        self._reads: set[Future[bytes]] = set()

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        end = offset + length
        while offset < end:
            try:
                block = await self._block(offset // BLOCK_BYTES)
            except DamagedFileError:
                _log.warning("a damaged file of the blob cache was removed", blob_key=self._key)
                await self._threads.run(lambda: self._folder.remove(self._key))
                async for chunk in self._read_store(offset, end - offset):
                    yield chunk
                return
            start = offset % BLOCK_BYTES
            part = block[start : start + end - offset]
            offset += len(part)
            yield part

    @override
    async def aclose(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            reads = tuple(self._reads)
            await self._threads.run(lambda: _close_after(reads, file))

    async def _block(self, number: int) -> bytes:
        if self._file is None:
            raise RuntimeError("the reader is closed")
        reading = self._threads.submit(partial(self._file.block, number))
        self._reads.add(reading)
        try:
            return await self._threads.result(reading)
        finally:
            self._reads.discard(reading)

    async def _read_store(self, offset: int, length: int) -> AsyncIterator[bytes]:
        reader = await self._store.open(self._key)
        if reader is None or reader.size_bytes != self.size_bytes:
            raise StoreUnavailableError
        async with reader:
            async for chunk in reader.read(offset, length):
                yield chunk


def _close_after(reads: Sequence[Future[bytes]], file: CachedFile) -> None:
    # The reads were queued earlier, so each has a thread already: no deadlock.
    wait(reads)
    file.close()
