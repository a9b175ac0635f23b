"""Ends what nobody else ends: commits of dead processes, and uploads without a recorder.

Theory of operation:

1. An upload that is committing and was not touched for a while belonged to a process that has died.
   It is committed again. If the process lives, two commit, and one of them is first.
2. An upload whose recorder was away for `recordings.idle_minutes` becomes an incomplete recording.
   Streams touch their uploads, so one that is open is never idle.
3. A finished recording that was to be converted, and was not for a while, is converted.
4. An upload that could not become a media stays for a week, so that somebody can fetch its bytes.
5. Rows of uploads that ended a week ago are forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from kazoo_media.errors import (
    MediaError,
    StorageFullError,
    StoreUnavailableError,
    UploadEndedError,
)
from kazoo_media.metadata.uploads import UploadRow, UploadState, UploadStore
from kazoo_media.model import unix_time_ms
from kazoo_media.recordings.recordings import Recordings
from kazoo_media.settings import IDLE_MINUTES, Settings

_MINUTE_MS = 60_000
_COMMIT_MS = 10 * _MINUTE_MS
"""A commit that takes longer is begun again beside the running one."""

_KEPT_MS = 7 * 24 * 60 * _MINUTE_MS
_BATCH_ROWS = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """The result of one run.

    Attributes:
        committed: Uploads that became a media, or were discarded as too short.
        archived: Finished recordings that were converted, or need not be.
        expired: Uploads that could not become a media and are discarded now.
        failed: Uploads that could not become a media now.
        forgotten: Rows of ended uploads that were removed.
    """

    committed: int = 0
    archived: int = 0
    expired: int = 0
    failed: int = 0
    forgotten: int = 0


class RecordingUpkeep:
    """Keeps the uploads of one store in order; any number of processes may do so."""

    def __init__(
        self,
        store: UploadStore,
        recordings: Recordings,
        settings: Settings,
        clock: Callable[[], int] = unix_time_ms,
    ) -> None:
        """Keep the uploads of this store.

        Args:
            store: Has the rows.
            recordings: Commits and discards.
            settings: Has the idle time.
            clock: Unix time in milliseconds.
        """
        self._store = store
        self._recordings = recordings
        self._settings = settings
        self._clock = clock

    async def tidy(self) -> UpkeepReport:
        """End all uploads that are due, and forget those that ended long ago.

        Raises:
            MediaError: a store failed; what was done counts.
        """
        now_ms = self._clock()
        idle_ms = await self._settings.get(IDLE_MINUTES) * _MINUTE_MS
        counts = dict.fromkeys(("committed", "archived", "expired", "failed"), 0)
        async for row in self._idle(now_ms - min(idle_ms, _COMMIT_MS)):
            result = await self._end(row, now_ms - row.touched_ms, idle_ms)
            if result:
                counts[result] += 1
        return UpkeepReport(**counts, forgotten=await self._store.forget_uploads(now_ms - _KEPT_MS))

    async def run(self, interval_s: float) -> None:
        """Tidy at once and then every `interval_s` seconds, until cancelled."""
        while True:
            try:
                report = await self.tidy()
            except MediaError as error:
                _log.warning("recordings not tidied", error=error.message, reason=error.reason)
            else:
                if report != UpkeepReport(forgotten=report.forgotten):
                    _log.info(
                        "recordings tidied",
                        committed=report.committed,
                        archived=report.archived,
                        expired=report.expired,
                        failed=report.failed,
                    )
            await asyncio.sleep(interval_s)

    async def _idle(self, touched_before_ms: int) -> AsyncIterator[UploadRow]:
        after = ("", "")
        while rows := await self._store.list_idle_uploads(touched_before_ms, after, _BATCH_ROWS):
            for row in rows:
                yield row
            after = rows[-1].account_id, rows[-1].id

    async def _end(self, row: UploadRow, untouched_ms: int, idle_ms: int) -> str:
        """End an upload if it is due; return what it counts as, "" if it is not due."""
        if row.is_archiving:
            return await self._archive(row) if untouched_ms > _COMMIT_MS else ""
        if row.state is UploadState.COMMITTING:
            is_due, keep = untouched_ms > _COMMIT_MS, True
        elif row.error:
            is_due, keep = untouched_ms > _KEPT_MS, False
        else:
            is_due, keep = untouched_ms > idle_ms, True
        if not is_due:
            return ""
        try:
            await self._recordings.finish_idle(row, "interrupted", keep=keep)
        except UploadEndedError:
            return ""  # somebody was faster
        except (StorageFullError, StoreUnavailableError):
            raise
        except MediaError as error:
            _log.warning(
                "recording not kept", upload_id=row.id, error=error.message, reason=error.reason
            )
            return "failed"
        return "committed" if keep else "expired"

    async def _archive(self, row: UploadRow) -> str:
        await self._recordings.archive(row)
        return "archived"
