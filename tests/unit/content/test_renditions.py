"""Only bytes that are exactly what was committed are read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kazoo_media.blobs.store import new_blob_key
from kazoo_media.content.renditions import Renditions
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.model import Rendition, RenditionKind
from tests.contract.blob_store import stored
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.memory_metadata import MemoryMetadataStore


@pytest.fixture
def blobs() -> MemoryBlobStore:
    return MemoryBlobStore()


async def _stored(blobs: MemoryBlobStore) -> Rendition:
    key = await stored(blobs, b"audio.")
    return Rendition(RenditionKind.ORIGINAL, key, "audio/mpeg", 6, "0" * 64)


async def test_a_rendition_is_read_as_it_was_committed(blobs: MemoryBlobStore) -> None:
    renditions = Renditions(MemoryMetadataStore(), blobs)
    async with await renditions.open(await _stored(blobs)) as reader:
        assert [each async for each in reader.read(0, reader.size_bytes)] == [b"audio."]


@pytest.mark.parametrize("size_bytes", [5, 7])
async def test_a_blob_of_another_size_than_its_row_says_is_not_read(
    blobs: MemoryBlobStore, size_bytes: int
) -> None:
    renditions = Renditions(MemoryMetadataStore(), blobs)
    rendition = replace(await _stored(blobs), size_bytes=size_bytes)
    assert await renditions.find(rendition) is None
    with pytest.raises(StoreUnavailableError):
        await renditions.open(rendition)


async def test_a_missing_blob_is_not_read(blobs: MemoryBlobStore) -> None:
    renditions = Renditions(MemoryMetadataStore(), blobs)
    rendition = replace(await _stored(blobs), blob_key=new_blob_key())
    assert await renditions.find(rendition) is None
    with pytest.raises(StoreUnavailableError):
        await renditions.open(rendition)
