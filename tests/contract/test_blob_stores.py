"""The contract of blob stores, on every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from kazoo_media.blobs.cached import CachedBlobStore
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.s3 import S3BlobStore
from kazoo_media.blobs.store import BlobStore
from tests.contract.blob_store import MIB, BlobStoreContract
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.s3_server import S3Server


class TestMemoryBlobStore(BlobStoreContract):
    driver = MemoryBlobStore

    @pytest.fixture
    async def store(self) -> AsyncIterator[BlobStore]:
        store = MemoryBlobStore()
        yield store
        await store.aclose()


class TestLocalBlobStore(BlobStoreContract):
    driver = LocalBlobStore

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        store = LocalBlobStore(tmp_path / "blobs")
        yield store
        await store.aclose()


class TestCachedBlobStore(BlobStoreContract):
    driver = CachedBlobStore

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        store = CachedBlobStore(MemoryBlobStore(), tmp_path / "cache", 64 * MIB)
        yield store
        await store.aclose()


class TestS3BlobStore(BlobStoreContract):
    driver = S3BlobStore

    @pytest.fixture
    async def store(self, s3: S3Server, tmp_path: Path) -> AsyncIterator[BlobStore]:
        store = S3BlobStore(s3.place(uuid4().hex).connect(), tmp_path)
        yield store
        await store.aclose()
