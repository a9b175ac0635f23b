"""Migrates a PostgreSQL database to the schema of this version."""

from __future__ import annotations

import importlib.resources

import psycopg
from psycopg import errors

from kazoo_media.metadata.engine import METADATA_URL
from kazoo_media.start_error import StartError

_VERSION_TABLE = (
    "create table if not exists schema_version"
    " (one integer not null primary key check (one = 1), version integer not null);"
    "insert into schema_version values (1, 0) on conflict do nothing"
)
_TRIES = 5


def migrate(connection: psycopg.Connection, database: str) -> None:
    """Apply the numbered migrations that the database does not have yet, all or none.

    Processes that do so at the same time wait for each other.

    Args:
        connection: Commits each statement.
        database: Its name for messages.

    Raises:
        StartError: the database has a newer schema, or tables that kazoo-media did not make.
        psycopg.Error: the connection failed.
    """
    scripts = _scripts()
    try:
        _make_version_table(connection)
        with connection.transaction():
            # Migrations may take longer than other statements.
            connection.execute("set local statement_timeout = 0")
            connection.execute("set local lock_timeout = 0")
            row = connection.execute("select version from schema_version for update").fetchone()
            version = 0 if row is None else int(row[0])
            if version > max(scripts):
                raise _refused(
                    database,
                    f"schema version {version} is newer than {max(scripts)}",
                    "start a newer kazoo-media, or restore an older database",
                )
            for number in sorted(each for each in scripts if each > version):
                connection.execute(scripts[number])
                connection.execute("update schema_version set version = %s", (number,))
    except psycopg.ProgrammingError as error:
        remedy = "use an empty database whose owner is the user of the URL"
        raise _refused(database, str(error), remedy) from error


def _make_version_table(connection: psycopg.Connection) -> None:
    for remaining in reversed(range(_TRIES)):
        try:
            connection.execute(_VERSION_TABLE)
        except (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject):
            # PostgreSQL says so if another process makes the same table at the same time.
            if not remaining:
                raise
        else:
            return


def _refused(database: str, problem: str, remedy: str) -> StartError:
    return StartError.about(METADATA_URL, f"{database}: {problem}", remedy)


def _scripts() -> dict[int, bytes]:
    folder = importlib.resources.files("kazoo_media.metadata") / "schema" / "postgres"
    return {
        int(each.name.partition("_")[0]): each.read_bytes()
        for each in folder.iterdir()
        if each.name.endswith(".sql")
    }
