"""Writes of documents and their content; each function runs inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import orjson

from kazoo_media.errors import ConflictError, IncompleteUploadError, StaleRevisionError
from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.version_transactions import drop_versions, keep_version, take_version
from kazoo_media.model import BlobRow, Keep, Media, Rendition, save_count


def insert_media(db: Session, media: Media) -> None:
    """Add a media; see the contract."""
    if media.file_name and find_recording(db, media.account_id, media.file_name) is not None:
        raise ConflictError(media.id)
    db.execute(
        "insert into media (account, id, rev, created, modified, language, prompt_id, doc,"
        " recorded, file_name, original_key, normalized_key)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            media.account_id,
            media.id,
            media.revision,
            media.created_ms,
            media.modified_ms,
            media.language,
            media.prompt_id,
            _json(media),
            int(media.is_recording),
            media.file_name,
            *_content_keys(media),
        ),
    )
    if db.changes() == 0:
        raise ConflictError(media.id)
    _make_content_live(db, media, [], media.created_ms)


def find_recording(db: Session, account_id: str, file_name: str) -> str | None:
    """Return the id of the live recording that has this file name."""
    row = db.execute(
        "select id from media where account = ? and file_name = ? and deleted_at is null"
        " and file_name <> ''",
        (account_id, file_name),
    ).fetchone()
    return None if row is None else str(row[0])


def replace_document(db: Session, media: Media, expected_revision: str) -> None:
    """Store document and revision; see the contract."""
    db.execute(
        "update media set rev = ?, modified = ?, language = ?, prompt_id = ?, doc = ?"
        " where account = ? and id = ? and rev = ? and deleted_at is null",
        (
            media.revision,
            media.modified_ms,
            media.language,
            media.prompt_id,
            _json(media),
            media.account_id,
            media.id,
            expected_revision,
        ),
    )
    if db.changes() == 0:
        raise StaleRevisionError(media.id)


def remove_media(
    db: Session, account_id: str, media_id: str, expected_revision: str, now_ms: int
) -> None:
    """Remove a media and mark its blobs as dead; see the contract."""
    keys = _all_blob_keys(db, account_id, media_id)
    db.execute(
        "delete from media where account = ? and id = ? and rev = ? and deleted_at is null",
        (account_id, media_id, expected_revision),
    )
    if db.changes() == 0:
        raise StaleRevisionError(media_id)
    _kill(db, account_id, keys, now_ms)


def commit_content(
    db: Session, media: Media, expected_revision: str, now_ms: int, keep: Keep
) -> None:
    """Make `media.content` the content; see the contract."""
    previous = _blob_keys(db, media.account_id, media.id)
    replace_document(db, media, expected_revision)
    _make_content_live(db, media, previous, now_ms)
    kept = _content_keys(media)
    replaced = [key for key in previous if key not in kept]
    if previous[:1] == replaced[:1]:  # another original
        replaced = _keep_replaced(db, media, expected_revision, now_ms, keep)
    _point_at_content(db, media)
    _kill(db, media.account_id, [key for key in replaced if key not in kept], now_ms)


def restore_version(
    db: Session,
    media: Media,
    expected_revision: str,
    number: int,
    now_ms: int,
    keep: Keep,
) -> None:
    """Make an earlier content the content; see the contract."""
    replace_document(db, media, expected_revision)
    if not take_version(db, (media.account_id, media.id), number):
        raise StaleRevisionError(media.id)
    dead = _keep_replaced(db, media, expected_revision, now_ms, keep)
    _point_at_content(db, media)
    _kill(db, media.account_id, dead, now_ms)


def restore_media(db: Session, media: Media, expected_revision: str) -> None:
    """Make a soft-deleted media live again; see the contract."""
    if find_recording(db, media.account_id, media.file_name) not in (None, media.id):
        raise ConflictError(media.file_name)
    db.execute(
        "update media set deleted_at = null"
        " where account = ? and id = ? and rev = ? and deleted_at is not null",
        (media.account_id, media.id, expected_revision),
    )
    if db.changes() == 0:
        raise StaleRevisionError(media.id)
    replace_document(db, media, expected_revision)


def _keep_replaced(
    db: Session, media: Media, expected_revision: str, now_ms: int, keep: Keep
) -> list[str]:
    """Keep the stored content as a version and return the keys of what is not kept."""
    name = (media.account_id, media.id)
    dead = [] if keep.count > 1 else _blob_keys(db, *name)
    keep_version(db, name, save_count(expected_revision), keep, now_ms)
    return dead + drop_versions(db, name, keep.count - 1)


def _point_at_content(db: Session, media: Media) -> None:
    db.execute(
        "update media set original_key = ?, normalized_key = ? where account = ? and id = ?",
        (*_content_keys(media), media.account_id, media.id),
    )


def abandon_blobs(db: Session, account_id: str, keys: Sequence[str], now_ms: int) -> list[str]:
    """Mark those keys that are pending as dead; see the contract."""
    if not keys:
        return []
    marks = ", ".join("?" * len(keys))
    rows = db.execute(
        "update blob set state = 'dead', touched = ?"  # noqa: S608, no outside text
        f" where account = ? and key in ({marks}) and state = 'pending' returning key",
        (now_ms, account_id, *keys),
    ).fetchall()
    return [str(key) for (key,) in rows]


def purge_media(
    db: Session, account_id: str, deleted_until_ms: int, limit: int, now_ms: int, for_update: str
) -> int:
    """Remove soft-deleted media; see the contract.

    Args:
        for_update: See `Engine`: none of them is restored meanwhile.
    """
    rows = db.execute(
        "select id from media where account = ? and deleted_at <= ?"  # noqa: S608, no outside text
        f" order by deleted_at, id limit ?{for_update}",
        (account_id, deleted_until_ms, limit),
    ).fetchall()
    for (media_id,) in rows:
        _kill(db, account_id, _all_blob_keys(db, account_id, str(media_id)), now_ms)
        db.execute("delete from media where account = ? and id = ?", (account_id, media_id))
    return len(rows)


def _content_keys(media: Media) -> tuple[str | None, str | None]:
    """Return the keys of the original and of the normalized rendition."""
    content = media.content
    if content is None:
        return None, None
    normalized = content.normalized
    return content.original.blob_key, None if normalized is None else normalized.blob_key


def _make_content_live(db: Session, media: Media, previous: list[str], now_ms: int) -> None:
    for each in media.content.renditions if media.content else ():
        if each.blob_key not in previous:
            _make_live(db, media.account_id, each, now_ms)
        else:
            _put_facts(db, media.account_id, each)
        _put_peaks(db, media.account_id, each)


def _make_live(db: Session, account_id: str, rendition: Rendition, now_ms: int) -> None:
    db.execute(
        "update blob set state = 'live', touched = ?, checked = ?, size = ?, sha256 = ?,"
        " content_type = ?, duration_ms = ?, sample_rate_hertz = ?, channel_count = ?, codec = ?,"
        " loudness_lufs = ?, peak_dbfs = ?, clipped_samples = ?, normalization = ?"
        " where account = ? and key = ? and state = 'pending'",
        (
            now_ms,
            now_ms,
            rendition.size_bytes,
            rendition.sha256,
            rendition.content_type,
            *astuple(rendition.facts),
            rendition.normalization,
            account_id,
            rendition.blob_key,
        ),
    )
    if db.changes() == 0:
        # The sweeper was faster: the bytes may be gone already.
        raise IncompleteUploadError("the upload was idle for too long and was discarded")


def put_measured(db: Session, media: Media, known: Mapping[str, Any]) -> None:
    """Store the measurements of a content; see the contract."""
    db.execute(
        "update media set doc = ?"
        " where account = ? and id = ? and rev = ? and cast(doc as text) = ?"
        " and deleted_at is null",
        (_json(media), media.account_id, media.id, media.revision, orjson.dumps(known).decode()),
    )
    if db.changes() == 0:
        raise StaleRevisionError(media.id)
    for each in media.content.renditions if media.content else ():
        _put_facts(db, media.account_id, each)
        _put_peaks(db, media.account_id, each)


def put_damage(db: Session, media: Media, expected_revision: str) -> None:
    """Store which renditions are damaged; see the contract."""
    replace_document(db, media, expected_revision)
    db.executemany(
        "update blob set damaged = ? where account = ? and key = ?",
        [
            (int(each.is_damaged), media.account_id, each.blob_key)
            for each in (media.content.renditions if media.content else ())
        ],
    )


def _put_facts(db: Session, account_id: str, rendition: Rendition) -> None:
    """Store the measurements of a live blob, if there are any."""
    facts = rendition.facts
    if facts.clipped_samples is not None:
        db.execute(
            "update blob set loudness_lufs = ?, peak_dbfs = ?, clipped_samples = ?"
            " where account = ? and key = ?",
            (
                facts.loudness_lufs,
                facts.peak_dbfs,
                facts.clipped_samples,
                account_id,
                rendition.blob_key,
            ),
        )


def _put_peaks(db: Session, account_id: str, rendition: Rendition) -> None:
    if rendition.peaks is not None:
        db.execute(
            "insert into peaks values (?, ?, ?) on conflict do nothing",
            (account_id, rendition.blob_key, rendition.peaks),
        )


def forget_blobs(db: Session, rows: Sequence[BlobRow]) -> None:
    """Remove the rows of dead blobs and their peaks; see the contract."""
    keys = [(each.account_id, each.key) for each in rows]
    db.executemany(
        "delete from peaks where account = ? and key = ? and exists (select 1 from blob b"
        " where b.account = peaks.account and b.key = peaks.key and b.state = 'dead')",
        keys,
    )
    db.executemany("delete from blob where account = ? and key = ? and state = 'dead'", keys)


def _blob_keys(db: Session, account_id: str, media_id: str) -> list[str]:
    rows = db.execute(
        "select original_key, normalized_key from media where account = ? and id = ?",
        (account_id, media_id),
    ).fetchall()
    return [str(key) for row in rows for key in row if key is not None]


def _all_blob_keys(db: Session, account_id: str, media_id: str) -> list[str]:
    """Return the keys of the content of a media and of its versions, which are removed."""
    keys = _blob_keys(db, account_id, media_id)
    return keys + drop_versions(db, (account_id, media_id), 0)


def _kill(db: Session, account_id: str, keys: list[str], now_ms: int) -> None:
    db.executemany(
        "update blob set state = 'dead', touched = ? where account = ? and key = ?",
        [(now_ms, account_id, key) for key in keys],
    )


def _json(media: Media) -> str:
    return orjson.dumps(media.document).decode()
