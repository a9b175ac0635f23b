"""SQLite connections: one writer thread with group commit, reader threads, reads on the loop.

Theory of operation, writes:

1. A task queues a job and waits. The writer thread takes all queued jobs as one batch.
2. It runs the batch in one transaction. If a job fails, the transaction is rolled back and started
   again with a savepoint for each job, so that only failing jobs are undone. A savepoint costs as
   much as most jobs do, and jobs rarely fail.
3. One COMMIT and one fsync serve the batch. Only then do the tasks get their results.
4. If the transaction itself fails (disk full, I/O error), nothing of the batch is stored, and each
   of its tasks gets the error. The thread continues with the next batch.
5. Jobs that free space and fail for lack of it are run again with space from the reserve.

A read on the loop costs a fraction of a read in a thread, which competes with the loop for the
interpreter's lock at every row. A read that takes longer than a few milliseconds is started again
in a thread, off the loop.

If several processes share a database, a lock file is held around each transaction: SQLite polls
while it waits, and under load one process can starve for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw
from typing_extensions import override

from kazoo_media import durable
from kazoo_media.errors import MediaError, StorageFullError, StoreUnavailableError
from kazoo_media.metadata.engine import Engine, Row, Value, Work
from kazoo_media.metadata.reserve import Reserve
from kazoo_media.metadata.sqlite_migrations import migrate
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.start_error import StartError

T = TypeVar("T")

_WRITER_TIMEOUT_MS = 20_000
_READER_TIMEOUT_MS = 5_000
_READER_THREADS = 2
_BATCH_LIMIT = 256
_LOOP_READ_S = 0.002
_CLOCK_STEPS = 50
"""Steps of SQLite's virtual machine between two checks of the time; a few rows."""


class SqliteEngine(Engine):
    """The connections of one process to one file.

    Writes that free space may use the reserve. Point reads run on the loop.
    """

    for_update = ""  # one transaction writes at a time
    now_ms = "cast(unixepoch('subsec') * 1000 as integer)"

    def __init__(self, path: Path, *, shared: bool, metrics: Metrics = NO_METRICS) -> None:
        """Prepare the schema and open all connections; blocks.

        Raises:
            StartError: this version cannot use the file.
        """
        self._shared = shared
        self._metrics = metrics
        self._lock_fd = -1
        self._readers: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        try:
            # SQLite would give the file the mode of the umask.
            durable.create_file(path, b"")
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))  # its errors say more than SQLite's
            self._lock_fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._writer = _open_writer(path, self._lock_fd)
            self._loop_reader = _open_reader(path)
            for _ in range(_READER_THREADS):
                self._readers.put(_open_reader(path))
            self._reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        except (apsw.Error, OSError, StartError) as error:
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
            raise _start_error(path, error) from error
        self._loop_reader.set_busy_timeout(0)
        self._loop_reader.set_progress_handler(self._is_late, _CLOCK_STEPS)
        self._deadline_s = 0.0
        self._pool = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="sqlite-read")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve_writes, name="sqlite-write", daemon=True)
        self._thread.start()

    @override
    async def write(self, work: Work[T], *, frees_space: bool = False) -> T:
        if self._closed:
            raise StoreUnavailableError
        job = _Job(work, asyncio.get_running_loop(), frees_space=frees_space)
        with self._metrics.timed("metadata", "write"):
            self._jobs.put(job)
            return await job.future  # type: ignore[no-any-return]

    @override
    async def read(self, work: Work[T]) -> T:
        return await self._read_in_thread(partial(_in_one_state, work))

    @override
    async def read_rows(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        return await self._read_in_thread(lambda db: db.execute(sql, bindings).fetchall())

    @override
    async def read_few(self, sql: str, bindings: Sequence[Value]) -> list[Row]:
        if self._closed:
            raise StoreUnavailableError
        self._deadline_s = time.monotonic() + _LOOP_READ_S
        try:
            return self._loop_reader.execute(sql, bindings).fetchall()
        except (apsw.BusyError, apsw.InterruptError):
            return await self.read_rows(sql, bindings)
        except apsw.Error as error:
            raise self._counted("read", error) from error

    @override
    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self._close)

    async def _read_in_thread(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailableError
        with self._metrics.timed("metadata", "read"):
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, work)

    def _close(self) -> None:
        self._thread.join()
        self._pool.shutdown()
        for _ in range(_READER_THREADS):
            self._readers.get().close()
        self._loop_reader.close()
        self._writer.close()
        self._reserve.close()
        os.close(self._lock_fd)

    def _counted(self, operation: str, error: apsw.Error | OSError) -> MediaError:
        """Return the MediaError for an error, and count it."""
        failure = converted(error)
        self._metrics.store_failed("metadata", operation, failure.reason)
        return failure

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline_s

    def _read(self, work: Work[T]) -> T:
        db = self._readers.get()
        try:
            return work(db)
        except apsw.Error as error:
            raise self._counted("read", error) from error
        finally:
            self._readers.put(db)

    def _serve_writes(self) -> None:
        last = False
        while not last:
            batch, last = self._take()
            if batch:
                self._commit(batch)
                for job in batch:
                    if isinstance(job.error, apsw.Error | OSError):
                        self._counted("write", job.error)
                _deliver(batch)

    def _take(self) -> tuple[list[_Job], bool]:
        job = self._jobs.get()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) == _BATCH_LIMIT:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: Sequence[_Job]) -> None:
        try:
            with _flocked(self._lock_fd) if self._shared else contextlib.nullcontext():
                self._attempt(batch)
                freeing = [job for job in batch if job.frees_space]
                while (short := [job for job in freeing if job.lacks_space]) and (
                    self._reserve.release()
                ):
                    self._attempt(short)
                self._reserve.refill()
        except OSError as error:
            for job in batch:
                job.error = error

    def _attempt(self, batch: Sequence[_Job]) -> None:
        """Run the batch; if its transaction fails, each of its jobs has the error."""
        try:
            if not self._transact(batch, apart=False):
                self._transact(batch, apart=True)
        except (apsw.Error, OSError) as error:
            for job in batch:
                job.error = error

    def _transact(self, batch: Sequence[_Job], *, apart: bool) -> bool:
        """Run the batch in one transaction; return whether it is durable.

        Args:
            apart: Whether each job runs in a savepoint; then only failing jobs are undone.
        """
        db = self._writer
        db.execute("begin immediate")
        try:
            for job in batch:
                job.run(db, apart=apart)
                if job.error is not None and not apart:
                    return False
                if not db.in_transaction:
                    # SQLite rolled back the whole transaction, not just this job.
                    raise job.error if isinstance(job.error, apsw.Error) else apsw.AbortError
            started = time.perf_counter()
            db.execute("commit")
            self._metrics.committed(time.perf_counter() - started)
            return True
        finally:
            if db.in_transaction:
                db.execute("rollback")


