"""The folder of one run: sockets, Envoy's configuration, counters."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kazoo_media.service.addresses import LONGEST_SOCKET_PATH
from kazoo_media.start_error import StartError

_LONGEST_NAME = "worker-63.sock"


@contextmanager
def runtime_folder(data_dir: Path, user_folder: Path | None) -> Iterator[Path]:
    """Make a private folder, which is removed at the end; the caller has the data folder's lock.

    Its path depends on the data folder alone, so a start removes what a killed service has left.

    Args:
        user_folder: XDG_RUNTIME_DIR, for a data folder whose path is too long for a socket.

    Raises:
        StartError: both paths are too long, or the folder cannot be made.
    """
    folder = _place(data_dir, user_folder)
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StartError.of(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def metrics_folder(runtime: Path) -> Path:
    """Return the folder of a run in which workers write their metrics."""
    return runtime / "metrics"


def _place(data_dir: Path, user_folder: Path | None) -> Path:
    places = [data_dir / "run"]
    if user_folder:
        digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()
        places.append(user_folder / f"kazoo-media-{digest[:16]}")
    for place in places:
        if len(os.fsencode(place / _LONGEST_NAME)) <= LONGEST_SOCKET_PATH:
            return place
    raise StartError.about(
        f"KAZOO_MEDIA_DATA_DIR={data_dir}",
        "the path is too long for unix sockets",
        "set it to a shorter path, or XDG_RUNTIME_DIR to a private folder with a short one",
    )
