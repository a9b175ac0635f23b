"""Uploads, pieces and tails: a part of a driver."""

from __future__ import annotations

from abc import abstractmethod

from typing_extensions import override

from kazoo_media.errors import TooManyUploadsError, UploadNotFoundError
from kazoo_media.metadata import transactions
from kazoo_media.metadata.engine import Engine, Session
from kazoo_media.metadata.upload_rows import (
    INSERT_UPLOAD,
    IS_OPEN,
    ONE_UPLOAD,
    SELECT_UPLOAD,
    UPDATE_UPLOAD,
    changing_of,
    upload_of,
    values_of,
)
from kazoo_media.metadata.uploads import (
    OPEN_STATES,
    OpenUploads,
    Piece,
    UploadChange,
    UploadRow,
    UploadStore,
)
from kazoo_media.model import KEEP_NONE, Keep, Media

_PAGE_CHARACTERS = 1024 * 1024
_COUNTS = ", ".join(f"count(*) filter (where state = '{each}')" for each in OPEN_STATES)
_COUNT_OPEN = (
    f"select {_COUNTS}, cast(coalesce(sum(persisted_size - pieces_end), 0) as bigint),"  # noqa: S608
    f" min(touched) filter (where state = 'interrupted') from upload where {IS_OPEN}"
)
_FROM = " where account = ? and id >= ?"


