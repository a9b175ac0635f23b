"""Ends what nobody else ends: commits of dead processes, and uploads without a recorder.

Theory of operation:

1. An upload that is committing and was not touched for a while belonged to a process that has died.
   It is committed again. If the process lives, two commit, and one of them is first.
2. An upload whose recorder was away for `recordings.idle_minutes` becomes an incomplete recording.
   Streams touch their uploads, so one that is open is never idle.
3. A finished recording that was to be converted, and was not for a while, is converted.
4. Nothing is ended by one look at the clock: what is due must have been due a look earlier and not
   have been touched since. If the clock jumps, streams touch their uploads in between.
5. An upload that could not become a media is tried again whenever it was idle. What is refused a
   week after its last byte is discarded; until then somebody can fetch the bytes.
6. Rows of uploads that ended a week ago are forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from kazoo_media.errors import MediaError, UploadEndedError
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
        failed: Uploads that could not become a media or be converted now.
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
        self._due: dict[tuple[str, str], int] = {}

    async def tidy(self) -> UpkeepReport:
        """End all uploads that are due, now and a look ago; forget those that ended long ago.

        Raises:
            MediaError: the rows could not be read; what was done counts.
        """
        now_ms = self._clock()
        idle_ms = await self._settings.get(IDLE_MINUTES) * _MINUTE_MS
        counts = dict.fromkeys(("committed", "archived", "expired", "failed"), 0)
        before, self._due = self._due, {}
        async for row in self._idle(now_ms - min(idle_ms, _COMMIT_MS)):
            if not _is_due(row, now_ms - row.touched_ms, idle_ms):
                continue
            key = row.account_id, row.id
            self._due[key] = row.touched_ms
            if before.get(key) == row.touched_ms and (result := await self._tried(row, now_ms)):
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

    async def _tried(self, row: UploadRow, now_ms: int) -> str:
        """End an upload; return what it counts as, "" if somebody else was faster.

        A fault of one is not a fault of the others.
        """
        try:
            return await self._end(row, now_ms)
        except UploadEndedError:
            return ""
        except MediaError as error:
            _log.warning(
                "recording not kept", upload_id=row.id, error=error.message, reason=error.reason
            )
            return "failed"

    async def _end(self, row: UploadRow, now_ms: int) -> str:
        if row.is_archiving:
            await self._recordings.archive(row)
            return "archived"
        try:
            await self._recordings.finish_idle(row, "interrupted", keep=True)
        except MediaError:
            after = await self._store.get_upload(row.account_id, row.id)
            if after is None or not _has_expired(after, now_ms):
                raise
            await self._recordings.finish_idle(after, "interrupted", keep=False)
            return "expired"
        return "committed"


def _is_due(row: UploadRow, untouched_ms: int, idle_ms: int) -> bool:
    if row.is_archiving or row.state is UploadState.COMMITTING:
        return untouched_ms > _COMMIT_MS
    return untouched_ms > idle_ms


def _has_expired(row: UploadRow, now_ms: int) -> bool:
    """Return whether an upload was refused, and nothing of it is newer than a week."""
    is_refused = row.state is UploadState.INTERRUPTED and bool(row.error)
    return is_refused and now_ms - row.received_ms > _KEPT_MS
