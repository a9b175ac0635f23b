"""Stored renditions: their rows are in the metadata store, their bytes in the blob store.

Small blobs are checked against their digest whenever they are read. Large ones are checked in the
background (`upkeep/scrub.py`); from then on a damaged one is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from typing_extensions import override

from kazoo_media.audio.inspect.head import MOST_HEAD_BYTES, MOST_TAG_BYTES, Head, judged
from kazoo_media.audio.inspect.mpeg import tags_length
from kazoo_media.blobs.store import BlobReader, BlobStore
from kazoo_media.content.damage import Damage
from kazoo_media.errors import ContentDamagedError, StorageFullError, StoreUnavailableError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.model import Media, Rendition, RenditionKind

MOST_CHECKED_BYTES = 1024**2
"""Blobs up to this size are read as a whole and checked before a byte of them is used."""

_HASHED_ON_LOOP_BYTES = 32 * 1024

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Renditions:
    """The stored renditions of all media."""

    rows: BlobRows
    blobs: BlobStore
    damage: Damage

    async def find(self, rendition: Rendition) -> BlobReader | None:
        """Return a reader of exactly the committed bytes.

        None: the blob is missing, has another size or digest, or is large and known to be damaged.

        Raises:
            StoreUnavailableError: the blob store failed.
        """
        is_small = rendition.size_bytes <= MOST_CHECKED_BYTES
        if rendition.is_damaged and not is_small:
            return None
        reader = await self.blobs.open(rendition.blob_key)
        if reader is None:
            return None
        if reader.size_bytes == rendition.size_bytes and not is_small:
            return reader
        async with reader:
            if reader.size_bytes != rendition.size_bytes:
                return None
            chunks = [chunk async for chunk in reader.read(0, reader.size_bytes)]
        if await _sha256(chunks) == rendition.sha256:
            return _Held(chunks)
        await self.blobs.forget_copy(rendition.blob_key)  # the store itself may have the right one
        return None

    async def open(self, media: Media, rendition: Rendition) -> BlobReader:
        """Return a reader of exactly the committed bytes of a rendition of a media.

        Damage that is found, or has gone, is shown in the document from then on.

        Raises:
            ContentDamagedError: the blob is missing or damaged.
            StoreUnavailableError: the blob store failed.
        """
        reader = await self.find(rendition)
        is_damaged = reader is None
        if is_damaged != rendition.is_damaged:
            try:
                await self.damage.note(media, rendition.blob_key, is_damaged=is_damaged)
            except (StorageFullError, StoreUnavailableError) as error:
                _log.warning(
                    "a finding about damage was not stored",
                    media_id=media.id,
                    is_damaged=is_damaged,
                    reason=error.reason,
                )
        if reader is None:
            raise ContentDamagedError(media.id, rendition.kind, _remedy(media, rendition))
        return reader


class _Held(BlobReader):
    """Checked bytes in memory."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks
        self.size_bytes = sum(map(len, chunks))

    @override
    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        start, end = 0, offset + length
        for chunk in self._chunks:
            part = chunk[max(0, offset - start) : max(0, end - start)]
            start += len(chunk)
            if part:
                yield part

    @override
    async def aclose(self) -> None:
        self._chunks = []


async def head_of(reader: BlobReader) -> Head:
    """Return the head of stored audio.

    Raises:
        StoreUnavailableError: the blob store failed.
    """
    tag_bytes, data = 0, b""
    while len(data) < min(tag_bytes + MOST_HEAD_BYTES, reader.size_bytes):
        chunks = reader.read(0, min(tag_bytes + MOST_HEAD_BYTES, reader.size_bytes))
        data = b"".join([chunk async for chunk in chunks])
        tag_bytes = tags_length(data)
        if tag_bytes > MOST_TAG_BYTES:
            break
    return judged(data)


async def audible(reader: BlobReader, head: Head) -> AsyncIterator[bytes]:
    """Yield what decoders should read of stored audio with this head.

    Raises:
        StoreUnavailableError: the blob store failed.
    """
    if head.lead:
        yield head.lead
    async for chunk in reader.read(head.tag_bytes, reader.size_bytes - head.tag_bytes):
        yield chunk


async def _sha256(chunks: list[bytes]) -> str:
    digest = hashlib.sha256()

    def update() -> None:
        for chunk in chunks:
            digest.update(chunk)

    if sum(map(len, chunks)) <= _HASHED_ON_LOOP_BYTES:
        update()
    else:
        await asyncio.to_thread(update)
    return digest.hexdigest()


def _remedy(media: Media, rendition: Rendition) -> str:
    original = media.content.original if media.content else rendition
    if rendition.kind is RenditionKind.NORMALIZED and not original.is_damaged:
        return "normalize it again from its original, or upload it again"
    return "upload it again, or restore it from a backup"
