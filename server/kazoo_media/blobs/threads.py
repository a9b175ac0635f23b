"""Blocking work of the blob stores in threads.

A cancelled task waits for its thread to end: a thread that continued would write into a descriptor
that is closed and may already belong to another file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from kazoo_media.errors import StorageFullError, StoreUnavailableError
from kazoo_media.metrics import Metrics

T = TypeVar("T")


async def finished(work: asyncio.Future[T]) -> T:
    """Return the result of work that must not be cancelled.

    A cancelled caller waits for the work to end as well; only then is it cancelled.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            # If cancelled again, the work still has to end first.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # asyncio would log one that nobody has taken
        raise


class Threads:
    """A thread pool. A task waits until its work ends, even if it is cancelled."""

    def __init__(
        self, metrics: Metrics, count: int, initializer: Callable[[], None] | None = None
    ) -> None:
        """Use up to `count` threads; each begins with a call of `initializer`."""
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(count, "blobs", initializer)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin work in a thread."""
        return self._pool.submit(work)

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in a thread and return its result."""
        return await self.result(self.submit(work))

    async def result(self, future: Future[T]) -> T:
        """Return the result of submitted work, once it has ended."""
        return await finished(asyncio.wrap_future(future))

    def close(self) -> None:
        """Wait for all threads to end; blocks."""
        self._pool.shutdown()

    @contextlib.contextmanager
    def converted_errors(
        self, operation: str, passing: type[OSError] | tuple[()] = ()
    ) -> Iterator[None]:
        """Raise the error of the store for an error of the system, and count it."""
        try:
            yield
        except passing:
            raise
        except (OSError, EOFError) as error:
            is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            failure = StorageFullError() if is_full else StoreUnavailableError()
            self._metrics.store_failed("blobs", operation, failure.reason)
            raise failure from error

    @contextlib.contextmanager
    def timed(self, operation: str, passing: type[OSError] | tuple[()] = ()) -> Iterator[None]:
        """Convert errors, and record how long an operation takes that has none."""
        with self.converted_errors(operation, passing), self._metrics.timed("blobs", operation):
            yield
