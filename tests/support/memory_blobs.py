"""A blob store in a dictionary, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

from typing_extensions import override

from kazoo_media.blobs.store import (
    READ_CHUNK_BYTES,
    BlobReader,
    BlobStore,
    BlobWriter,
    StoredBlob,
)
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.model import unix_time_ms


class MemoryBlobStore(BlobStore):
    """Blobs in memory."""

    def __init__(self) -> None:
        self._published: dict[str, bytes] = {}
        self._unpublished: dict[str, bytearray] = {}
        self._modified_ms: dict[str, int] = {}

    @override
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        del head_changes
        buffer = self._unpublished[key] = bytearray()
        self._modified_ms[key] = unix_time_ms()
        return _MemoryWriter(self, key, buffer)

    @override
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        keys = [each.key for each in cast("Sequence[_MemoryWriter]", writers)]
        if not self._unpublished.keys() >= set(keys):  # deleted since
            for key in keys:
                self._unpublished.pop(key, None)
            raise StoreUnavailableError
        for key in keys:
            self._published[key] = bytes(self._unpublished.pop(key))

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        del in_background
        data = self._published.get(key)
        return None if data is None else _MemoryReader(data)

    @override
    async def delete(self, key: str) -> None:
        self._published.pop(key, None)
        self._unpublished.pop(key, None)

    @override
    async def list(self) -> AsyncIterator[StoredBlob]:
        for blobs, published in ((self._published, True), (self._unpublished, False)):
            for key, data in list(blobs.items()):
                yield StoredBlob(key, len(data), published, self._modified_ms[key])

    @override
    async def aclose(self) -> None:
        pass

    def touch(self, key: str) -> None:
        """Record that a blob was written to."""
        self._modified_ms[key] = unix_time_ms()

    def discard(self, key: str) -> None:
        """Forget an unpublished blob."""
        self._unpublished.pop(key, None)


class _MemoryWriter(BlobWriter):
    def __init__(self, store: MemoryBlobStore, key: str, buffer: bytearray) -> None:
        self._store = store
        self.key = key
        self._buffer = buffer

    @override
    async def write(self, chunks: Sequence[bytes]) -> None:
        self._buffer += b"".join(chunks)
        self._store.touch(self.key)

    @override
    async def overwrite_head(self, head: bytes) -> None:
        self._buffer[: len(head)] = head

    @override
    async def discard(self) -> None:
        self._store.discard(self.key)


class _MemoryReader(BlobReader):
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        for start in range(offset, offset + length, READ_CHUNK_BYTES):
            yield self._data[start : min(start + READ_CHUNK_BYTES, offset + length)]

    @override
    async def aclose(self) -> None:
        pass
