"""The metadata store of one machine: SQLite in write-ahead mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import apsw
import orjson
from typing_extensions import override

from kazoo_media.errors import StaleRevisionError, StoreUnavailableError
from kazoo_media.metadata import sqlite_transactions as transactions
from kazoo_media.metadata.filters import query_condition
from kazoo_media.metadata.rows import (
    SELECT_BLOB,
    SELECT_LISTED,
    SELECT_MEDIA,
    SELECT_VERSION,
    blob_of,
    listed_media,
    media_of,
    version_of,
)
from kazoo_media.metadata.sqlite_accounts import SqliteAccounts
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.metadata.sqlite_recordings import SqliteRecordings
from kazoo_media.metadata.sqlite_uploads import SqliteUploads
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import (
    KEEP_NONE,
    BlobRow,
    Keep,
    ListedDocument,
    Media,
    MediaQuery,
    SettingRow,
    SigningKey,
    Version,
)

_GET_MEDIA = f"{SELECT_MEDIA} where m.account = ? and m.id = ? and m.deleted_at is null"
_GET_DELETED = f"{SELECT_MEDIA} where m.account = ? and m.id = ? and m.deleted_at is not null"
_FIND_MEDIA = (
    f"{SELECT_MEDIA} where m.account = ? and (m.original_key = ? or m.normalized_key = ?)"
    " and m.deleted_at is null"
)
_BUMP_SETTINGS = "update settings_revision set revision = revision + 1"

_LARGE_CHARACTERS = 64 * 1024
"""Longer documents are parsed off the event loop."""


class SqliteMetadataStore(SqliteAccounts, SqliteRecordings, SqliteUploads, MetadataStore):
    """One database file; never on a network file system."""

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
    async def aclose(self) -> None:
        await self._engine.aclose()

    @override
    async def get_cluster_id(self) -> str:
        row = await self._engine.read_row("select id from cluster", ())
        if row is None:
            raise StoreUnavailableError
        return str(row[0])

    @override
    async def get_media(self, account_id: str, media_id: str) -> Media | None:
        row = await self._engine.read_row(_GET_MEDIA, (account_id, media_id))
        if row is None:
            return None
        if len(row[2]) > _LARGE_CHARACTERS:
            return await asyncio.to_thread(media_of, row)
        return media_of(row)

    @override
    async def insert_media(self, media: Media) -> None:
        await self._engine.write(lambda db: transactions.insert_media(db, media))

    @override
    async def replace_document(self, media: Media, expected_revision: str) -> None:
        await self._engine.write(
            lambda db: transactions.replace_document(db, media, expected_revision)
        )

    @override
    async def soft_delete_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        changed = await self._engine.execute(
            "update media set deleted_at = ?"
            " where account = ? and id = ? and rev = ? and deleted_at is null",
            (now_ms, account_id, media_id, expected_revision),
            frees_space=True,
        )
        if changed == 0:
            raise StaleRevisionError(media_id)

    @override
    async def remove_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        await self._engine.write(
            lambda db: transactions.remove_media(
                db, account_id, media_id, expected_revision, now_ms
            ),
            frees_space=True,
        )

    @override
    async def purge_media(
        self, account_id: str, deleted_until_ms: int, limit: int, now_ms: int
    ) -> int:
        return await self._engine.write(
            lambda db: transactions.purge_media(db, account_id, deleted_until_ms, limit, now_ms),
            frees_space=True,
        )

    @override
    async def list_media(self, account_id: str, query: MediaQuery) -> list[Media]:
        condition, bindings = query_condition(account_id, query)
        order = "desc" if query.descending else "asc"
        sql = f"{SELECT_MEDIA} where {condition} order by m.id {order} limit ?"
        bindings = (*bindings, query.limit)
        return await self._engine.read(lambda db: listed_media(db.execute(sql, bindings)))

    @override
    async def list_documents(self, account_id: str, query: MediaQuery) -> list[ListedDocument]:
        condition, bindings = query_condition(account_id, query)
        order = "desc" if query.descending else "asc"
        sql = f"{SELECT_LISTED} where {condition} order by m.id {order} limit ?"
        rows = await self._engine.read_few(sql, (*bindings, query.limit))
        # One text costs the parser less than many.
        documents = orjson.loads(f"[{','.join([text for _, text in rows])}]")
        return [*map(ListedDocument, [media_id for media_id, _ in rows], documents)]

    @override
    async def count_prompts(self, account_id: str, start: str, limit: int) -> list[tuple[str, int]]:
        return await self._engine.read_rows(
            "select prompt_id, count(*) from media"
            " where account = ? and prompt_id >= ? and deleted_at is null"
            " group by prompt_id order by prompt_id limit ?",
            (account_id, start, limit),
        )

    @override
    async def count_languages(self, account_id: str) -> list[tuple[str | None, int]]:
        return await self._engine.read_rows(
            "select language, count(*) from media"
            " where account = ? and deleted_at is null and recorded = 0"
            " group by language order by language nulls last",
            (account_id,),
        )

    @override
    async def list_translations(
        self, account_id: str, prompt_id: str, start: str, limit: int
    ) -> list[tuple[str, bool]]:
        rows = await self._engine.read_rows(
            "select id, original_key is not null from media"
            " where account = ? and prompt_id = ? and id >= ? and deleted_at is null"
            " order by id limit ?",
            (account_id, prompt_id, start, limit),
        )
        return [(media_id, bool(has_content)) for media_id, has_content in rows]

    @override
    async def list_language_ids(
        self, account_id: str, language: str | None, start: str, limit: int
    ) -> list[str]:
        rows = await self._engine.read_rows(
            "select id from media"
            " where account = ? and language is ? and id >= ? and deleted_at is null"
            " and recorded = 0"
            " order by id limit ?",
            (account_id, language, start, limit),
        )
        return [media_id for (media_id,) in rows]

    @override
    async def begin_upload(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        await self._engine.execute(
            "insert into blob (account, key, state, touched)"
            " select ?, value, 'pending', ? from json_each(?)",
            (account_id, now_ms, orjson.dumps(keys).decode()),
        )

    @override
    async def touch_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        await self._write_many(
            "update blob set touched = ? where account = ? and key = ? and state = 'pending'",
            [(now_ms, account_id, key) for key in keys],
        )

    @override
    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep = KEEP_NONE
    ) -> None:
        await self._engine.write(
            lambda db: transactions.commit_content(db, media, expected_revision, now_ms, keep)
        )

    @override
    async def list_versions(self, account_id: str, media_id: str) -> list[Version]:
        sql = f"{SELECT_VERSION} where v.account = ? and v.id = ? order by v.number desc"
        return [
            version_of(row) for row in await self._engine.read_rows(sql, (account_id, media_id))
        ]

    @override
    async def restore_version(
        self, media: Media, expected_revision: str, number: int, keep: Keep, now_ms: int
    ) -> None:
        await self._engine.write(
            lambda db: transactions.restore_version(
                db, media, expected_revision, number, now_ms, keep
            )
        )

    @override
    async def get_deleted_media(self, account_id: str, media_id: str) -> Media | None:
        rows = await self._engine.read_rows(_GET_DELETED, (account_id, media_id))
        return media_of(rows[0]) if rows else None

    @override
    async def restore_media(self, media: Media, expected_revision: str) -> None:
        await self._engine.write(
            lambda db: transactions.restore_media(db, media, expected_revision)
        )

    @override
    async def abandon_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> list[str]:
        return await self._engine.write(
            lambda db: transactions.abandon_blobs(db, account_id, keys, now_ms), frees_space=True
        )

    @override
    async def expire_pending(self, untouched_since_ms: int, now_ms: int) -> int:
        return await self._engine.execute(
            "update blob set state = 'dead', touched = ? where state = 'pending' and touched < ?",
            (now_ms, untouched_since_ms),
            frees_space=True,
        )

    @override
    async def list_dead(self, untouched_since_ms: int, limit: int) -> list[BlobRow]:
        sql = f"{SELECT_BLOB} where state = 'dead' and touched < ? order by touched, key limit ?"
        return [
            blob_of(row) for row in await self._engine.read_rows(sql, (untouched_since_ms, limit))
        ]

    @override
    async def get_peaks(self, account_id: str, key: str) -> bytes | None:
        row = await self._engine.read_row(
            "select pairs from peaks where account = ? and key = ?", (account_id, key)
        )
        return None if row is None else bytes(row[0])

    @override
    async def put_measured(self, media: Media, known: Mapping[str, Any]) -> None:
        await self._engine.write(lambda db: transactions.put_measured(db, media, known))

    @override
    async def forget_blobs(self, rows: Sequence[BlobRow]) -> None:
        await self._engine.write(lambda db: transactions.forget_blobs(db, rows), frees_space=True)

    @override
    async def list_blobs(self, start: str, limit: int) -> list[BlobRow]:
        sql = f"{SELECT_BLOB} where key > ? order by key limit ?"
        return [blob_of(row) for row in await self._engine.read_rows(sql, (start, limit))]

    @override
    async def list_unchecked(
        self, checked_before_ms: int, limit: int, *, damaged: bool
    ) -> list[BlobRow]:
        sql = (
            f"{SELECT_BLOB} where state = 'live' and damaged = ? and checked < ?"
            " order by checked limit ?"
        )
        rows = await self._engine.read_rows(sql, (int(damaged), checked_before_ms, limit))
        return [blob_of(row) for row in rows]

    @override
    async def put_checked(self, rows: Sequence[BlobRow], now_ms: int) -> None:
        await self._write_many(
            "update blob set checked = ? where account = ? and key = ?",
            [(now_ms, each.account_id, each.key) for each in rows],
        )

    @override
    async def find_media(self, account_id: str, key: str) -> Media | None:
        rows = await self._engine.read_rows(_FIND_MEDIA, (account_id, key, key))
        return media_of(rows[0]) if rows else None

    @override
    async def put_blob_damage(self, account_id: str, key: str, *, is_damaged: bool) -> None:
        await self._engine.execute(
            "update blob set damaged = ? where account = ? and key = ? and state = 'live'",
            (int(is_damaged), account_id, key),
        )

    @override
    async def put_damage(self, media: Media, expected_revision: str) -> None:
        await self._engine.write(lambda db: transactions.put_damage(db, media, expected_revision))

    @override
    async def add_signing_key(self, key: SigningKey) -> None:
        await self._engine.execute(
            "insert into signing_key values (?, ?, ?) on conflict do nothing",
            (key.kid, key.public_pem, key.created_ms),
        )

    @override
    async def list_signing_keys(self) -> list[SigningKey]:
        rows = await self._engine.read_rows(
            "select kid, public_pem, created from signing_key order by created desc, kid", ()
        )
        return [SigningKey(*row) for row in rows]

    @override
    async def settings_revision(self) -> int:
        row = await self._engine.read_row("select revision from settings_revision", ())
        return 0 if row is None else int(row[0])

    @override
    async def bump_settings_revision(self) -> None:
        await self._engine.execute(_BUMP_SETTINGS, ())

    @override
    async def list_settings(self) -> list[SettingRow]:
        rows = await self._engine.read_rows(
            "select category, scope, key, value from setting order by category, scope, key", ()
        )
        return [SettingRow(row[0], row[1], row[2], orjson.loads(row[3])) for row in rows]

    @override
    async def put_setting(self, row: SettingRow) -> None:
        value = orjson.dumps(row.value).decode()
        await self._change_settings(
            "insert or replace into setting values (?, ?, ?, ?)",
            (row.category, row.scope, row.key, value),
        )

    @override
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        await self._change_settings(
            "delete from setting where category = ? and scope = ? and key = ?",
            (category, scope, key),
        )

    async def _change_settings(self, sql: str, bindings: Sequence[str]) -> None:
        def change(db: apsw.Connection) -> None:
            db.execute(sql, bindings)
            db.execute(_BUMP_SETTINGS)

        await self._engine.write(change)

    async def _write_many(self, sql: str, rows: Sequence[Sequence[str | int]]) -> None:
        def change(db: apsw.Connection) -> None:
            db.executemany(sql, rows)

        await self._engine.write(change)
