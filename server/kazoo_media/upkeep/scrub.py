"""Read every live blob from time to time and compare it with its digest.

Theory of operation:

1. The store knows when each blob was last checked, so a restart continues where the last process
   stopped. Blobs that were not checked for `blobs.scrub_days` are due, the longest unchecked first.
2. Blobs are read in the background of the blob store, and not faster than a fixed rate.
3. Damage is stored with the blob and shown in the document. Damaged blobs are checked again every
   hour, so that one that was restored is soon served again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from kazoo_media.blobs.store import BlobStore
from kazoo_media.content.damage import Damage
from kazoo_media.errors import MediaError
from kazoo_media.metadata.store import DamageRows
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import BlobRow, unix_time_ms
from kazoo_media.settings import SCRUB_DAYS, Settings
from kazoo_media.upkeep.examination import examine

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_BATCH_ROWS = 100
_BYTES_PER_S = 16 * 1024**2
_BYTES_BETWEEN_PAUSES = 4 * 1024**2
_BYTES_PER_BLOB = 64 * 1024
"""What opening and closing a blob costs a disk, as bytes."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """The result of one run.

    Attributes:
        checked: Blobs that were compared with their digests.
        damaged: Those of them that are not what was committed.
        failed: Blobs that could not be checked; the next run tries again.
    """

    checked: int = 0
    damaged: int = 0
    failed: int = 0


class Scrub:
    """Checks the blobs of one pair of stores; one process does so at a time."""

    def __init__(
        self,
        rows: DamageRows,
        blobs: BlobStore,
        settings: Settings,
        metrics: Metrics = NO_METRICS,
        *,
        clock: Callable[[], int] = unix_time_ms,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Check these stores.

        Args:
            clock: Unix time in milliseconds.
            pause: Waits for a number of seconds.
        """
        self._rows = rows
        self._blobs = blobs
        self._settings = settings
        self._damage = Damage(rows, metrics)
        self._clock = clock
        self._pause = pause
        self._unpaused_bytes = 0

    async def scrub(self) -> ScrubReport:
        """Check all blobs that are due.

        Raises:
            MediaError: the metadata store failed; completed checks count.
        """
        begun_ms = self._clock()
        checked = damaged = 0
        while rows := await self._due(begun_ms):
            done = []
            for row in rows:
                is_damaged = await self._check(row)
                if is_damaged is not None:
                    done.append(row)
                    damaged += is_damaged
            # Small blobs share a transaction; the time of a large one is soon worth storing.
            await self._rows.put_checked(done, self._clock())
            checked += len(done)
            if len(done) < len(rows):
                # The next query would return the same rows again.
                return ScrubReport(checked, damaged, len(rows) - len(done))
        return ScrubReport(checked, damaged)

    async def run(self, interval_s: float) -> None:
        """Check what is due at once and then every `interval_s` seconds, until cancelled."""
        while True:
            try:
                report = await self.scrub()
            except MediaError as error:
                _log.warning("scrub failed", error=error.message, reason=error.reason)
            else:
                if report != ScrubReport():
                    _log.info(
                        "scrubbed",
                        checked=report.checked,
                        damaged=report.damaged,
                        failed=report.failed,
                    )
            await asyncio.sleep(interval_s)

    async def _due(self, begun_ms: int) -> list[BlobRow]:
        """Return blobs that are due: one, or several that can be checked in about a minute."""
        days = await self._settings.get(SCRUB_DAYS)
        if days == 0:
            return []
        due = await self._rows.list_unchecked(begun_ms - _HOUR_MS, _BATCH_ROWS, damaged=True)
        if not due:
            before_ms = begun_ms - days * _DAY_MS
            due = await self._rows.list_unchecked(before_ms, _BATCH_ROWS, damaged=False)
        size_bytes = 0
        for count, row in enumerate(due, start=1):
            size_bytes += row.size_bytes or 0
            if size_bytes >= 60 * _BYTES_PER_S:
                return due[:count]
        return due

    async def _check(self, row: BlobRow) -> bool | None:
        """Return whether a blob is damaged; None: it could not be checked."""
        try:
            reader = await self._blobs.open(row.key, in_background=True)
        except MediaError as error:
            _log.warning("blob not checked", blob_key=row.key, reason=error.reason)
            return None
        finding = await examine(row, reader, after_bytes=self._slow_down)
        await self._slow_down(_BYTES_PER_BLOB)
        is_damaged = finding is not None
        if is_damaged or row.is_damaged:
            await self._damage.note_blob(row.account_id, row.key, is_damaged=is_damaged)
        return is_damaged

    async def _slow_down(self, size_bytes: int) -> None:
        """Wait as long as these bytes should take; the time of the read itself comes on top."""
        self._unpaused_bytes += size_bytes
        if self._unpaused_bytes >= _BYTES_BETWEEN_PAUSES:
            await self._pause(self._unpaused_bytes / _BYTES_PER_S)
            self._unpaused_bytes = 0
