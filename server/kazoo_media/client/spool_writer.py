"""Brings what all recorders of a client have taken to the disk, in one thread at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from contextlib import suppress

from kazoo_media.client.backlog import Backlog, Batch

_PERIOD_S = 0.25


class SpoolWriter:
    """Writes backlogs four times a second, and sooner when one asks for it.

    One change of threads for all of them: a thousand recorders would otherwise spend half a
    processor on changing threads.
    """

    def __init__(self) -> None:
        self._backlogs: set[Backlog] = set()
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Write soon. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._due.set)

    def add(self, backlog: Backlog) -> None:
        """Write a backlog from now on."""
        self._backlogs.add(backlog)
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run())

    async def remove(self, backlog: Backlog) -> None:
        """Write a backlog for the last time, also if the task is cancelled."""
        self._backlogs.discard(backlog)
        self._due.set()
        writing = self._loop.create_task(self._write_rest(backlog))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})  # a thread cannot be cancelled
            raise

    async def _run(self) -> None:
        while self._backlogs:
            await self._write(self._backlogs)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_S):
                    await self._due.wait()
            self._due.clear()

    async def _write_rest(self, backlog: Backlog) -> None:
        await self._write({backlog})
        while backlog.is_behind:
            await self._write({backlog})

    async def _write(self, backlogs: Set[Backlog]) -> None:
        async with self._writing:
            # Not before: a backlog that was removed meanwhile has no files any more.
            batches = [(each, batch) for each in backlogs if (batch := each.take()) is not None]
            if not batches:
                return
            errors = await asyncio.to_thread(_written, [batch for _, batch in batches])
            for (backlog, batch), error in zip(batches, errors, strict=True):
                backlog.stored(batch, error)


def _written(batches: Sequence[Batch]) -> list[OSError | None]:
    return [batch.write() for batch in batches]
