"""Remove blobs that no document uses, in an order that cannot remove a live blob.

Theory of operation:

1. In one transaction, pending rows that no upload has refreshed within the pending grace period
   become dead. From then on the commit of such an upload is refused.
2. Blobs of rows that have been dead for the dead grace period are removed. The period is longer
   than the longest download, so a download can always reopen its blob.
3. Only then are the rows removed. A crash in between leaves a row without a file, which the next
   sweep removes, never a file without a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kazoo_media.blobs.store import BlobStore
from kazoo_media.errors import MediaError
from kazoo_media.metadata.store import BlobRows
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import BlobRow, unix_time_ms

_BATCH_ROWS = 100
_HOUR_MS = 3_600_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The result of one sweep.

    Attributes:
        expired: Blobs of abandoned uploads that became dead.
        removed: Blobs removed together with their rows.
        failed: Blobs that could not be removed; the next sweep tries again.
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
        clock: Callable[[], int] = unix_time_ms,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        """Sweep these stores.

        Args:
            pending_grace_ms: Must be longer than any pause between two refreshes of an upload.
            dead_grace_ms: Must be longer than the longest download.
            clock: Unix time in milliseconds.
        """
        self._metadata = metadata
        self._blobs = blobs
        self._pending_grace_ms = pending_grace_ms
        self._dead_grace_ms = dead_grace_ms
        self._clock = clock
        self._metrics = metrics

    async def sweep(self) -> SweepReport:
        """Expire abandoned uploads and remove dead blobs whose grace period is over.

        Raises:
            MediaError: the metadata store failed; completed steps are not undone.
        """
        now_ms = self._clock()
        expired = await self._metadata.expire_pending(now_ms - self._pending_grace_ms, now_ms)
        removed = failed = 0
        while rows := await self._metadata.list_dead(now_ms - self._dead_grace_ms, _BATCH_ROWS):
            deleted = [row for row in rows if await self._delete(row)]
            await self._metadata.forget_blobs(deleted)
            removed += len(deleted)
            if len(deleted) < len(rows):
                # The next query would return the same rows again.
                failed = len(rows) - len(deleted)
                break
        return SweepReport(expired, removed, failed)

    async def run(self, interval_s: float) -> None:
        """Sweep at once and then every `interval_s` seconds, until cancelled."""
        while True:
            try:
                report = await self.sweep()
            except MediaError as error:
                _log.warning("sweep failed", error=error.message, reason=error.reason)
                self._metrics.sweep_ended("failed")
            else:
                self._count(report)
                if report.expired or report.removed or report.failed:
                    _log.info(
                        "swept",
                        expired=report.expired,
                        removed=report.removed,
                        failed=report.failed,
                    )
            await asyncio.sleep(interval_s)

    def _count(self, report: SweepReport) -> None:
        self._metrics.swept("expired", report.expired)
        self._metrics.swept("removed", report.removed)
        self._metrics.swept("failed", report.failed)
        self._metrics.sweep_ended("done")

    async def _delete(self, row: BlobRow) -> bool:
        """Delete a blob and return whether that succeeded."""
        try:
            await self._blobs.delete(row.key)
        except MediaError as error:
            _log.warning("blob not removed", blob_key=row.key, reason=error.reason)
            return False
        return True
