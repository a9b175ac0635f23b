"""What only the driver of buckets promises."""

from __future__ import annotations

import asyncio
import json
import os
import tracemalloc
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from kazoo_media.blobs.s3 import S3BlobStore
from kazoo_media.blobs.s3_client import S3Place
from kazoo_media.blobs.store import BlobWriter, new_blob_key
from kazoo_media.errors import StoreUnavailableError
from tests.contract.blob_store import MIB, content, names, noise, written
from tests.support.s3_server import BUCKET, S3Server

LARGE = 12 * MIB

_BEFORE_A_PART = 2 * MIB
"""S3 may keep a part that is on its way when its upload is aborted; these make none."""


@pytest.fixture
def place(s3: S3Server) -> S3Place:
    return s3.place(uuid4().hex)


@pytest.fixture
async def store(place: S3Place, tmp_path: Path) -> AsyncIterator[S3BlobStore]:
    store = S3BlobStore(place.connect(), tmp_path)
    yield store
    await store.aclose()


async def _sent(store: S3BlobStore, key: str, data: bytes, *, head_changes: bool) -> BlobWriter:
    """Return the writer of a blob that was written in batches."""
    writer = await store.create(key, head_changes=head_changes)
    for at in range(0, len(data), MIB):
        await writer.write([data[at : at + MIB]])
    return writer


async def _fill(writer: BlobWriter) -> None:
    for _ in range(100):
        await writer.write([bytes(MIB)])


async def _begun(s3: S3Server) -> int:
    """Return how many multipart uploads the server knows."""

    def count() -> int:
        url = f"{s3.filer}/buckets/{BUCKET}/.uploads/?limit=1000"
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return len(json.load(answer)["Entries"] or [])

    return await asyncio.to_thread(count)


@pytest.mark.parametrize("head_changes", [False, True])
async def test_a_blob_of_several_parts_is_read_back(
    store: S3BlobStore, tmp_path: Path, *, head_changes: bool
) -> None:
    data, key = noise(LARGE), new_blob_key()
    writer = await _sent(store, key, data, head_changes=head_changes)
    if head_changes:
        await writer.overwrite_head(b"RIFF")
        data = b"RIFF" + data[4:]
    await store.publish([writer])
    assert await content(store, key) == data
    assert not await asyncio.to_thread(os.listdir, tmp_path)


async def test_a_discarded_upload_leaves_no_parts(store: S3BlobStore, s3: S3Server) -> None:
    writer = await _sent(store, new_blob_key(), noise(_BEFORE_A_PART), head_changes=False)
    assert await _begun(s3) == 1
    await writer.discard()
    assert await _begun(s3) == 0
    assert await names(store) == set()


async def test_a_cancelled_upload_leaves_no_parts(store: S3BlobStore, s3: S3Server) -> None:
    writer = await _sent(store, new_blob_key(), noise(_BEFORE_A_PART), head_changes=False)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(writer.write([noise(MIB)]))
        await asyncio.sleep(0)
        task.cancel()
    await writer.discard()
    assert await _begun(s3) == 0


async def test_memory_does_not_grow_with_a_blob(store: S3BlobStore) -> None:
    batch, key = noise(MIB), new_blob_key()
    writer = await store.create(key)
    tracemalloc.start()
    try:
        for _ in range(30):
            await writer.write([batch])
        await store.publish([writer])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MIB
    reader = await store.open(key)
    assert reader is not None
    async with reader:
        assert reader.size_bytes == 30 * MIB


async def test_a_missing_bucket_is_not_a_missing_blob(s3: S3Server, tmp_path: Path) -> None:
    store = S3BlobStore(s3.place("", bucket="no-such-bucket").connect(), tmp_path)
    with pytest.raises(StoreUnavailableError):
        await store.open(new_blob_key())
    await store.aclose()


async def test_a_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    place = S3Place(BUCKET, "", "http://127.0.0.1:1", "us-east-1", virtual_hosted=False)
    store = S3BlobStore(place.connect(), tmp_path)
    small, large = await written(store, new_blob_key(), b"abc"), await store.create(new_blob_key())
    with pytest.raises(StoreUnavailableError):
        await store.publish([small])
    with pytest.raises(StoreUnavailableError):
        await _fill(large)
    await large.discard()
    with pytest.raises(StoreUnavailableError):
        await store.open(new_blob_key())
    with pytest.raises(StoreUnavailableError):
        await store.delete(new_blob_key())
    with pytest.raises(StoreUnavailableError):
        await names(store)
    await store.aclose()
