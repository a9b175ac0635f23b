"""Preparation of a start: the data folder and the limit of open files."""

from __future__ import annotations

import fcntl
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from kazoo_media import durable
from kazoo_media.start_error import StartError

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
