"""Disk space that is kept for writes that free space: a file without content beside the database.

Theory of operation:

1. The file is allocated when the database is opened, and again as soon as there is space.
2. When the disk is full, a write that frees space releases a part of the file and is run again.
   Other writes get the error at once, so they cannot use up the reserve.
3. The parts are small: what one write leaves over, other programs may take.
4. The whole file is as large as the write-ahead log before a checkpoint plus the pages that such a
   checkpoint can add to the database. From then on both reuse their own space.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RESERVE_BYTES = 8 * 1024**2
_PART_BYTES = 64 * 1024


class Reserve:
    """One reserve file; processes that share it hold a lock while they call it. All calls block."""

    def __init__(self, path: Path) -> None:
        """Open the file and allocate it as far as there is space.

        Raises:
            OSError: the file cannot be opened.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.refill()

    def release(self) -> bool:
        """Free a part of the reserve; return whether there was one."""
        size_bytes = os.fstat(self._fd).st_size
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, max(0, size_bytes - _PART_BYTES))
            return size_bytes > 0
        return False

    def refill(self) -> None:
        """Allocate what is missing if the disk has space for all of it."""
        size_bytes = os.fstat(self._fd).st_size
        if size_bytes >= RESERVE_BYTES:
            return
        try:
            os.posix_fallocate(self._fd, 0, RESERVE_BYTES)
        except OSError:
            # A failed allocation may leave a part of the space behind.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size_bytes)

    def close(self) -> None:
        """Close the file; it keeps its space."""
        os.close(self._fd)
