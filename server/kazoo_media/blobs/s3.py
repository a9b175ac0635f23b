"""The blob store of several machines: objects in a bucket of any S3 server.

`<prefix>/blobs/<key>` is a published blob. An unpublished one is a multipart upload, which other
processes cannot see; what a killed process leaves of it is removed by a lifecycle rule of the
bucket. Nothing depends on conditional requests: servers differ in them.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import obstore
from obstore.store import S3Store
from typing_extensions import override

from kazoo_media.blobs.s3_client import (
    S3_ERRORS,
    converted_errors,
    is_bad_range,
    is_missing,
    timed,
)
from kazoo_media.blobs.s3_signing import Signer
from kazoo_media.blobs.s3_writer import S3Writer, Spool
from kazoo_media.blobs.store import (
    READ_CHUNK_BYTES,
    BlobReader,
    BlobStore,
    BlobWriter,
    StoredBlob,
)
from kazoo_media.blobs.threads import Threads, finished
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metrics import NO_METRICS, Metrics

_BLOBS = "blobs/"
_KEY = re.compile(r"[0-9a-f]{32}")
_HEAD_BYTES = 1024 * 1024
"""Read when a blob is opened: a prompt costs one request."""

_WINDOW_BYTES = 2 * 1024 * 1024
"""Read by one request. No connection waits while a client is slow."""

_THREADS = 4
_EXIT_PAUSE_S = 0.05


class S3BlobStore(BlobStore):
    """Blobs in one bucket."""

    keeps_open_blobs = False
    worthwhile_bytes = 1024 * 1024

    def __init__(
        self,
        objects: S3Store,
        spool: Path,
        metrics: Metrics = NO_METRICS,
        signer: Signer | None = None,
    ) -> None:
        """Use a bucket.

        Args:
            objects: The bucket; see `S3Place.connect`.
            spool: An existing local folder for blobs whose head changes.
            signer: Of the place of the objects; None: the store gives no links.
        """
        self._signer = signer
        self._objects = objects
        self._spool = spool
        self._metrics = metrics
        self._threads = Threads(metrics, _THREADS)
        self._writers: weakref.WeakValueDictionary[str, S3Writer] = weakref.WeakValueDictionary()

    @override
    def link(self, key: str, lifetime_s: int, content_type: str, disposition: str) -> str | None:
        if self._signer is None:
            return None
        said = {
            "response-content-type": content_type,
            "response-content-disposition": disposition,
        }
        return self._signer.get(_path(key), said, lifetime_s)

    @override
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        spool = Spool(self._spool, self._threads) if head_changes else None
        writer = S3Writer(self._objects, key, _path(key), spool, self._metrics)
        self._writers[key] = writer
        return writer

    @override
    async def publish(self, writers: Sequence[BlobWriter]) -> None:
        published = cast("Sequence[S3Writer]", writers)
        await finished(asyncio.get_running_loop().create_task(self._publish(published)))

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        del in_background  # the bucket has no cache of this node
        path = _path(key)
        with timed(self._metrics, "open"):
            return await self._open(path)

    @override
    async def delete(self, key: str) -> None:
        if writer := self._writers.pop(key, None):
            await writer.discard()
        await self._remove(_path(key))

    @override
    async def list(self) -> AsyncIterator[StoredBlob]:
        unpublished = dict(self._writers)
        with converted_errors(self._metrics, "list"):
            async for objects in obstore.list(self._objects, _BLOBS):
                for each in objects:
                    key = each["path"].removeprefix(_BLOBS)
                    if _KEY.fullmatch(key) and key not in unpublished:
                        modified_ms = int(each["last_modified"].timestamp() * 1000)
                        yield StoredBlob(key, each["size"], published=True, modified_ms=modified_ms)
        for writer in unpublished.values():
            if not writer.is_removed:
                yield writer.listed()

    @override
    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.close)
        # obstore's own threads would otherwise end the interpreter with a crash, now and then.
        await asyncio.sleep(_EXIT_PAUSE_S)

    async def _publish(self, writers: Sequence[S3Writer]) -> None:
        """Store all objects or none; not to be cancelled."""
        results: list[BaseException | None] = [None]
        if not any(each.is_removed for each in writers):
            storing = (each.store() for each in writers)
            results = await asyncio.gather(*storing, return_exceptions=True)
        failures = [each for each in results if each is not None]
        if not failures and not any(each.is_removed for each in writers):
            for each in writers:
                self._writers.pop(each.key, None)
            return
        for each in writers:
            await each.discard()
            self._writers.pop(each.key, None)
        # An answer may have been lost: an object may exist even if storing it has failed.
        removing = (self._remove(each.path) for each in writers)
        await asyncio.gather(*removing, return_exceptions=True)
        raise failures[0] if failures else StoreUnavailableError

    async def _remove(self, path: str) -> None:
        with timed(self._metrics, "delete"):
            await obstore.delete_async(self._objects, path)

    async def _open(self, path: str) -> BlobReader | None:
        try:
            answer = await obstore.get_async(
                self._objects, path, options={"range": (0, _HEAD_BYTES)}
            )
            head = (await answer.bytes_async()).to_bytes()
            size_bytes = answer.meta["size"]
        except S3_ERRORS as error:
            if is_missing(error):
                return None
            if not is_bad_range(error):
                raise
            # No range exists in an empty object.
            head, size_bytes = b"", (await obstore.head_async(self._objects, path))["size"]
        return _S3Reader(self._objects, path, head, size_bytes, self._metrics)


class _S3Reader(BlobReader):
    def __init__(
        self, objects: S3Store, path: str, head: bytes, size_bytes: int, metrics: Metrics
    ) -> None:
        self.size_bytes = size_bytes
        self._objects = objects
        self._path = path
        self._head = head
        self._metrics = metrics

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        end = offset + length
        while offset < end:
            if offset < len(self._head):
                window = self._head[offset:end]
            else:
                window = await self._fetch(offset, min(_WINDOW_BYTES, end - offset))
            offset += len(window)
            for start in range(0, len(window), READ_CHUNK_BYTES):
                yield window[start : start + READ_CHUNK_BYTES]

    @override
    async def aclose(self) -> None:
        self._head = b""

    async def _fetch(self, offset: int, length: int) -> bytes:
        with timed(self._metrics, "read"):
            found = await obstore.get_range_async(
                self._objects, self._path, start=offset, length=length
            )
            if len(found) != length:
                raise OSError(f"{len(found)} bytes instead of {length}")
        return found.to_bytes()


def _path(key: str) -> str:
    """Return the name of an object.

    Raises:
        ValueError: the key is not 32 lower-case hex digits, so it could be another object's name.
    """
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not a blob key: {key!r}")
    return _BLOBS + key
