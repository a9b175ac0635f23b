"""Appends to tails in PostgreSQL: a few statements for all uploads of a flush."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from kazoo_media.errors import MediaError, UploadNotFoundError
from kazoo_media.metadata.postgres_session import PostgresSession
from kazoo_media.metadata.upload_rows import (
    SELECT_FLUSHED,
    UPDATE_UPLOAD,
    changing_of,
    growing_of,
    others_of,
    upload_of,
)
from kazoo_media.metadata.uploads import TailAppend, UploadRow

# In one order everywhere: two flushes of the same uploads do not wait for each other.
_LOCK = (
    f"{SELECT_FLUSHED} where (account, id) in (select * from unnest(%s::text[], %s::text[]))"  # noqa: S608, no outside text
    " order by account, id for update"
)
_GROW = (
    "update upload u set touched = w.touched, persisted_size = w.persisted_size,"
    " crc32c = w.crc32c, received = w.received"
    " from unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])"
    " w (touched, persisted_size, crc32c, received, account, id)"
    " where u.account = w.account and u.id = w.id"
)
_COPY = 'copy tail (account, upload_id, "offset", data) from stdin (format binary)'


def append_tails(
    session: PostgresSession, appends: Sequence[TailAppend]
) -> list[UploadRow | MediaError]:
    """Append to the tails of uploads; see the contract."""
    connection = session.connection
    before = _lock(connection, {(each.account_id, each.upload_id) for each in appends})
    after = dict(before)
    results: list[UploadRow | MediaError] = []
    parts: list[tuple[str, str, int, bytes]] = []
    for each in appends:
        key = (each.account_id, each.upload_id)
        if key not in after:
            results.append(UploadNotFoundError(each.upload_id))
            continue
        offset = after[key].persisted_size
        try:
            after[key], data = each.change(after[key])
        except MediaError as error:
            results.append(error)
            continue
        results.append(after[key])
        if data:
            parts.append((*key, offset, data))
    _store_rows(session, [(before[key], row) for key, row in after.items()])
    if parts:
        _copy(connection, parts)
    return results


def _lock(
    connection: psycopg.Connection, keys: set[tuple[str, str]]
) -> dict[tuple[str, str], UploadRow]:
    accounts, ids = [account for account, _ in keys], [upload_id for _, upload_id in keys]
    rows = connection.execute(_LOCK.encode(), (accounts, ids), binary=True)
    found = map(upload_of, rows)
    return {(each.account_id, each.id): each for each in found}


def _store_rows(session: PostgresSession, rows: Sequence[tuple[UploadRow, UploadRow]]) -> None:
    changed = [(before, after) for before, after in rows if before is not after]
    grown = [after for before, after in changed if others_of(before) == others_of(after)]
    others = [after for before, after in changed if others_of(before) != others_of(after)]
    if grown:
        columns = [list(each) for each in zip(*map(growing_of, grown), strict=True)]
        session.connection.execute(_GROW.encode(), columns)
    if others:
        session.executemany(UPDATE_UPLOAD, map(changing_of, others))


def _copy(connection: psycopg.Connection, parts: Sequence[tuple[str, str, int, bytes]]) -> None:
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(["text", "text", "int8", "bytea"])
        for part in parts:
            copy.write_row(part)
