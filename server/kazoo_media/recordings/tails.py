"""Tails: the stored bytes of an upload, followed while it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from kazoo_media.access.accounts import ReadScope
from kazoo_media.blobs.store import BlobReader
from kazoo_media.content.renditions import Renditions
from kazoo_media.errors import DrainingError, RangeNotSatisfiableError, UploadNotFoundError
from kazoo_media.media.library import Library
from kazoo_media.metadata.uploads import OPEN_STATES, UploadRow, UploadState, UploadStore
from kazoo_media.recordings.pieces import Pieces
from kazoo_media.recordings.raw_audio import RawAudio
from kazoo_media.recordings.spec import UploadSpec
from kazoo_media.recordings.time_line import Stored, layout

_POLL_S = 0.5
"""Another process may append, so nothing here can be told of it."""

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail of an upload from an offset on.

    Attributes:
        content_type: `audio/x-wav` for raw audio, else that of the spec, perhaps "".
        offset: First byte that comes, counted in received bytes.
        wav_header: What raw audio has before its first byte; b"" for a container.
        chunks: The bytes as they are stored, until the upload has ended. They raise DrainingError
            when the process is to stop.
    """

    content_type: str
    offset: int
    wav_header: bytes
    chunks: AsyncGenerator[bytes, None]


class Tails:
    """The tails of all uploads."""

    def __init__(
        self, store: UploadStore, pieces: Pieces, library: Library, renditions: Renditions
    ) -> None:
        self._store = store
        self._pieces = pieces
        self._library = library
        self._renditions = renditions
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End the tails of running uploads: they would hold up the stop of the process."""
        self._draining.set()

    async def follow(self, scope: ReadScope, upload_id: str, offset: int) -> Tail:
        """Return the tail of an upload.

        Raises:
            UploadNotFoundError: it does not exist.
            RangeNotSatisfiableError: the offset is beyond its durable bytes.
        """
        row = await self._row(scope, upload_id)
        spec = UploadSpec.from_json(row.spec)
        if offset > row.persisted_size:
            raise RangeNotSatisfiableError(size_bytes=row.persisted_size)
        if spec.raw is not None:
            offset = spec.raw.whole(offset)
        chunks = self._chunks(scope, row, spec.raw, offset)
        if spec.raw is None:
            return Tail(spec.content_type, offset, b"", chunks)
        return Tail("audio/x-wav", offset, spec.raw.wav_header(None), chunks)

    async def _row(self, scope: ReadScope, upload_id: str) -> UploadRow:
        row = await self._store.get_upload(scope.account_id, upload_id)
        if row is None:
            raise UploadNotFoundError(upload_id)
        return row

    async def _chunks(
        self, scope: ReadScope, row: UploadRow, raw: RawAudio | None, at: int
    ) -> AsyncGenerator[bytes, None]:
        while row.state in OPEN_STATES:
            if self._draining.is_set():
                raise DrainingError
            limit = min(_CHUNK_BYTES, row.persisted_size - at)
            async for chunk in self._stored(row, at, at + limit):
                at += len(chunk)
                yield chunk
            if at == row.persisted_size:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._draining.wait(), _POLL_S)
            row = await self._row(scope, row.id)
        if row.state is UploadState.FINISHED:
            async for chunk in self._rest(scope, row, raw, at):
                yield chunk

    async def _stored(self, row: UploadRow, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield stored bytes; fewer, or none, if the upload has ended meanwhile."""
        while at < end:
            found = await self._store.read_upload(row.account_id, row.id, at, end - at)
            if not found:
                return
            if isinstance(found, bytes):
                at += len(found)
                yield found
            else:
                until = min(end, found.offset + found.size_bytes)
                async for chunk in self._pieces.read_piece(found, at, until):
                    at += len(chunk)
                    yield chunk

    async def _rest(
        self, scope: ReadScope, row: UploadRow, raw: RawAudio | None, at: int
    ) -> AsyncIterator[bytes]:
        """Yield what is left of an upload that has become a media."""
        media = await self._library.get(scope, row.media_id)
        if media.content is None or at >= row.persisted_size:
            return
        async with await self._renditions.open(media, media.content.original) as reader:
            if raw is None:
                if reader.size_bytes == row.persisted_size:
                    async for chunk in reader.read(at, row.persisted_size - at):
                        yield chunk
                return
            async for chunk in _unpacked(reader, row, raw, at):
                yield chunk


async def _unpacked(
    reader: BlobReader, row: UploadRow, raw: RawAudio, at: int
) -> AsyncIterator[bytes]:
    """Yield the stored bytes from an offset on, from the WAV that was made of them."""
    spans = layout(row.marks, row.persisted_size, raw)
    size = sum(each.size_bytes for each in spans)
    media_at = len(raw.wav_header(size))
    if reader.size_bytes != media_at + size + size % 2:
        return  # other audio was uploaded since
    for span in spans:
        if isinstance(span, Stored) and span.end > at:
            if span.start > at:  # left out of the recording: it was stored as silence
                yield raw.silence * (span.start - at)
                at = span.start
            async for chunk in reader.read(media_at + at - span.start, span.end - at):
                yield chunk
            at = span.end
        media_at += span.size_bytes
