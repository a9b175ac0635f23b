"""Writes of earlier contents; each function runs inside a transaction."""

from __future__ import annotations

import orjson

from kazoo_media.metadata.engine import Session
from kazoo_media.model import Keep


def keep_version(db: Session, name: tuple[str, str], number: int, keep: Keep, now_ms: int) -> None:
    """Add the content of a media as a version, if it has one and versions are kept.

    Args:
        name: Account and id of the media.
    """
    if keep.count > 1:
        outcome = orjson.dumps(keep.outcome).decode()
        db.execute(
            "insert into media_version select account, id, ?, ?, original_key, normalized_key, ?"
            " from media where account = ? and id = ? and original_key is not null",
            (number, now_ms, outcome, *name),
        )


def take_version(db: Session, name: tuple[str, str], number: int) -> bool:
    """Remove a version whose content is made the content again; return whether it existed."""
    sql = "delete from media_version where account = ? and id = ? and number = ?"
    db.execute(sql, (*name, number))
    return db.changes() > 0


def drop_versions(db: Session, name: tuple[str, str], kept: int) -> list[str]:
    """Remove all but the newest versions and return the keys of their blobs."""
    rows = db.execute(
        "delete from media_version where account = ? and id = ? and number not in"
        " (select number from media_version where account = ? and id = ?"
        " order by number desc limit ?) returning original_key, normalized_key",
        (*name, *name, kept),
    ).fetchall()
    return [str(key) for row in rows for key in row if key is not None]
