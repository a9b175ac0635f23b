"""Blob rows, peaks and damage: a part of a driver."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from kazoo_media.metadata import transactions
from kazoo_media.metadata.engine import Engine
from kazoo_media.metadata.rows import SELECT_BLOB, SELECT_MEDIA, blob_of, media_of
from kazoo_media.metadata.store import BlobRows, DamageRows
from kazoo_media.model import BlobRow, Media

_FIND_MEDIA = (
    f"{SELECT_MEDIA} where m.account = ? and (m.original_key = ? or m.normalized_key = ?)"
    " and m.deleted_at is null"
)


class SqlBlobs(BlobRows, DamageRows):
    """Blob rows on the driver's engine."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def begin_upload(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        await self._engine.execute_many(
            "insert into blob (account, key, state, touched) values (?, ?, 'pending', ?)",
            [(account_id, key, now_ms) for key in keys],
        )

    @override
    async def touch_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        await self._engine.execute_many(
            "update blob set touched = ? where account = ? and key = ? and state = 'pending'",
            [(now_ms, account_id, key) for key in keys],
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
        await self._engine.execute_many(
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
