"""The metadata store of several machines: PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Self, cast

from typing_extensions import override

from kazoo_media.errors import MediaError
from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.filters import Condition
from kazoo_media.metadata.postgres_documents import POSTGRES_DOCUMENTS, SELECT_LISTED
from kazoo_media.metadata.postgres_engine import PostgresEngine
from kazoo_media.metadata.postgres_session import PostgresSession
from kazoo_media.metadata.postgres_tails import append_tails
from kazoo_media.metadata.rows import PAGE_CHARACTERS, SELECT_MEDIA, listed_media
from kazoo_media.metadata.sql_store import SqlMetadataStore
from kazoo_media.metadata.uploads import TailAppend, UploadRow
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import Media

_REVISION_S = 0.5
"""A change of settings holds on all nodes after at most this time."""

_PAGE = (
    "(select m.*, row_number() over page as place,"
    " sum(octet_length(m.doc::text)) over page - octet_length(m.doc::text) as before"
    " from media m where {condition}"
    " window page as (order by {order} rows unbounded preceding) order by {order} limit ?) m"
)
"""A page with the bytes of the documents before each: PostgreSQL sends all rows that it finds."""


class PostgresMetadataStore(SqlMetadataStore):
    """One database, which any number of nodes use."""

    documents = POSTGRES_DOCUMENTS
    select_listed = SELECT_LISTED

    def __init__(self, engine: PostgresEngine) -> None:
        super().__init__(engine)
        self._revision, self._revision_until_s = 0, 0.0

    @classmethod
    async def open(cls, url: str, *, metrics: Metrics = NO_METRICS) -> Self:
        """Return the store in a database, whose tables are made or migrated if necessary.

        Args:
            url: As libpq reads it.

        Raises:
            StartError: the database cannot be used.
        """
        return cls(await asyncio.to_thread(partial(PostgresEngine, url, metrics)))

    @override
    async def settings_revision(self) -> int:
        # Asked for by every request: a read of the database would double the cost of the shortest.
        now_s = time.monotonic()
        if now_s >= self._revision_until_s:
            self._revision = await super().settings_revision()
            self._revision_until_s = now_s + _REVISION_S
        return self._revision

    @override
    async def bump_settings_revision(self) -> None:
        await super().bump_settings_revision()
        self._revision_until_s = 0.0

    @override
    async def _change_settings(self, sql: str, bindings: Sequence[str]) -> None:
        await super()._change_settings(sql, bindings)
        self._revision_until_s = 0.0

    @override
    async def append_tails(self, appends: Sequence[TailAppend]) -> list[UploadRow | MediaError]:
        def append(db: Session) -> list[UploadRow | MediaError]:
            return append_tails(cast("PostgresSession", db), appends)

        return await self._engine.write(append)

    @override
    async def forget_uploads(self, touched_before_ms: int) -> int:
        # An index on `touched` would be changed by every flush.
        sql = "delete from upload where ended < ?"
        return await self._engine.execute(sql, (touched_before_ms,))

    @override
    async def _page(self, condition: Condition, order: str, limit: int) -> list[Media]:
        page = _PAGE.format(condition=condition[0], order=order)
        sql = (
            f"{SELECT_MEDIA.replace('media m', page, 1)}"
            f" where m.before <= {PAGE_CHARACTERS} or m.place <= 2 order by {order}"
        )
        rows = await self._engine.read_rows(sql, (*condition[1], limit))
        return await asyncio.to_thread(listed_media, rows)
