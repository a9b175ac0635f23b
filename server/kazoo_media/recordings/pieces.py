"""Pieces: a tail becomes a blob once that is worthwhile; and the stored bytes, read in order.

A piece's intent row comes first, then its blob, then one transaction that adds the piece and
removes its bytes from the tail. A crash in between leaves the tail as it was, and a pending blob
for the sweeper.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import structlog

from kazoo_media.blobs.store import BlobStore, BlobWriter, new_blob_key
from kazoo_media.errors import MediaError, StoreUnavailableError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.metadata.uploads import Piece, UploadRow, UploadStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import unix_time_ms

_MOST_PIECE_BYTES = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024
_AT_ONCE = 2

_log = structlog.get_logger()


class Pieces:
    """The pieces of all uploads."""

    def __init__(
        self, store: UploadStore, rows: BlobRows, blobs: BlobStore, metrics: Metrics = NO_METRICS
    ) -> None:
        self._store = store
        self._rows = rows
        self._blobs = blobs
        self._metrics = metrics
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def note_growth(self, row: UploadRow) -> None:
        """Make a piece of an upload in the background if its tail is large enough."""
        key = row.account_id, row.id
        if (
            row.persisted_size - row.pieces_end >= self._blobs.worthwhile_bytes
            and key not in self._tasks
        ):
            task = asyncio.get_running_loop().create_task(self._make(row))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key))

    async def aclose(self) -> None:
        """Return when no piece is being made."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def read(
        self, account_id: str, upload_id: str, start: int, end: int
    ) -> AsyncIterator[bytes]:
        """Yield the stored bytes of a range, at most 256 KiB at once.

        Raises:
            StoreUnavailableError: some are missing, perhaps because the upload has ended.
        """
        while start < end:
            limit = min(_READ_BYTES, end - start)
            found = await self._store.read_upload(account_id, upload_id, start, limit)
            if isinstance(found, Piece):
                async for chunk in self.read_piece(found, start, end):
                    start += len(chunk)
                    yield chunk
            elif found:
                start += len(found)
                yield found
            else:
                raise StoreUnavailableError

    async def read_piece(self, piece: Piece, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a piece from an offset of the upload to another, or to its end.

        Raises:
            StoreUnavailableError: the blob is missing.
        """
        reader = await self._blobs.uncached.open(piece.blob_key)
        if reader is None:
            raise StoreUnavailableError
        async with reader:
            offset = start - piece.offset
            length = min(end - piece.offset, piece.size_bytes) - offset
            async for chunk in reader.read(offset, length):
                yield chunk

    async def _make(self, row: UploadRow) -> None:
        async with self._turn:
            try:
                await self._make_piece(row)
            except MediaError as error:
                # The bytes stay in the tail, and the next flush tries again; or they are a media.
                self._metrics.piece_ended("failed")
                _log.info("piece not made", upload_id=row.id, reason=error.reason)

    async def _make_piece(self, row: UploadRow) -> None:
        key = new_blob_key()
        await self._rows.begin_upload(row.account_id, [key], unix_time_ms())
        writer = await self._blobs.create(key)
        is_added = False
        try:
            piece = await self._written(row, key, writer)
            await self._blobs.publish([writer])
            is_added = await self._store.add_piece(piece, unix_time_ms())
            if is_added:
                self._metrics.piece_ended("stored")
        finally:
            if not is_added:  # most often because the upload has ended
                await self._give_up(row.account_id, key, writer)

    async def _give_up(self, account_id: str, key: str, writer: BlobWriter) -> None:
        """Remove a blob that is not live. The sweeper would do so later."""
        await writer.discard()
        for dead in await self._rows.abandon_blobs(account_id, [key], unix_time_ms()):
            await self._blobs.delete(dead)

    async def _written(self, row: UploadRow, key: str, writer: BlobWriter) -> Piece:
        """Write the beginning of the tail to a blob."""
        digest = hashlib.sha256()
        end = min(row.persisted_size, row.pieces_end + _MOST_PIECE_BYTES)
        async for chunk in self.read(row.account_id, row.id, row.pieces_end, end):
            digest.update(chunk)
            await writer.write([chunk])
        size = end - row.pieces_end
        return Piece(row.account_id, row.id, row.pieces_end, size, key, digest.hexdigest())
