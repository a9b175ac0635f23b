"""Appends to tails in SQLite: one upload after the other, as statements cost little."""

from __future__ import annotations

from kazoo_media.errors import MediaError, UploadNotFoundError
from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.upload_rows import (
    GROW_UPLOAD,
    ONE_UPLOAD,
    SELECT_FLUSHED,
    UPDATE_UPLOAD,
    changing_of,
    growing_of,
    others_of,
    upload_of,
)
from kazoo_media.metadata.uploads import TailAppend, UploadRow


def append_tail(db: Session, append: TailAppend) -> UploadRow | MediaError:
    """Append to one tail, or return why not; see the contract."""
    found = db.execute(
        SELECT_FLUSHED + ONE_UPLOAD, (append.account_id, append.upload_id)
    ).fetchone()
    if found is None:
        return UploadNotFoundError(append.upload_id)
    row = upload_of(found)
    try:
        changed, data = append.change(row)
    except MediaError as error:
        return error
    if others_of(changed) != others_of(row):
        db.execute(UPDATE_UPLOAD, changing_of(changed))
    elif changed is not row:  # the usual case, which touches no index
        db.execute(GROW_UPLOAD, growing_of(changed))
    if data:
        db.execute(
            "insert into tail values (?, ?, ?, ?)",
            (append.account_id, append.upload_id, row.persisted_size, data),
        )
    return changed
