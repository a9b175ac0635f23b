"""A real PostgreSQL (15 or later) for a run of the tests, in a private folder, on a unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

# Debian's package makes it; the server refuses to run as root.
_USER = "postgres"


class PostgresServer:
    """A running server. Databases sort by a language unless a column says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = 0

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        settings = (
            f"-c listen_addresses='' -c unix_socket_directories={self.folder}"
            " -c shared_buffers=32MB -c max_connections=60"
        )
        log = self.folder / "log"
        _run("pg_ctl", "-D", self.folder / "data", "-w", "-l", log, "-o", settings, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop, in one of the modes of pg_ctl: "fast", or "immediate" as a crash does."""
        _run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def url(self, database: str, socket_folder: Path | None = None, **options: str) -> str:
        """Return the URL of a database, perhaps through the socket of a proxy."""
        more = "".join(f"&{key}={quote(value, safe='')}" for key, value in options.items())
        return f"postgresql://{_USER}@/{database}?host={socket_folder or self.folder}{more}"

    def make_database(self) -> str:
        """Return the name of a new, empty database."""
        self._names += 1
        name = f"test{self._names}"
        self.execute("postgres", f"create database {name}")
        return name

    def execute(self, database: str, sql: str) -> None:
        """Run statements, each in a transaction of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for each in sql.split(";"):
                connection.execute(each.encode())

    def rows(self, database: str, sql: str, *bindings: object) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        with psycopg.connect(self.url(database)) as connection:
            return connection.execute(sql.encode(), bindings).fetchall()

    def empty(self, database: str) -> None:
        """Remove all rows of a migrated database but those that its migrations made."""
        with psycopg.connect(self.url(database)) as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'public'"
                " and tablename not in ('schema_version', 'settings_revision', 'cluster')"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f'delete from "{table}"'.encode())


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a new server inside the block."""
    # The path of a socket may have 107 bytes at most: pytest's folders can be longer.
    folder = Path(tempfile.mkdtemp(prefix="kazoo-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
    server = PostgresServer(folder)
    try:
        _run("initdb", "-D", folder / "data", "-U", _USER, "-A", "trust", "-N", "-E", "UTF8",
             "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")  # fmt: skip
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _run(program: str, *arguments: str | Path) -> None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    path = str(found[-1]) if found else program
    user = _USER if os.geteuid() == 0 else None
    # The server keeps the descriptors that it inherits: a pipe would never end.
    with tempfile.TemporaryFile() as output:
        result = subprocess.run(
            [path, *map(str, arguments)], stdout=output, stderr=output, user=user, check=False,
            cwd="/", extra_groups=[] if user else None, group=user,
        )  # fmt: skip
        output.seek(0)
        assert result.returncode == 0, (result.returncode, output.read().decode())