class _Job:
    """One write that a task waits for."""

    def __init__(
        self, work: Work[Any], loop: asyncio.AbstractEventLoop, *, frees_space: bool
    ) -> None:
        self._work = work
        self.loop = loop
        self.frees_space = frees_space
        self.future: asyncio.Future[Any] = loop.create_future()
        self.error: BaseException | None = None
        self._result: Any = None

    @property
    def lacks_space(self) -> bool:
        """Return whether the job failed because the disk is full."""
        return isinstance(self.error, apsw.Error | OSError) and _is_full(self.error)

    def run(self, db: apsw.Connection, *, apart: bool) -> None:
        """Run the job, with `apart` in a savepoint. A cancelled job is not started."""
        self.error = None
        if self.future.cancelled():
            return
        if apart:
            db.execute("savepoint work")
        try:
            self._result = self._work(db)
        except BaseException as error:  # noqa: BLE001, raised again in the waiting task
            self.error = error
            if apart and db.in_transaction:
                db.execute("rollback to work")
        if apart and db.in_transaction:
            db.execute("release work")

    def resolve(self) -> None:
        """Wake the waiting task; runs on the loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self._result)
        elif isinstance(self.error, apsw.Error | OSError):
            error = converted(self.error)
            error.__cause__ = self.error
            self.future.set_exception(error)
        else:
            self.future.set_exception(self.error)


def _in_one_state(work: Work[T], db: apsw.Connection) -> T:
    db.execute("begin")
    try:
        return work(db)
    finally:
        db.execute("rollback")


def converted(error: apsw.Error | OSError) -> MediaError:
    """Return the MediaError for an error of SQLite or the operating system."""
    return StorageFullError() if _is_full(error) else StoreUnavailableError()


def _is_full(error: apsw.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) in _FULL_RESULTS


# A full disk under the shared-memory file and an exceeded quota are reported as plain I/O errors.
_FULL_RESULTS = (apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_WRITE)


def _start_error(path: Path, error: apsw.Error | OSError | StartError) -> StartError:
    if isinstance(error, StartError):
        return error
    if isinstance(error, OSError):
        return StartError.of(error)
    if isinstance(error, apsw.FullError):
        return StartError.about(path, error, "free some space")
    return StartError.about(path, error, "restore it from a backup")


def _deliver(batch: Sequence[_Job]) -> None:
    # If the loop is closed, no task waits any more.
    with contextlib.suppress(RuntimeError):
        batch[0].loop.call_soon_threadsafe(_resolve_all, batch)


def _resolve_all(batch: Sequence[_Job]) -> None:
    for job in batch:
        job.resolve()


def _open_writer(path: Path, lock_fd: int) -> apsw.Connection:
    db = _connect(path, _WRITER_TIMEOUT_MS)
    try:
        with _flocked(lock_fd):
            db.execute("pragma journal_mode = wal")
            # NORMAL loses acknowledged transactions in a power cut.
            db.execute("pragma synchronous = full")
            migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_reader(path: Path) -> apsw.Connection:
    db = _connect(path, _READER_TIMEOUT_MS)
    db.execute("select version from schema_version").fetchall()
    return db


def _connect(path: Path, busy_timeout_ms: int) -> apsw.Connection:
    db = apsw.Connection(os.fspath(path), statementcachesize=200)
    db.set_busy_timeout(busy_timeout_ms)
    # Otherwise SQLite plans a join again for every set of bindings: 25 us instead of 6.
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return db


@contextlib.contextmanager
def _flocked(fd: int) -> Iterator[None]:
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
