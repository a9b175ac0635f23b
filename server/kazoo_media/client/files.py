"""Files, opened off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

_Opened = TypeVar("_Opened")


async def create_file(path: Path) -> BinaryIO:
    """Create a file and return it, open for writing. If the task is cancelled, it is closed.

    Raises:
        OSError: the file exists or cannot be created.
    """
    return await _opened(lambda: path.open("xb"), lambda file: file.close())


async def open_with_head(path: Path, head_bytes: int) -> tuple[BinaryIO, int, bytes]:
    """Return an open file, its size and its first bytes. If the task is cancelled, it is closed.

    Most files are small: one change of threads is enough for them.

    Raises:
        OSError: the file cannot be read.
    """
    return await _opened(lambda: _open_with_head(path, head_bytes), lambda found: found[0].close())


def _open_with_head(path: Path, head_bytes: int) -> tuple[BinaryIO, int, bytes]:
    file = path.open("rb")
    try:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        return file, size_bytes, file.read(head_bytes)
    except BaseException:
        file.close()
        raise


async def _opened(open_: Callable[[], _Opened], close: Callable[[_Opened], None]) -> _Opened:
    opening = asyncio.ensure_future(asyncio.to_thread(open_))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        close(await opening)  # a thread cannot be cancelled
        raise
