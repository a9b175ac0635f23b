"""Stored renditions: their rows are in the metadata store, their bytes in the blob store."""

from __future__ import annotations

from dataclasses import dataclass

from kazoo_media.audio.inspect.head import MOST_HEAD_BYTES, Head, judged
from kazoo_media.blobs.store import BlobReader, BlobStore
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.model import Rendition


@dataclass(frozen=True, slots=True)
class Renditions:
    """The stored renditions of all media."""

    rows: BlobRows
    blobs: BlobStore

    async def find(self, rendition: Rendition) -> BlobReader | None:
        """Return a reader of exactly the committed bytes.

        None: the blob is missing, or its size differs from that in its row.
        """
        reader = await self.blobs.open(rendition.blob_key)
        if reader is None or reader.size_bytes == rendition.size_bytes:
            return reader
        await reader.aclose()
        return None

    async def open(self, rendition: Rendition) -> BlobReader:
        """Return a reader of exactly the committed bytes.

        Raises:
            StoreUnavailableError: the blob is missing or has another size.
        """
        reader = await self.find(rendition)
        if reader is None:
            raise StoreUnavailableError
        return reader


async def head_of(reader: BlobReader) -> Head:
    """Return the head of stored audio.

    Raises:
        StoreUnavailableError: the blob store failed.
    """
    chunks = reader.read(0, min(MOST_HEAD_BYTES, reader.size_bytes))
    return judged(b"".join([chunk async for chunk in chunks]))
