"""Recordings that are complete: a part of a driver."""

from __future__ import annotations

from abc import abstractmethod

from typing_extensions import override

from kazoo_media.errors import ConflictError
from kazoo_media.metadata import transactions
from kazoo_media.metadata.engine import Engine, Session
from kazoo_media.metadata.recording_store import RecordingStore
from kazoo_media.metadata.sql_lists import SqlLists
from kazoo_media.model import Media, MediaQuery


class SqlRecordings(SqlLists, RecordingStore):
    """Recordings on the driver's engine."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def list_recordings(
        self, account_id: str, query: MediaQuery, start: tuple[int, str] | None
    ) -> list[Media]:
        condition, bindings = self.documents.condition(account_id, query)
        condition += " and m.recorded = 1"
        if start is not None:
            condition += " and (m.created, m.id) <= (?, ?)"
            bindings = (*bindings, *start)
        return await self._page((condition, bindings), "m.created desc, m.id desc", query.limit)

    @override
    async def find_recording(self, account_id: str, file_name: str) -> str | None:
        return await self._engine.read(
            lambda db: transactions.find_recording(db, account_id, file_name)
        )

    @override
    async def put_text_file(
        self, account_id: str, name: str, data: bytes, now_ms: int, limit: int
    ) -> None:
        def put(db: Session) -> None:
            if transactions.find_recording(db, account_id, name) is not None:
                raise ConflictError(name)
            db.execute(
                "insert into text_file values (?, ?, ?, ?) on conflict (account, name)"
                " do update set stored = excluded.stored, data = excluded.data",
                (account_id, name, now_ms, data),
            )
            db.execute(
                "delete from text_file where account = ? and name not in (select name from"
                " text_file where account = ? order by name = ? desc, stored desc, name limit ?)",
                (account_id, account_id, name, limit),
            )

        await self._engine.write(put)

    @override
    async def get_text_file(self, account_id: str, name: str) -> bytes | None:
        row = await self._engine.read_row(
            "select data from text_file where account = ? and name = ?", (account_id, name)
        )
        return None if row is None else bytes(row[0])
