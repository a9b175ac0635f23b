"""Migrates a database to the schema of this version."""

from __future__ import annotations

import importlib.resources

import apsw
import structlog

from kazoo_media.metadata.sqlite_account_names import Renaming, make_names_unique
from kazoo_media.start_error import StartError

_UNIQUE_NAMES = 2
"""The migration whose indexes need the names of accounts to be unique."""

_log = structlog.get_logger()

_VERSION_TABLE = (
    "create table if not exists schema_version"
    " (one integer not null primary key check (one = 1), version integer not null)"
)


def migrate(db: apsw.Connection) -> None:
    """Apply the numbered migrations that the database does not have yet, all or none.

    Raises:
        StartError: the database has a newer schema, or was not made by kazoo-media.
    """
    scripts = _scripts()
    renamings: list[Renaming] = []
    db.execute("begin immediate")
    try:
        version = _version(db)
        if version > max(scripts):
            raise StartError.about(
                db.filename,
                f"schema version {version} is newer than {max(scripts)}",
                "start a newer kazoo-media, or restore an older database",
            )
        for number in sorted(each for each in scripts if each > version):
            if number == _UNIQUE_NAMES:
                renamings = make_names_unique(db)
            db.execute(scripts[number])
            db.execute("insert or replace into schema_version values (1, ?)", (number,))
        db.execute("commit")
    finally:
        if db.in_transaction:
            db.execute("rollback")
    for each in renamings:
        _log.warning(
            f"account renamed: an older account has its {each.field}",
            account_id=each.account_id,
            before=each.before,
            after=each.after,
        )


def _version(db: apsw.Connection) -> int:
    tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
    if not tables:
        db.execute(_VERSION_TABLE)
        return 0
    if "schema_version" not in tables:
        raise _foreign(db, "no schema version")
    rows = db.execute("select version from schema_version").fetchall()
    if len(rows) != 1 or not isinstance(rows[0][0], int) or rows[0][0] < 1:
        raise _foreign(db, f"the schema version cannot be read: {rows!r}")
    return rows[0][0]


def _foreign(db: apsw.Connection, problem: str) -> StartError:
    return StartError.about(
        db.filename, f"not a database of kazoo-media, {problem}", "restore it from a backup"
    )


def _scripts() -> dict[int, str]:
    folder = importlib.resources.files("kazoo_media.metadata") / "schema" / "sqlite"
    return {
        int(each.name.partition("_")[0]): each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".sql")
    }
