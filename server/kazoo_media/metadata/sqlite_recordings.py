"""Recordings in SQLite: a part of its metadata store."""

from __future__ import annotations

from abc import abstractmethod

import apsw
from typing_extensions import override

from kazoo_media.errors import ConflictError
from kazoo_media.metadata import sqlite_transactions as transactions
from kazoo_media.metadata.filters import query_condition
from kazoo_media.metadata.recording_store import RecordingStore
from kazoo_media.metadata.rows import SELECT_MEDIA, listed_media
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.model import Media, MediaQuery


class SqliteRecordings(RecordingStore):
    """Recordings in one database file."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    @override
    async def list_recordings(
        self, account_id: str, query: MediaQuery, start: tuple[int, str] | None
    ) -> list[Media]:
        condition, bindings = query_condition(account_id, query)
        condition += " and m.recorded = 1"
        if start is not None:
            condition += " and (m.created, m.id) <= (?, ?)"
            bindings = (*bindings, *start)
        sql = f"{SELECT_MEDIA} where {condition} order by m.created desc, m.id desc limit ?"
        bindings = (*bindings, query.limit)
        return await self._engine.read(lambda db: listed_media(db.execute(sql, bindings)))

    @override
    async def find_recording(self, account_id: str, file_name: str) -> str | None:
        return await self._engine.read(
            lambda db: transactions.find_recording(db, account_id, file_name)
        )

    @override
    async def put_text_file(
        self, account_id: str, name: str, data: bytes, now_ms: int, limit: int
    ) -> None:
        def put(db: apsw.Connection) -> None:
            if transactions.find_recording(db, account_id, name) is not None:
                raise ConflictError(name)
            db.execute(
                "insert or replace into text_file values (?, ?, ?, ?)",
                (account_id, name, now_ms, data),
            )
            db.execute(
                "delete from text_file where account = ? and name not in (select name from"
                " text_file where account = ? order by stored desc, rowid desc limit ?)",
                (account_id, account_id, limit),
            )

        await self._engine.write(put)

    @override
    async def get_text_file(self, account_id: str, name: str) -> bytes | None:
        row = await self._engine.read_row(
            "select data from text_file where account = ? and name = ?", (account_id, name)
        )
        return None if row is None else bytes(row[0])