class SqlUploads(UploadStore):
    """Uploads on the driver's engine, one row after the other."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def open_upload(self, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
        return await self._engine.write(lambda db: self._open(db, new, limit, change))

    @override
    async def get_upload(self, account_id: str, upload_id: str) -> UploadRow | None:
        row = await self._engine.read_row(SELECT_UPLOAD + ONE_UPLOAD, (account_id, upload_id))
        return None if row is None else upload_of(row)

    @override
    async def list_uploads(self, account_id: str, start: str, limit: int) -> list[UploadRow]:
        return await self._engine.read(lambda db: _list(db, account_id, start, limit))

    @override
    async def list_idle_uploads(
        self, touched_before_ms: int, after: tuple[str, str], limit: int
    ) -> list[UploadRow]:
        sql = (
            f"{SELECT_UPLOAD} where ({IS_OPEN} or archiving = 1) and touched < ?"
            " and (account, id) > (?, ?) order by account, id limit ?"
        )
        rows = await self._engine.read_rows(sql, (touched_before_ms, *after, limit))
        return [upload_of(row) for row in rows]

    @override
    async def count_open_uploads(self) -> OpenUploads:
        [[*counts, tail_bytes, oldest_ms]] = await self._engine.read_rows(_COUNT_OPEN, ())
        states = {state.value: count for state, count in zip(OPEN_STATES, counts, strict=True)}
        return OpenUploads(states, tail_bytes, oldest_ms)

    @override
    async def change_upload(
        self, account_id: str, upload_id: str, change: UploadChange
    ) -> UploadRow:
        return await self._engine.write(lambda db: self._change(db, account_id, upload_id, change))

    @override
    async def read_upload(
        self, account_id: str, upload_id: str, offset: int, limit_bytes: int
    ) -> Piece | bytes:
        return await self._engine.read(
            lambda db: _read(db, account_id, upload_id, offset, limit_bytes)
        )

    @override
    async def add_piece(self, piece: Piece, now_ms: int) -> bool:
        for_update = self._engine.for_update
        return await self._engine.write(
            lambda db: _add_piece(db, piece, now_ms, for_update), frees_space=True
        )

    @override
    async def commit_upload(
        self,
        change: UploadChange,
        upload_id: str,
        media: Media,
        expected_revision: str | None,
        keep: Keep = KEEP_NONE,
    ) -> None:
        def commit(db: Session) -> None:
            self._change(db, media.account_id, upload_id, change)
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
        def discard(db: Session) -> UploadRow:
            changed = self._change(db, account_id, upload_id, change)
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

    def _open(self, db: Session, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
        try:
            return self._change(db, new.account_id, new.id, change)
        except UploadNotFoundError:
            sql = f"select count(*) from upload where account = ? and {IS_OPEN}"  # noqa: S608
            [[count]] = db.execute(sql, (new.account_id,)).fetchall()
            # Without a lock: calls that begin in one moment may exceed the limit by their number.
            if count >= limit:
                raise TooManyUploadsError(limit) from None
            db.execute(INSERT_UPLOAD, values_of(new))
            return new

    def _change(
        self, db: Session, account_id: str, upload_id: str, change: UploadChange
    ) -> UploadRow:
        sql = f"{SELECT_UPLOAD}{ONE_UPLOAD}{self._engine.for_update}"
        found = db.execute(sql, (account_id, upload_id)).fetchone()
        if found is None:
            raise UploadNotFoundError(upload_id)
        row = upload_of(found)
        changed = change(row)
        if changed != row:
            db.execute(UPDATE_UPLOAD, changing_of(changed))
        return changed


def _list(db: Session, account_id: str, start: str, limit: int) -> list[UploadRow]:
    """Return a page, shorter if the specs are long together; see the contract."""
    page = f" from upload{_FROM} order by id limit ?"
    sizes = db.execute(f"select id, length(spec){page}", (account_id, start, limit))
    characters, count = 0, 0
    for _, length in sizes:
        characters, count = characters + length, count + 1
        if characters > _PAGE_CHARACTERS and count > 1:
            break
    sql = f"{SELECT_UPLOAD}{_FROM} order by id limit ?"
    return [upload_of(row) for row in db.execute(sql, (account_id, start, count))]


def _read(
    db: Session, account_id: str, upload_id: str, offset: int, limit_bytes: int
) -> Piece | bytes:
    last = ' where account = ? and upload_id = ? and "offset" <= ? order by "offset" desc limit 1'
    key = (account_id, upload_id)
    piece = db.execute(
        f'select "offset", size, blob_key from piece{last}',  # noqa: S608, no outside text
        (*key, offset),
    ).fetchone()
    if piece is not None and offset < piece[0] + piece[1]:
        return Piece(*key, *piece)
    first = db.execute(f'select "offset" from tail{last}', (*key, offset)).fetchone()  # noqa: S608
    if first is None:
        return b""
    rows = db.execute(
        "select data from tail where account = ? and upload_id = ?"
        ' and "offset" >= ? and "offset" < ? order by "offset"',
        (*key, first[0], offset + limit_bytes),
    )
    found = b"".join(data for (data,) in rows)
    start = offset - int(first[0])
    return found[start : start + limit_bytes]


def _add_piece(db: Session, piece: Piece, now_ms: int, for_update: str) -> bool:
    key = (piece.account_id, piece.upload_id)
    end = piece.offset + piece.size_bytes
    fits = db.execute(
        f"select 1 from upload{ONE_UPLOAD} and pieces_end = ? and persisted_size >= ?"  # noqa: S608, no outside text
        f" and {IS_OPEN}{for_update}",
        (*key, piece.offset, end),
    ).fetchone()
    if fits is None:
        return False
    db.execute(
        "update blob set state = 'live', touched = ?, checked = ?, size = ?, sha256 = ?"
        " where account = ? and key = ? and state = 'pending'",
        (now_ms, now_ms, piece.size_bytes, piece.sha256, piece.account_id, piece.blob_key),
    )
    if db.changes() == 0:
        return False
    db.execute(
        "insert into piece values (?, ?, ?, ?, ?)",
        (*key, piece.offset, piece.size_bytes, piece.blob_key),
    )
    db.execute(
        "insert into tail select account, upload_id, ?,"
        ' substr(data, cast(1 + ? - "offset" as integer)) from tail'
        ' where account = ? and upload_id = ? and "offset" < ? and "offset" + length(data) > ?',
        (end, end, *key, end, end),
    )
    sql = 'delete from tail where account = ? and upload_id = ? and "offset" < ?'
    db.execute(sql, (*key, end))
    db.execute(f"update upload set pieces_end = ?{ONE_UPLOAD}", (end, *key))  # noqa: S608
    return True


def _remove_bytes(db: Session, account_id: str, upload_id: str, now_ms: int) -> None:
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
