"""The contract of blob stores, on every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobStore
from tests.contract.blob_store import BlobStoreContract
from tests.support.memory_blobs import MemoryBlobStore


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
