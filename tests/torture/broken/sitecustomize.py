"""A worker that acknowledges before its transaction: with it the torture must find lost bytes."""

import asyncio
from typing import Any

from kazoo_media.recordings.flusher import Flusher


async def _flush(self: Any) -> None:
    self._wakes.clear()
    self._is_urgent.clear()
    waiting, self._waiting = self._waiting, {}
    taken = [(each, append) for each in waiting if (append := each.take()) is not None]
    for stream, append in taken:
        stream.acknowledge(append.change(stream.row)[0])
    await asyncio.sleep(1)
    if taken:
        await self._store.append_tails([append for _, append in taken])
    self._has_flushed.set()


Flusher._flush = _flush  # type: ignore[method-assign]
