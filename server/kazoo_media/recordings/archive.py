"""What follows the finish of a recording: normalization or archiving, in the background.

Theory of operation:

1. The transaction that finishes an upload also notes that its recording is to be converted. The
   recorder has its answer by then; nothing that happens here can lose anything.
2. This process converts finished recordings one by one. What it forgets, because too many wait or
   because it ends, the upkeep finds by the note.
3. The conversion is that of `kazoo-media normalize`: one that is made already is left alone, so it
   can be repeated at any time.
4. The original is removed only if the settings say so, and only after the stored conversion was
   decoded and has the duration of the original. Then the conversion is the original.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import structlog

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.inspect.plausibility import is_too_long, is_too_short
from kazoo_media.audio.levels import has_level_warning
from kazoo_media.documents.rules import conversion_outcome, with_content_keys
from kazoo_media.errors import (
    ContentDamagedError,
    ContentNotFoundError,
    MediaError,
    MediaNotFoundError,
    NoPeaksError,
    NormalizationFailedError,
    NormalizationOffError,
    StaleRevisionError,
    UploadNotFoundError,
)
from kazoo_media.media.measuring import Measuring
from kazoo_media.media.renormalization import Renormalization
from kazoo_media.metadata.store import MediaStore
from kazoo_media.metadata.uploads import UploadRow, UploadStore
from kazoo_media.model import Content, Media, RenditionKind, next_revision, unix_time_ms
from kazoo_media.recordings import states
from kazoo_media.settings import ARCHIVE_PRESET, KEEP_ORIGINAL, NO_ARCHIVE, Settings

_MOST_WAITING = 1024
_PADDING_MS = 282
"""An MP3 encoder adds a delay of 1105 samples and up to a frame of 1152 at the end; not every
decoder leaves them out. That is the time at 8 kHz."""

_NOTHING_TO_DO = (MediaNotFoundError, ContentNotFoundError, NormalizationOffError)

_log = structlog.get_logger()


class Archive:
    """Converts finished recordings."""

    def __init__(
        self,
        uploads: UploadStore,
        media: MediaStore,
        renormalization: Renormalization,
        measuring: Measuring,
        settings: Settings,
    ) -> None:
        self._uploads = uploads
        self._media = media
        self._renormalization = renormalization
        self._measuring = measuring
        self._settings = settings
        self._waiting: asyncio.Queue[UploadRow] = asyncio.Queue(_MOST_WAITING)

    def soon(self, row: UploadRow) -> None:
        """Convert a finished recording in the background."""
        if row.is_archiving and not self._waiting.full():
            self._waiting.put_nowait(row)

    async def run(self) -> None:
        """Convert the recordings passed to `soon`, until cancelled."""
        while True:
            row = await self._waiting.get()
            try:
                await self.archive(row)
            except MediaError as error:
                _log.warning("recording not archived", upload_id=row.id, reason=error.reason)
            except Exception:  # noqa: BLE001 - a failure must not end the worker
                _log.exception("archiving failed unexpectedly", upload_id=row.id)

    async def archive(self, row: UploadRow) -> None:
        """Convert a finished recording as the settings say, and note that this is done.

        A conversion that fails is logged, and not tried again.

        Raises:
            MediaError: a store failed; the note stays.
        """
        try:
            await self._convert(WriteScope(row.account_id), row.media_id)
        except _NOTHING_TO_DO:
            pass
        except NormalizationFailedError as error:
            _log.warning("recording not converted", media_id=row.media_id, error=error.message)
        try:
            change = partial(states.archived, now_ms=unix_time_ms())
            await self._uploads.change_upload(row.account_id, row.id, change)
        except UploadNotFoundError:
            pass  # forgotten meanwhile

    async def _convert(self, scope: WriteScope, media_id: str) -> None:
        values = await self._settings.now()
        preset = values[ARCHIVE_PRESET]
        if preset == NO_ARCHIVE:
            await self._renormalization.normalize(scope, media_id)
            return
        made = await self._renormalization.normalize(scope, media_id, preset=preset)
        if values[KEEP_ORIGINAL]:
            return
        media = await self._measuring.measured(made.media)
        if await self._is_whole(media):
            await self._drop_original(media)

    async def _is_whole(self, media: Media) -> bool:
        """Return whether the stored conversion can be decoded to the duration of the original.

        It must not be much quieter either.
        """
        content = media.content
        if content is None or content.normalized is None:
            return False
        warning = media.document.get("normalization_warning", "")
        if has_level_warning(warning):
            _log.warning("original kept", media_id=media.id, error=warning)
            return False
        try:
            decoded_ms = await self._measuring.decoded_ms(media, content.normalized)
        except (NoPeaksError, ContentDamagedError) as error:
            _log.warning("original kept", media_id=media.id, error=error.message)
            return False
        expected_ms = content.original.facts.duration_ms
        if (
            expected_ms is None
            or is_too_short(decoded_ms, expected_ms)
            or is_too_long(decoded_ms - _PADDING_MS, expected_ms)
        ):
            _log.warning(
                "original kept", media_id=media.id, original_ms=expected_ms, archived_ms=decoded_ms
            )
            return False
        return True

    async def _drop_original(self, checked: Media) -> None:
        """Make the conversion the original, unless the media has other audio by now."""
        found: Media | None = checked
        while found is not None and _is_same(found.content, checked.content):
            after = _with_conversion_only(found)
            try:
                await self._media.commit_content(after, found.revision, after.modified_ms)
            except StaleRevisionError:
                found = await self._media.get_media(checked.account_id, checked.id)
            else:
                return


def _is_same(one: Content | None, other: Content | None) -> bool:
    return (
        one is not None
        and other is not None
        and [each.blob_key for each in one.renditions]
        == [each.blob_key for each in other.renditions]
    )


def _with_conversion_only(media: Media) -> Media:
    content = media.content
    if content is None or content.normalized is None:
        raise AssertionError("a media without a conversion")
    original = replace(content.normalized, kind=RenditionKind.ORIGINAL, normalization=None)
    content = Content(original)
    document = with_content_keys(media.document, content, conversion_outcome(media.document))
    return replace(
        media,
        document=document,
        content=content,
        revision=next_revision(media.revision),
        modified_ms=unix_time_ms(),
    )
