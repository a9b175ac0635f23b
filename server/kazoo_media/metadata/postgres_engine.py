"""PostgreSQL connections: a thread for each, because a transaction is many short waits.

Theory of operation, writes:

1. A thread runs a work and commits. Serialization failures and deadlocks undo everything, and the
   work is run again; so does a unique key that another transaction took after the work had looked.
2. A connection that is lost before the commit has changed nothing: the work is run again on a new
   one, to which the thread tries to connect for a few seconds.
3. If the answer to a commit is lost, nobody knows whether it happened. Each transaction leaves a
   mark (`Link`); a new connection looks it up. Committed: the result is returned. Not committed:
   the work is run again. Without a connection the outcome stays unknown: StoreUnavailableError.
4. A commit waits for the synchronous standby as long as it takes; what has to wait for a thread
   meanwhile gets StoreUnavailableError after a few seconds. If somebody cancels that wait,
   the change is not undone but may be lost with the server: StoreUnavailableError.
5. A task that is cancelled waits for the end of its transaction, so what it did is decided.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NoReturn, TypeVar

import psycopg
import structlog
from psycopg import errors
from typing_extensions import override

from kazoo_media.errors import (
    MediaError,
    StorageFullError,
    StoreUnavailableError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.engine import METADATA_URL, Engine, Row, Value, Work
from kazoo_media.metadata.postgres_address import PostgresAddress
from kazoo_media.metadata.postgres_migrations import migrate
from kazoo_media.metadata.postgres_session import Link
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.start_error import StartError

T = TypeVar("T")

_THREADS = 4
"""For writes, and as many for reads: long lists do not keep a flush waiting."""
_PATIENCE_S = 5.0
_PAUSE_S = 0.1
_MOST_CONFLICTS = 20
_SILENCE_S = 10.0
_SHORT_S = 0.001
"""A wait for a free thread is shorter, and is not counted."""
_OLD_MARKS = "delete from write_mark where written < now() - interval '1 day'"

_log = structlog.get_logger()


class PostgresEngine(Engine):
    """The connections of one process to one database."""

    for_update = " for update"
    now_ms = "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"

    def __init__(self, url: str, metrics: Metrics = NO_METRICS) -> None:
        """Prepare the schema; blocks.

        Raises:
            StartError: the database cannot be used.
        """
        self._address = PostgresAddress.parse(url)
        self._metrics = metrics
        connection = self._address.connect_first()
        try:
            migrate(connection, self._address.shown)
            connection.execute(_OLD_MARKS)
        except psycopg.Error as error:
            problem = f"{self._address.shown}: {error}"
            raise StartError.about(METADATA_URL, problem, "check the server") from error
        finally:
            connection.close()
        self._local = threading.local()
        self._links: set[Link] = set()
        self._is_lost = False
        self._silent_until_s = 0.0
        self._closed = False
        self._readers = ThreadPoolExecutor(_THREADS, thread_name_prefix="postgres-read")
        self._writers = ThreadPoolExecutor(_THREADS, thread_name_prefix="postgres-write")

    @override
    async def write(self, work: Work[T], *, frees_space: bool = False) -> T:
        job = self._begun("write", partial(self._transact, work))
        future = asyncio.wrap_future(job)
        try:
            await asyncio.wait([future], timeout=_PATIENCE_S)
            # Every thread may be in a commit that waits for the standby.
            if not future.done() and job.cancel():
                self._metrics.store_failed("metadata", "write", StoreUnavailableError.reason)
                raise StoreUnavailableError
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait([future])
                future.exception()  # nobody else asks for it
            raise

    @override
    async def read(self, work: Work[T]) -> T:
        return await asyncio.wrap_future(self._begun("read", partial(_in_one_state, work)))

    @override
    async def read_rows(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        def read(link: Link) -> list[Row]:
            return link.session.execute(sql, bindings).fetchall()

        return await asyncio.wrap_future(self._begun("read", read))

    @override
    async def read_few(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        return await self.read_rows(sql, bindings)

    @override
    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        for link in self._links:
            link.connection.close()

    def _begun(self, operation: str, act: Callable[[Link], T]) -> Future[T]:
        """Return the future of what a thread for reads or writes does next."""
        if self._closed:
            raise StoreUnavailableError
        pool = self._writers if operation == "write" else self._readers
        return pool.submit(self._counting, operation, act, time.monotonic())

    def _counting(self, operation: str, act: Callable[[Link], T], asked_s: float) -> T:
        """Return the result of `act`; count how long it has waited for the thread, and takes."""
        waited_s = time.monotonic() - asked_s
        if waited_s > _SHORT_S:
            self._metrics.waited(f"postgres_{operation}", waited_s)
        try:
            with self._metrics.timed("metadata", operation):
                return self._persist(act, asked_s + _PATIENCE_S)
        except (StoreUnavailableError, StorageFullError) as error:
            self._metrics.store_failed("metadata", operation, error.reason)
            raise

    def _persist(self, act: Callable[[Link], T], deadline_s: float) -> T:
        """Return the result of `act`, tried again where that can help."""
        conflicts = 0
        while True:
            link = self._link(deadline_s)
            try:
                return act(link)
            except psycopg.Error as error:
                if isinstance(error, _CONFLICTS) and conflicts < _MOST_CONFLICTS:
                    conflicts += 1
                    time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311, not for secrets
                elif not self._lose(link, error) or time.monotonic() > deadline_s:
                    self._fail(error)

    def _link(self, deadline_s: float) -> Link:
        """Return the open connection of this thread."""
        link: Link | None = getattr(self._local, "link", None)
        while link is None:
            if time.monotonic() > deadline_s:  # it has waited too long for its turn
                self._fail(None)
            try:
                link = Link(self._address.connect())
            except psycopg.Error as error:
                self._tell_lost(error)
                if time.monotonic() > deadline_s:
                    self._fail(error)
                time.sleep(_PAUSE_S)
            else:
                self._links.add(link)
                self._local.link = link
                if self._is_lost:
                    self._is_lost = False
                    _log.info("database is back", database=self._address.shown)
        return link

    def _lose(self, link: Link, error: psycopg.Error) -> bool:
        """Drop a connection that is broken or no longer to a primary; return whether it is."""
        if not _is_gone(link, error) and not isinstance(error, errors.ReadOnlySqlTransaction):
            return False
        link.connection.close()
        if link in self._links:
            self._links.discard(link)
            self._local.link = None
            self._tell_lost(error)
        return True

    def _tell_lost(self, error: psycopg.Error) -> None:
        """Log that the database is lost, but not for every connection and attempt."""
        now_s = time.monotonic()
        if now_s > self._silent_until_s:
            self._silent_until_s = now_s + _SILENCE_S
            self._is_lost = True
            _log.warning("database lost", database=self._address.shown, reason=str(error))

    def _transact(self, work: Work[T], link: Link) -> T:
        try:
            link.begin()
            result = work(link.session)
        except BaseException:
            link.roll_back()
            raise
        started = time.perf_counter()
        try:
            is_safe = link.commit()
        except psycopg.Error as error:
            if not _is_gone(link, error):
                raise  # the server says that it did not commit
            self._lose(link, error)
            if not self._has_committed(link.name, link.number):
                raise
            is_safe = True
        self._metrics.committed(time.perf_counter() - started)
        if not is_safe:
            _log.error("the standby did not confirm a commit", database=self._address.shown)
            self._fail(None)
        return result

    def _has_committed(self, name: str, number: int) -> bool:
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            link = self._link(deadline_s)
            try:
                found = link.has_committed(name, number)
            except psycopg.Error as error:
                if not self._lose(link, error) or time.monotonic() > deadline_s:
                    self._fail(error)
            else:
                if found is None:
                    self._fail(None)
                return found

    def _fail(self, error: psycopg.Error | None) -> NoReturn:
        if isinstance(error, psycopg.DataError) and error.sqlstate is None:
            # psycopg itself refuses it: a text has a NUL, which nothing that is stored has.
            nul = Violation("request", "invalid", "must not contain NUL", {})
            raise ValidationError([nul]) from error
        failure: MediaError = StoreUnavailableError()
        if isinstance(error, errors.DiskFull):
            failure = StorageFullError()
        raise failure from error


_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)


def _is_gone(link: Link, error: psycopg.Error) -> bool:
    """Return whether the connection is lost, or is about to be: FATAL is a server's last word."""
    return link.connection.closed or error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def _in_one_state(work: Work[T], link: Link) -> T:
    try:
        link.connection.execute("begin isolation level repeatable read, read only")
        return work(link.session)
    finally:
        link.roll_back()
