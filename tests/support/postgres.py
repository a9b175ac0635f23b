"""A real PostgreSQL (15 or later) for a run of the tests, in a private folder, on a unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

# Debian's package makes it; the server refuses to run as root.
_USER = "postgres"
_START_S = 60


class PostgresServer:
    """A running server. Databases sort by a language unless a column says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = 0
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the files of a new server."""
        _run("initdb", "-D", self.folder / "data", "-U", _USER, "-A", "trust", "-N", "-E", "UTF8",
             "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")  # fmt: skip

    def follow(self, primary: PostgresServer) -> None:
        """Make the files of a standby; the running primary waits for it from now on."""
        _run("pg_basebackup", "-h", primary.folder, "-U", _USER, "-D", self.folder / "data",
             "-R", "-C", "-S", "standby", "-c", "fast")  # fmt: skip
        self.start()
        primary.execute("postgres", "alter system set synchronous_standby_names = '*'")
        primary.execute("postgres", "select pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary, without waiting for it."""
        self.execute("postgres", "select pg_promote(false)")

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "shared_buffers": "32MB",
            "max_connections": "60",
        }
        command = [*_as_user(), _program("postgres"), "-D", str(self.folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + _START_S
        while not self._accepts():
            text = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, (self._process.returncode, text)
            assert time.monotonic() < deadline, text
            time.sleep(0.05)

    def stop(self, *, crash: bool = False) -> None:
        """Stop in order, or as a crash does: the next start has to recover."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._process.wait(_START_S)

    def kill(self) -> None:
        """End the server with SIGKILL; its processes for connections notice and end as well."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_START_S)

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

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
    with new_server() as server:
        server.make()
        server.start()
        yield server


@contextmanager
def new_server() -> Iterator[PostgresServer]:
    """Give a server without files, which is stopped at the end of the block."""
    # The path of a socket may have 107 bytes at most: pytest's folders can be longer.
    folder = Path(tempfile.mkdtemp(prefix="kazoo-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop(crash=True)
        shutil.rmtree(folder)


def _run(program: str, *arguments: str | Path) -> None:
    command = [*_as_user(), _program(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, (done.returncode, done.stdout + done.stderr)


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else name


def _as_user() -> list[str]:
    """Return the start of a command that does not run as root.

    `Popen(user=...)` forks: the copy of a process that uses gRPC can die before it becomes the
    server.
    """
    change_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    return change_user if os.geteuid() == 0 else []
