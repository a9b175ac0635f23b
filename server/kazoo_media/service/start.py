"""Preparation of a start: the data folder, limit of open files, memory allocator."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from kazoo_media import durable
from kazoo_media.start_error import StartError

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "MALLOC_TOP_PAD_": str(1 << 20),
}
"""Environment of a worker; glibc reads it before Python starts. By default a worker returns the
memory of each message to the kernel and requests it again, and what one thread has freed is of no
use to the others: with one arena 32 stalled downloads take a third less."""

_log = structlog.get_logger()


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Make the data folder and hold its lock, which the kernel releases when the process ends.

    What killed processes have left in the folder is removed. A folder that other users can access
    is reported in the log.

    Raises:
        StartError: another service has the folder, or it cannot be used.
    """
    try:
        durable.make_folder(data_dir)
        file = (data_dir / "lock").open("w")
    except OSError as error:
        raise StartError.about(
            f"KAZOO_MEDIA_DATA_DIR={data_dir}",
            f"{error.strerror} ({error.filename})",
            "set it to a folder that the service can write to",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError.about(
                f"KAZOO_MEDIA_DATA_DIR={data_dir}",
                "in use by another `kazoo-media serve` or `kazoo-media worker`",
                "stop it, or set the variable to another folder",
            ) from None
        _report_access(data_dir)
        durable.remove_drafts(data_dir)
        shutil.rmtree(data_dir / "tmp", ignore_errors=True)
        yield


def _report_access(data_dir: Path) -> None:
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning(
            "other users can access the data folder",
            folder=str(data_dir),
            mode=f"{mode:04o}",
            remedy=f"chmod 700 {data_dir}",
        )


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
