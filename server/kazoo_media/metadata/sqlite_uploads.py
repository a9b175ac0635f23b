"""Uploads, pieces and tails in SQLite: a part of its metadata store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from operator import attrgetter

import apsw
from typing_extensions import override

from kazoo_media.errors import MediaError, TooManyUploadsError, UploadNotFoundError
from kazoo_media.metadata import sqlite_transactions as transactions
from kazoo_media.metadata.rows import Row
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.metadata.uploads import (
    Piece,
    TailAppend,
    UploadChange,
    UploadRow,
    UploadState,
    UploadStore,
)
from kazoo_media.model import KEEP_NONE, Keep, Media

_FIXED = ("account_id", "id", "media_id", "created_ms", "spec")
_CHANGING = (
    "state",
    "touched_ms",
    "epoch",
    "persisted_size",
    "crc32c",
    "pieces_end",
    "outside_pause",
    "stream_pause",
    "resumes",
    "marks",
    "ending",
    "holder",
    "received_ms",
    "error",
    "is_archiving",
    "declared_size",
)
_COLUMNS = {"account_id": "account", "is_archiving": "archiving"} | {
    f"{each}_ms": each for each in ("created", "touched", "received")
}
_NAMES = [_COLUMNS.get(each, each) for each in (*_FIXED, *_CHANGING)]
_values_of = attrgetter(*_FIXED, *_CHANGING)
_changing_of = attrgetter(*_CHANGING, "account_id", "id")
_GROWING = ("touched_ms", "persisted_size", "crc32c", "received_ms")
_growing_of = attrgetter(*_GROWING, "account_id", "id")
_others_of = attrgetter(*(each for each in _CHANGING if each not in _GROWING))

_SELECT = f"select {', '.join(_NAMES)} from upload"  # noqa: S608, no outside text
_SELECT_FLUSHED = _SELECT.replace("spec", "''", 1)
_ONE = " where account = ? and id = ?"
_UPDATE = (
    f"update upload set {', '.join(f'{name} = ?' for name in _NAMES[len(_FIXED) :])}"  # noqa: S608
    f"{_ONE}"
)
_GROW = (
    f"update upload set {', '.join(f'{_COLUMNS.get(each, each)} = ?' for each in _GROWING)}"  # noqa: S608
    f"{_ONE}"
)
_INSERT = (
    f"insert into upload ({', '.join(_NAMES)})"  # noqa: S608, no outside text
    f" values ({', '.join('?' * len(_NAMES))})"
)
_OPEN = "state in ('receiving', 'interrupted', 'committing')"
_PAGE_CHARACTERS = 1024 * 1024


class SqliteUploads(UploadStore):
    """Uploads in one database file."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    @override
    async def open_upload(self, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
        return await self._engine.write(lambda db: _open(db, new, limit, change))

    @override
    async def get_upload(self, account_id: str, upload_id: str) -> UploadRow | None:
        row = await self._engine.read_row(_SELECT + _ONE, (account_id, upload_id))
        return None if row is None else _upload_of(row)

    @override
    async def list_uploads(self, account_id: str, start: str, limit: int) -> list[UploadRow]:
        def read(db: apsw.Connection) -> list[UploadRow]:
            sql = f"{_SELECT} where account = ? and id >= ? order by id limit ?"
            found: list[UploadRow] = []
            characters = 0
            for row in db.execute(sql, (account_id, start, limit)):
                found.append(_upload_of(row))
                characters += len(found[-1].spec)
                if characters > _PAGE_CHARACTERS and len(found) > 1:
                    break
            return found

        return await self._engine.read(read)

    @override
    async def list_idle_uploads(
        self, touched_before_ms: int, after: tuple[str, str], limit: int
    ) -> list[UploadRow]:
        sql = (
            f"{_SELECT} where ({_OPEN} or archiving = 1) and touched < ? and (account, id) > (?, ?)"
            " order by account, id limit ?"
        )
        rows = await self._engine.read_rows(sql, (touched_before_ms, *after, limit))
        return [_upload_of(row) for row in rows]

    @override
    async def change_upload(
        self, account_id: str, upload_id: str, change: UploadChange
    ) -> UploadRow:
        return await self._engine.write(lambda db: _change(db, account_id, upload_id, change))

    @override
    async def append_tails(self, appends: Sequence[TailAppend]) -> list[UploadRow | MediaError]:
        return await self._engine.write(lambda db: [_append(db, each) for each in appends])

    @override
    async def read_upload(
        self, account_id: str, upload_id: str, offset: int, limit_bytes: int
    ) -> Piece | bytes:
        return await self._engine.read(
            lambda db: _read(db, account_id, upload_id, offset, limit_bytes)
        )

    @override
    async def add_piece(self, piece: Piece, now_ms: int) -> bool:
        return await self._engine.write(lambda db: _add_piece(db, piece, now_ms), frees_space=True)

    @override
    async def commit_upload(
        self,
        change: UploadChange,
        upload_id: str,
        media: Media,
        expected_revision: str | None,
        keep: Keep = KEEP_NONE,
    ) -> None:
        def commit(db: apsw.Connection) -> None:
            _change(db, media.account_id, upload_id, change)
            _remove_bytes(db, media.account_id, upload_id, media.modified_ms)
            if expected_revision is None:
                transactions.insert_media(db, media)
            else:
                transactions.commit_content(db, media, expected_revision, media.modified_ms, keep)

        await self._engine.write(commit, frees_space=True)

    @override
    async def discard_upload(
        self, account_id: str, upload_id: str, change: UploadChange, now_ms: int
    ) -> UploadRow:
        def discard(db: apsw.Connection) -> UploadRow:
            changed = _change(db, account_id, upload_id, change)
            _remove_bytes(db, account_id, upload_id, now_ms)
            return changed

        return await self._engine.write(discard, frees_space=True)

    @override
    async def forget_uploads(self, touched_before_ms: int) -> int:
        return await self._engine.execute(
            "delete from upload where state in ('finished', 'discarded') and touched < ?",
            (touched_before_ms,),
            frees_space=True,
        )


def _upload_of(row: Row) -> UploadRow:
    values = dict(zip((*_FIXED, *_CHANGING), row, strict=True))
    values["state"] = UploadState(values["state"])
    for name in ("resumes", "is_archiving"):
        values[name] = bool(values[name])
    return UploadRow(**values)


def _find(db: apsw.Connection, account_id: str, upload_id: str, select: str = _SELECT) -> UploadRow:
    row = db.execute(select + _ONE, (account_id, upload_id)).fetchone()
    if row is None:
        raise UploadNotFoundError(upload_id)
    return _upload_of(row)


def _open(db: apsw.Connection, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
    try:
        return _change(db, new.account_id, new.id, change)
    except UploadNotFoundError:
        sql = f"select count(*) from upload where account = ? and {_OPEN}"  # noqa: S608
        row: Row = db.execute(sql, (new.account_id,)).fetchall()[0]
        if row[0] >= limit:
            raise TooManyUploadsError(limit) from None
        db.execute(_INSERT, _values_of(new))
        return new


def _change(
    db: apsw.Connection, account_id: str, upload_id: str, change: UploadChange
) -> UploadRow:
    row = _find(db, account_id, upload_id)
    changed = change(row)
    if changed != row:
        db.execute(_UPDATE, _changing_of(changed))
    return changed


def _append(db: apsw.Connection, append: TailAppend) -> UploadRow | MediaError:
    try:
        row = _find(db, append.account_id, append.upload_id, _SELECT_FLUSHED)
        changed, data = append.change(row)
    except MediaError as error:
        return error
    if _others_of(changed) != _others_of(row):
        db.execute(_UPDATE, _changing_of(changed))
    elif changed is not row:  # the usual case, which touches no index
        db.execute(_GROW, _growing_of(changed))
    if data:
        db.execute(
            "insert into tail values (?, ?, ?, ?)",
            (append.account_id, append.upload_id, row.persisted_size, data),
        )
    return changed


def _read(
    db: apsw.Connection, account_id: str, upload_id: str, offset: int, limit_bytes: int
) -> Piece | bytes:
    key = (account_id, upload_id)
    # One transaction: a piece may replace the tail between two statements.
    with db:
        last = " where account = ? and upload_id = ? and offset <= ? order by offset desc limit 1"
        piece = db.execute(
            f"select offset, size, blob_key from piece{last}",  # noqa: S608, no outside text
            (*key, offset),
        ).fetchone()
        if piece is not None and offset < piece[0] + piece[1]:
            return Piece(*key, *piece)
        first = db.execute(f"select offset from tail{last}", (*key, offset)).fetchone()  # noqa: S608
        if first is None:
            return b""
        found = bytearray()
        for start, data in db.execute(
            "select offset, data from tail where account = ? and upload_id = ? and offset >= ?"
            " order by offset",
            (*key, first[0]),
        ):
            found += data[max(0, offset - start) :]
            if len(found) >= limit_bytes:
                break
    return bytes(found[:limit_bytes])


def _add_piece(db: apsw.Connection, piece: Piece, now_ms: int) -> bool:
    key = (piece.account_id, piece.upload_id)
    end = piece.offset + piece.size_bytes
    fits = db.execute(
        f"select 1 from upload {_ONE} and pieces_end = ? and persisted_size >= ? and {_OPEN}"  # noqa: S608
        " and exists (select 1 from blob where account = ? and key = ? and state = 'pending')",
        (*key, piece.offset, end, piece.account_id, piece.blob_key),
    ).fetchone()
    if fits is None:
        return False
    db.execute(
        "update blob set state = 'live', touched = ?, checked = ?, size = ?, sha256 = ?"
        " where account = ? and key = ?",
        (now_ms, now_ms, piece.size_bytes, piece.sha256, piece.account_id, piece.blob_key),
    )
    db.execute(
        "insert into piece values (?, ?, ?, ?, ?)",
        (*key, piece.offset, piece.size_bytes, piece.blob_key),
    )
    db.execute(
        "insert into tail select account, upload_id, ?, substr(data, 1 + ? - offset) from tail"
        " where account = ? and upload_id = ? and offset < ? and offset + length(data) > ?",
        (end, end, *key, end, end),
    )
    db.execute("delete from tail where account = ? and upload_id = ? and offset < ?", (*key, end))
    db.execute(f"update upload set pieces_end = ?{_ONE}", (end, *key))  # noqa: S608
    return True


def _remove_bytes(db: apsw.Connection, account_id: str, upload_id: str, now_ms: int) -> None:
    """Kill the blobs of the pieces, remove pieces and tail."""
    key = (account_id, upload_id)
    db.execute(
        "update blob set state = 'dead', touched = ? where account = ? and key in"
        " (select blob_key from piece where account = ? and upload_id = ?)",
        (now_ms, account_id, *key),
    )
    for table in ("piece", "tail"):
        db.execute(
            f"delete from {table} where account = ? and upload_id = ?",  # noqa: S608
            key,
        )
