"""Columns and statements of upload rows that all drivers share, and the conversion of rows."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from kazoo_media.metadata.engine import Row, Value
from kazoo_media.metadata.uploads import UploadRow, UploadState

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
_all_of = attrgetter(*_FIXED, *_CHANGING)
_changing_of = attrgetter(*_CHANGING, "account_id", "id")
_GROWING = ("touched_ms", "persisted_size", "crc32c", "received_ms")
growing_of = attrgetter(*_GROWING, "account_id", "id")
others_of = attrgetter(*(each for each in _CHANGING if each not in _GROWING))

SELECT_UPLOAD = f"select {', '.join(_NAMES)} from upload"  # noqa: S608, no outside text
SELECT_FLUSHED = SELECT_UPLOAD.replace("spec", "''", 1)
ONE_UPLOAD = " where account = ? and id = ?"
UPDATE_UPLOAD = (
    f"update upload set {', '.join(f'{name} = ?' for name in _NAMES[len(_FIXED) :])}"  # noqa: S608
    f"{ONE_UPLOAD}"
)
GROW_UPLOAD = (
    f"update upload set {', '.join(f'{_COLUMNS.get(each, each)} = ?' for each in _GROWING)}"  # noqa: S608
    f"{ONE_UPLOAD}"
)
INSERT_UPLOAD = (
    f"insert into upload ({', '.join(_NAMES)})"  # noqa: S608, no outside text
    f" values ({', '.join('?' * len(_NAMES))})"
)
IS_OPEN = "state in ('receiving', 'interrupted', 'committing')"


def values_of(row: UploadRow) -> list[Value]:
    """Return the values for INSERT_UPLOAD."""
    return _stored(_all_of(row))


def changing_of(row: UploadRow) -> list[Value]:
    """Return the values for UPDATE_UPLOAD."""
    return _stored(_changing_of(row))


def _stored(values: Iterable[Value]) -> list[Value]:
    return [int(each) if isinstance(each, bool) else each for each in values]


def upload_of(row: Row) -> UploadRow:
    """Return the upload of a row of SELECT_UPLOAD or SELECT_FLUSHED."""
    values = dict(zip((*_FIXED, *_CHANGING), row, strict=True))
    values["state"] = UploadState(values["state"])
    for name in ("resumes", "is_archiving"):
        values[name] = bool(values[name])
    return UploadRow(**values)
