"""Remove blobs that nothing points to, in an order that can not remove what is live.

Theory of operation (storage rule 4):

1. In a transaction, pending rows that no upload has refreshed for the pending grace become dead.
   From here on the commit of such an upload is refused.
2. Blobs of rows that have been dead for the dead grace are unlinked. The grace is longer than the
   longest download, so no reader that has to open its blob again loses it.
3. Only then the rows are forgotten: a crash in between leaves a row without bytes, which the next
   sweep removes, never bytes without a row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kazoo_media.blobs.store import BlobStore
from kazoo_media.errors import MediaError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.model import BlobRow

_BATCH_ROWS = 100
_HOUR_MS = 3_600_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did.

    Attributes:
        expired: Uploads' blobs that became dead because nobody touched them.
        removed: Blobs unlinked and forgotten.
        failed: Blobs that could not be unlinked; the next sweep tries again.
    """

    expired: int
    removed: int
    failed: int


class Sweeper:
    """Sweeps one pair of stores; any number of processes may sweep the same pair."""

    def __init__(
        self,
        metadata: BlobRows,
        blobs: BlobStore,
        *,
        pending_grace_ms: int = _HOUR_MS,
        dead_grace_ms: int = 6 * _HOUR_MS,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Keep the stores.

        Args:
            metadata: Where the rows are.
            blobs: Where the bytes are.
            pending_grace_ms: Longer than any pause between two refreshes of a running upload.
            dead_grace_ms: Longer than the longest download.
            clock: Unix time in milliseconds.
        """
        self._metadata = metadata
        self._blobs = blobs
        self._pending_grace_ms = pending_grace_ms
        self._dead_grace_ms = dead_grace_ms
        self._clock = clock

    async def sweep(self) -> SweepReport:
        """Expire, unlink and forget everything that is due.

        Raises:
            MediaError: the metadata store failed; what was done stays done.
        """
        now_ms = self._clock()
        expired = await self._metadata.expire_pending(now_ms - self._pending_grace_ms, now_ms)
        removed = failed = 0
        while rows := await self._metadata.list_dead(now_ms - self._dead_grace_ms, _BATCH_ROWS):
            gone = [row for row in rows if await self._unlinked(row)]
            await self._metadata.forget_blobs(gone)
            removed += len(gone)
            if len(gone) < len(rows):
                # The same rows would come again at once.
                failed = len(rows) - len(gone)
                break
        return SweepReport(expired, removed, failed)

    async def run(self, interval_s: float) -> None:
        """Sweep at once and then every `interval_s` seconds, until cancelled."""
        while True:
            try:
                report = await self.sweep()
            except MediaError as error:
                _log.warning("sweep failed", error=error.message, reason=error.reason)
            else:
                if report.expired or report.removed or report.failed:
                    _log.info(
                        "swept",
                        expired=report.expired,
                        removed=report.removed,
                        failed=report.failed,
                    )
            await asyncio.sleep(interval_s)

    async def _unlinked(self, row: BlobRow) -> bool:
        try:
            await self._blobs.delete(row.key)
        except MediaError as error:
            _log.warning("blob not removed", blob_key=row.key, reason=error.reason)
            return False
        return True
