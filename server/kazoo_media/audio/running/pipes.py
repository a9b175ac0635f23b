"""The service's ends of a child's pipes, without copies and tasks.

asyncio's streams copy the bytes that a full pipe does not take; these streams wait instead.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from abc import abstractmethod
from contextlib import suppress

from typing_extensions import override

_READ_BYTES = 256 * 1024
_INPUT_PIPE_BYTES = 1024 * 1024
MEASURED_PIPE_BYTES = 256 * 1024
"""Size of a measurement's input pipe; the system limits the total size of a user's pipes."""
_OUTPUT_PIPE_BYTES = 256 * 1024


class _PipeEnd:
    """Attributes:
    moved_at: Loop time of the last byte that went through.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.moved_at = self._loop.time()

    @property
    def closed(self) -> bool:
        """Return whether this end is closed."""
        return self._fd is None

    def close(self) -> None:
        """Close this end and unblock a waiting task."""
        fd, self._fd = self._fd, None
        if fd is not None:
            self._unwatch(fd)
            os.close(fd)
        self._wake()

    async def _ready(self, fd: int) -> None:
        self._waiter = self._loop.create_future()
        self._watch(fd)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._fd is not None:
                self._unwatch(fd)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @abstractmethod
    def _watch(self, fd: int) -> None: ...

    @abstractmethod
    def _unwatch(self, fd: int) -> None: ...


class WritePipe(_PipeEnd):
    """The end that feeds a child."""

    async def write(self, data: bytes) -> None:
        """Write all of `data`, waiting while the pipe is full; close if the reader is gone."""
        view = memoryview(data)
        while len(view) > 0 and self._fd is not None:
            try:
                view = view[os.write(self._fd, view) :]
                self.moved_at = self._loop.time()
            except BlockingIOError:
                await self._ready(self._fd)
            except BrokenPipeError:
                self.close()

    @override
    def _watch(self, fd: int) -> None:
        self._loop.add_writer(fd, self._wake)

    @override
    def _unwatch(self, fd: int) -> None:
        self._loop.remove_writer(fd)


class ReadPipe(_PipeEnd):
    """The end that reads a child's output; initially closed if the child has no output."""

    async def read(self) -> bytes:
        """Return the available bytes, waiting for at least one; empty at the end or if closed."""
        while self._fd is not None:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                await self._ready(self._fd)
                continue
            self.moved_at = self._loop.time()
            return data
        return b""

    @override
    def _watch(self, fd: int) -> None:
        self._loop.add_reader(fd, self._wake)

    @override
    def _unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)


def input_pipe(size_bytes: int = _INPUT_PIPE_BYTES) -> tuple[int, int]:
    """Return the service's end and the child's end of an input pipe.

    By default it has room for one message of an upload. All ends of the service are non-blocking.
    """
    child_end, service_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(service_end, False)
    _enlarge(service_end, size_bytes)
    return service_end, child_end


def output_pipe() -> tuple[int, int]:
    """Return the service's end and the child's end of an output pipe."""
    service_end, child_end = error_pipe()
    _enlarge(service_end, _OUTPUT_PIPE_BYTES)
    return service_end, child_end


def error_pipe() -> tuple[int, int]:
    """Return the service's end and the child's end of a pipe for error messages."""
    service_end, child_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(service_end, False)
    return service_end, child_end


def _enlarge(fd: int, size_bytes: int) -> None:
    """Request a larger buffer; if the system refuses, the size stays."""
    with suppress(OSError):  # over /proc/sys/fs/pipe-user-pages-soft
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size_bytes)
