"""Downloads: choice of the rendition and the range, and the bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kazoo_media.blobs.store import BlobReader
from kazoo_media.content.renditions import MOST_CHECKED_BYTES, Renditions
from kazoo_media.errors import (
    ContentNotFoundError,
    NotAcceptableError,
    RangeNotSatisfiableError,
)
from kazoo_media.metrics import Metrics
from kazoo_media.model import Media, Rendition, RenditionKind


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a rendition: `length` bytes from `offset`, all within it."""

    offset: int
    length: int

    @classmethod
    def within(cls, size_bytes: int, offset: int, length: int | None) -> ByteRange:
        """Return the part that a client requests, cut at the end.

        Args:
            size_bytes: Size of the rendition.
            offset: First byte; negative: that many bytes from the end.
            length: None: to the end.

        Raises:
            RangeNotSatisfiableError: the offset is at or after the end.
        """
        first = max(0, size_bytes + offset) if offset < 0 else offset
        if first >= size_bytes:
            raise RangeNotSatisfiableError(size_bytes=size_bytes)
        rest = size_bytes - first
        return cls(first, rest if length is None else min(length, rest))


class Download:
    """A part of an existing rendition. It stays readable if the media is replaced or deleted."""

    def __init__(self, reader: BlobReader, span: ByteRange, metrics: Metrics) -> None:
        self._reader = reader
        self._span = span
        self._metrics = metrics

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield exactly the bytes of the range, at most 256 KiB at once.

        Raises:
            StoreUnavailableError: the bytes cannot be read; the answer must not look complete.
        """
        async for chunk in self._reader.read(self._span.offset, self._span.length):
            self._metrics.sent(len(chunk))
            yield chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._reader.aclose()


class Downloads:
    """Selects and opens renditions."""

    def __init__(self, renditions: Renditions, metrics: Metrics) -> None:
        self._renditions = renditions
        self._metrics = metrics

    def select(self, media: Media, kind: RenditionKind | None) -> Rendition:
        """Return a rendition; None selects the normalized one or, without one, the original.

        Raises:
            ContentNotFoundError: the media has no audio yet.
            NotAcceptableError: the media has audio but not this rendition.
        """
        if media.content is None:
            raise ContentNotFoundError(media.id)
        if kind is None:
            return media.content.served
        for rendition in media.content.renditions:
            if rendition.kind is kind:
                return rendition
        have = [str(rendition.kind) for rendition in media.content.renditions]
        raise NotAcceptableError(f"there is no {kind} rendition", have)

    def link(
        self, rendition: Rendition, lifetime_s: int, content_type: str, disposition: str
    ) -> str | None:
        """Return a URL at which the blob store itself serves a rendition; None: it does not.

        Small and damaged audio is checked whenever it is read, so it has no such URL.

        Args:
            lifetime_s: How long the URL is valid.
            content_type: Content-Type of the answer.
            disposition: Content-Disposition of the answer.
        """
        if rendition.size_bytes <= MOST_CHECKED_BYTES or rendition.is_damaged:
            return None
        blobs = self._renditions.blobs
        return blobs.link(rendition.blob_key, lifetime_s, content_type, disposition)

    async def open(self, media: Media, rendition: Rendition, span: ByteRange) -> Download:
        """Return a download of an open blob.

        Raises:
            ContentDamagedError: the stored bytes are not those that were committed.
            StoreUnavailableError: the blob store failed.
        """
        reader = await self._renditions.open(media, rendition)
        return Download(reader, span, self._metrics)
