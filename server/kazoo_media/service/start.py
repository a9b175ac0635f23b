"""Preparation of a start: lock of the data folder, limit of open files, memory allocator."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "MALLOC_TOP_PAD_": str(1 << 20),
}
"""Environment of a worker; glibc reads it before Python starts. By default a worker returns the
memory of each message to the kernel and requests it again, and what one thread has freed is of no
use to the others: with one arena 32 stalled downloads take a third less."""


class StartError(Exception):
    """The service cannot be started; the text says why."""


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Make the data folder and hold its lock, which the kernel releases when the process ends.

    Raises:
        StartError: another service has the folder, or it cannot be made.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (data_dir / "lock").open("w")
    except OSError as error:
        raise StartError(f"KAZOO_MEDIA_DATA_DIR={str(data_dir)!r}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"{data_dir} is in use by another `kazoo-media serve` or `kazoo-media worker`: "
                "stop it, or set KAZOO_MEDIA_DATA_DIR to another folder"
            ) from None
        yield


def permit_many_files() -> None:
    """Raise the limit of open files to the system's maximum: every call has a connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def restart_with_allocator() -> None:
    """Execute this program again in the same process unless its environment has `ALLOCATOR`."""
    missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    if missing:
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **missing})  # noqa: S606 - no shell
