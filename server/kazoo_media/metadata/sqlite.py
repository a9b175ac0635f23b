"""The metadata store of one machine: SQLite in write-ahead mode."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from typing_extensions import override

from kazoo_media.errors import MediaError
from kazoo_media.metadata.filters import Condition
from kazoo_media.metadata.rows import SELECT_MEDIA, listed_media
from kazoo_media.metadata.sql_store import SqlMetadataStore
from kazoo_media.metadata.sqlite_documents import SELECT_LISTED, SQLITE_DOCUMENTS
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.metadata.sqlite_tails import append_tail
from kazoo_media.metadata.uploads import TailAppend, UploadRow
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import Media


class SqliteMetadataStore(SqlMetadataStore):
    """One database file; never on a network file system."""

    documents = SQLITE_DOCUMENTS
    select_listed = SELECT_LISTED

    def __init__(self, engine: SqliteEngine) -> None:
        super().__init__(engine)

    @classmethod
    async def open(cls, path: Path, *, shared: bool, metrics: Metrics = NO_METRICS) -> Self:
        """Return the store in a file, which is made or migrated if necessary.

        Args:
            path: The database; its folder exists.
            shared: Whether several processes write; a lock file beside the database orders them.

        Raises:
            StartError: the file cannot be used.
        """
        engine = partial(SqliteEngine, path, shared=shared, metrics=metrics)
        return cls(await asyncio.to_thread(engine))

    @override
    async def append_tails(self, appends: Sequence[TailAppend]) -> list[UploadRow | MediaError]:
        return await self._engine.write(lambda db: [append_tail(db, each) for each in appends])

    @override
    async def _page(self, condition: Condition, order: str, limit: int) -> list[Media]:
        sql = f"{SELECT_MEDIA} where {condition[0]} order by {order} limit ?"
        bindings = (*condition[1], limit)
        # Rows that are not taken are not read.
        return await self._engine.read(lambda db: listed_media(db.execute(sql, bindings)))
