"""Counts the uploads that have not ended, for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from kazoo_media.errors import MediaError
from kazoo_media.metadata.uploads import UploadStore
from kazoo_media.metrics import Metrics
from kazoo_media.model import unix_time_ms

_log = structlog.get_logger()


class Census:
    """Counts the open uploads of one store, those of other nodes too."""

    def __init__(
        self, store: UploadStore, metrics: Metrics, clock: Callable[[], int] = unix_time_ms
    ) -> None:
        """Count for these metrics.

        Args:
            clock: Unix time in milliseconds.
        """
        self._store = store
        self._metrics = metrics
        self._clock = clock

    async def count(self) -> None:
        """Count once.

        Raises:
            MediaError: the store failed.
        """
        found = await self._store.count_open_uploads()
        oldest_s = 0.0
        if found.oldest_ms is not None:
            oldest_s = max(0.0, (self._clock() - found.oldest_ms) / 1000)
        self._metrics.uploads_open(found.states, found.tail_bytes, oldest_s)

    async def run(self, interval_s: float) -> None:
        """Count at once and then every `interval_s` seconds, until cancelled."""
        while True:
            try:
                await self.count()
            except MediaError as error:
                _log.warning("recordings not counted", error=error.message, reason=error.reason)
            await asyncio.sleep(interval_s)
