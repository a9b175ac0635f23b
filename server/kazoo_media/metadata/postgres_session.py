"""One connection of a thread to PostgreSQL, and a transaction on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import psycopg
from psycopg.errors import Diagnostic
from typing_extensions import override

from kazoo_media.metadata.engine import Rows, Session, Value

_NOT_REPLICATED = "01000"


class PostgresSession(Session):
    """A connection; statements have question marks as in SQLite.

    Attributes:
        connection: For statements that only PostgreSQL has.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._changes = 0

    @override
    def execute(self, sql: str, bindings: Sequence[Value] = ()) -> Rows:
        cursor = self.connection.execute(_own(sql), bindings, binary=True)
        self._changes = cursor.rowcount
        return cursor

    @override
    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        # One round trip for all rows.
        self.connection.cursor().executemany(_own(sql), rows)

    @override
    def changes(self) -> int:
        return self._changes


class Link:
    """A connection whose transactions leave a mark, so that a lost answer can be looked up.

    Attributes:
        name: Of its row in `write_mark`.
        number: Of its last transaction.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self.session = PostgresSession(connection)
        self.connection = connection
        self.name = secrets.token_hex(16)
        self.number = 0
        self._warned = False
        connection.add_notice_handler(self._notice)

    def begin(self) -> None:
        """Begin a transaction and leave its mark, in one round trip."""
        self.number += 1
        self.connection.execute(
            f"begin; insert into write_mark values ('{self.name}', {self.number}, now())"  # noqa: S608, no outside text
            " on conflict (thread) do update"
            " set number = excluded.number, written = excluded.written".encode()
        )

    def commit(self) -> bool:
        """Commit; return whether a standby that the server waits for has it as well."""
        self._warned = False
        self.connection.execute("commit")
        return not self._warned

    def roll_back(self) -> None:
        """Undo the transaction, if there is one; a lost connection has undone it."""
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                self.connection.execute("rollback")
            except psycopg.Error:
                self.connection.close()

    def has_committed(self, name: str, number: int) -> bool | None:
        """Return whether the transaction of a lost connection is committed.

        This writes to the mark as well, and so it waits for the end of the transaction, and for
        the standby to have what was written until now. None: the standby did not confirm that.
        """
        self._warned = False
        row = self.connection.execute(
            "insert into write_mark values (%s, 0, now())"
            " on conflict (thread) do update set written = now() returning number",
            (name,),
        ).fetchone()
        return None if self._warned or row is None else row[0] == number

    def _notice(self, notice: Diagnostic) -> None:
        # "The transaction has already committed locally, but might not have been replicated":
        # somebody has cancelled the wait for the standby.
        if notice.sqlstate == _NOT_REPLICATED:
            self._warned = True


def _own(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()
