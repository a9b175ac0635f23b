"""Files, opened off the event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO, Literal


async def open_file(path: Path, mode: Literal["rb", "xb"]) -> BinaryIO:
    """Return an open file. A task that is cancelled meanwhile leaves none open.

    Raises:
        OSError: it can not be opened.
    """
    opening: asyncio.Future[BinaryIO] = asyncio.ensure_future(asyncio.to_thread(path.open, mode))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        (await opening).close()  # a thread that has begun ends
        raise
