"""The contract of metadata stores, on every driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_media.metadata.postgres import PostgresMetadataStore
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.store import MetadataStore
from tests.contract.metadata_store import MetadataStoreContract
from tests.support.memory_metadata import MemoryMetadataStore
from tests.support.postgres import PostgresServer


class TestMemoryMetadataStore(MetadataStoreContract):
    driver = MemoryMetadataStore

    @pytest.fixture
    async def store(self) -> AsyncIterator[MetadataStore]:
        store = MemoryMetadataStore()
        yield store
        await store.aclose()


class TestSqliteMetadataStore(MetadataStoreContract):
    driver = SqliteMetadataStore

    @pytest.fixture(params=[False, True], ids=["alone", "shared"])
    async def store(
        self, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[MetadataStore]:
        store = await SqliteMetadataStore.open(tmp_path / "m.sqlite", shared=request.param)
        yield store
        await store.aclose()


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return postgres.make_database()


class TestPostgresMetadataStore(MetadataStoreContract):
    driver = PostgresMetadataStore

    @pytest.fixture
    async def store(self, postgres: PostgresServer, database: str) -> AsyncIterator[MetadataStore]:
        store = await PostgresMetadataStore.open(postgres.url(database))
        yield store
        await store.aclose()
        await asyncio.to_thread(postgres.empty, database)
