"""Documents, prompts and versions: a part of a driver."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

import orjson
from typing_extensions import override

from kazoo_media.errors import StaleRevisionError
from kazoo_media.metadata import transactions
from kazoo_media.metadata.engine import Engine
from kazoo_media.metadata.rows import SELECT_MEDIA, SELECT_VERSION, media_of, version_of
from kazoo_media.metadata.sql_lists import SqlLists
from kazoo_media.metadata.store import MediaStore, PromptStore
from kazoo_media.metadata.version_store import VersionStore
from kazoo_media.model import KEEP_NONE, Keep, ListedDocument, Media, MediaQuery, Version

_GET_MEDIA = f"{SELECT_MEDIA} where m.account = ? and m.id = ? and m.deleted_at is null"
_GET_DELETED = f"{SELECT_MEDIA} where m.account = ? and m.id = ? and m.deleted_at is not null"

_LARGE_CHARACTERS = 64 * 1024
"""Longer documents are parsed off the event loop."""


class SqlMedia(SqlLists, MediaStore, VersionStore, PromptStore):
    """Media on the driver's engine."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
            lambda db: transactions.purge_media(
                db, account_id, deleted_until_ms, limit, now_ms, self._engine.for_update
            ),
            frees_space=True,
        )

    @override
    async def list_media(self, account_id: str, query: MediaQuery) -> list[Media]:
        condition = self.documents.condition(account_id, query)
        order = "desc" if query.descending else "asc"
        return await self._page(condition, f"m.id {order}", query.limit)

    @override
    async def list_documents(self, account_id: str, query: MediaQuery) -> list[ListedDocument]:
        condition, bindings = self.documents.condition(account_id, query)
        order = "desc" if query.descending else "asc"
        sql = f"{self.select_listed} where {condition} order by m.id {order} limit ?"
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
        is_language, values = ("is null", ()) if language is None else ("= ?", (language,))
        rows = await self._engine.read_rows(
            f"select id from media where account = ? and language {is_language} and id >= ?"  # noqa: S608, no outside text
            " and deleted_at is null and recorded = 0 order by id limit ?",
            (account_id, *values, start, limit),
        )
        return [media_id for (media_id,) in rows]

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
