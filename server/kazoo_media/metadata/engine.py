"""What the statements that all drivers share need of a database.

SQL is written once, for SQLite and PostgreSQL, with question marks for values. A driver has its own
statement only where the two languages differ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

METADATA_URL = "KAZOO_MEDIA_METADATA_URL"
"""The variable that names the database, for errors."""

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Value: TypeAlias = str | int | float | bytes | None


class Rows(Protocol):
    """The rows that a statement returns."""

    def fetchone(self) -> Row | None:
        """Return the next row, or None."""

    def fetchall(self) -> list[Row]:
        """Return the remaining rows."""

    def __iter__(self) -> Iterator[Row]: ...


class Session(Protocol):
    """A connection inside a transaction. All calls block."""

    def execute(self, sql: str, bindings: Sequence[Value] = ()) -> Rows:
        """Run a statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> object:
        """Run a statement that returns no rows, once for each of `rows`."""

    def changes(self) -> int:
        """Return how many rows the last `execute` changed."""


Work: TypeAlias = Callable[[Session], T]


class Engine(ABC):
    """The connections of one process to one database.

    Every method raises StoreUnavailableError if the database cannot be used, StorageFullError
    without space, and the MediaError that a work raised.

    Attributes:
        for_update: Ends a select whose rows must stay as they are until the transaction ends.
        now_ms: The expression for the database's clock, in Unix milliseconds.
    """

    for_update: str
    now_ms: str

    @abstractmethod
    async def write(self, work: Work[T], *, frees_space: bool = False) -> T:
        """Return the result of `work` once its transaction is durable.

        A work that raises changes nothing. It may run more than once.

        Args:
            frees_space: Whether the work removes something.
        """

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Return the result of `work`, whose statements see one state of the database."""

    @abstractmethod
    async def read_rows(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        """Return the rows of one statement."""

    @abstractmethod
    async def read_few(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        """Return the rows of a statement that finds one row or a page by an index."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish accepted writes and reads and close every connection."""

    async def execute(
        self, sql: str, bindings: Sequence[Value], *, frees_space: bool = False
    ) -> int:
        """Run one statement in a transaction; return how many rows it changed. See `write`."""

        def change(db: Session) -> int:
            db.execute(sql, bindings)
            return db.changes()

        return await self.write(change, frees_space=frees_space)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement for each of `rows`, in one transaction."""
        await self.write(lambda db: db.executemany(sql, rows))

    async def read_row(self, sql: str, bindings: Sequence[Value]) -> Row | None:
        """Return the first row of a statement as in `read_few`, or None."""
        rows = await self.read_few(sql, bindings)
        return rows[0] if rows else None
