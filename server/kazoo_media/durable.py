"""Files and folders that survive a power cut.

The one order that makes a file durable: write all bytes to a draft, fsync it, give it its name,
fsync the folder. In any other order a power cut could leave a name without bytes or bytes without a
name. Everything here blocks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_DRAFT = ".draft"


def publish(
    drafts: Iterable[tuple[int, Path, Path]],
    *,
    replacing: bool = True,
) -> None:
    """Make the bytes of complete drafts durable, then their names.

    Args:
        drafts: Descriptor, path and final path of each; nothing is left in a buffer.
        replacing: Whether a draft replaces a file; otherwise the file stays, and the draft as well.
    """
    folders = set()
    for descriptor, draft, path in drafts:
        os.fsync(descriptor)
        if replacing:
            os.rename(draft, path)
        else:
            with suppress(FileExistsError):
                os.link(draft, path)
        folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def replace_file(path: Path, data: bytes) -> None:
    """Create or replace a private file (mode 0600): a crash leaves the old content or the new."""
    _write(path, data, replacing=True)


def create_file(path: Path, data: bytes) -> None:
    """Create a private file (mode 0600) unless it exists: of several writers, one creates it."""
    if not path.exists():
        _write(path, data, replacing=False)


def make_folder(folder: Path) -> None:
    """Make a private folder (mode 0700) and its missing parents unless they exist.

    Raises:
        OSError: a part of the path is a file, or the folder cannot be made.
    """
    try:
        os.mkdir(folder, 0o700)
    except FileNotFoundError:
        make_folder(folder.parent)
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    # Also if it existed: a process that crashed here may have made it. Somebody else's folder may
    # be unreadable; its names are then durable already.
    with suppress(PermissionError):
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes have left. No process writes there now."""
    for draft in folder.glob(f"*{_DRAFT}"):
        draft.unlink(missing_ok=True)


def _write(path: Path, data: bytes, *, replacing: bool) -> None:
    descriptor, name = tempfile.mkstemp(_DRAFT, f"{path.name}.", path.parent)
    draft = Path(name)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        publish([(descriptor, draft, path)], replacing=replacing)
    finally:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
