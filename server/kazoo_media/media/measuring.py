"""Measuring: level and waveform of stored audio, found by decoding it.

Theory of operation:

1. Measurements that a converter made in passing come with the content and are not repeated.
2. After a commit the rest is measured in the background, one rendition at a time. If too many media
   are waiting, the newest is left out; a worker that ends forgets those that are waiting.
3. A caller that needs a missing measurement waits while it is made at once. Callers that need the
   same one share it.
4. Measurements are stored with the blobs and in the document, which keeps its revision.
5. They show whether a program has mixed channels that cancel each other to silence. Such audio is
   converted again from one channel.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import structlog

from kazoo_media.audio.conversion import ConversionOutcome, Refusal, Started
from kazoo_media.audio.convert.converters import Converters
from kazoo_media.audio.inspect.head import Head, as_typed
from kazoo_media.audio.jobs import Report, Sound
from kazoo_media.audio.levels import ONE_CHANNEL, has_level_warning, level_warning
from kazoo_media.audio.presets import PRESETS
from kazoo_media.blobs.store import BlobReader
from kazoo_media.content.renditions import Renditions, audible, head_of
from kazoo_media.content.transfer import cause_of, with_sound
from kazoo_media.documents.rules import conversion_outcome, with_content_keys
from kazoo_media.errors import (
    ContentDamagedError,
    MediaError,
    NoPeaksError,
    StaleRevisionError,
    StorageFullError,
    StoreUnavailableError,
)
from kazoo_media.metadata.store import MediaStore
from kazoo_media.metrics import Metrics
from kazoo_media.model import Content, Media, Rendition
from kazoo_media.settings import NORMALIZE_EXECUTABLE, Settings

_MOST_WAITING = 1024
_AGAIN_AFTER_S = 600.0
"""After a failure, reads of the document do not start a measurement for this long."""

_log = structlog.get_logger()


class Measuring:
    """Measures the renditions of stored media."""

    def __init__(
        self,
        store: MediaStore,
        renditions: Renditions,
        settings: Settings,
        converters: Converters,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._renditions = renditions
        self._settings = settings
        self._converters = converters
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_MOST_WAITING)
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)
        self._metrics = metrics
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._failed: dict[str, float] = {}  # loop time by blob key, the oldest first

    async def run(self, mend: Callable[[Media], Awaitable[object]]) -> None:
        """Measure the media passed to `soon`, until cancelled.

        Args:
            mend: Called with a media whose sound was lost when its channels were mixed.
        """
        while True:
            account_id, media_id = await self._waiting.get()
            self._metrics.queue_changed("background_measurement", -1)
            try:
                media = await self._store.get_media(account_id, media_id)
                if media is None:
                    continue
                for rendition in self._missing(media):
                    await self._once(media, rendition)
                media = await self._store.get_media(account_id, media_id)
                if media is not None and _has_silent_mix(media):
                    await mend(media)
            except MediaError as error:
                _log.info("a media was not measured", media_id=media_id, reason=str(error))
            except Exception:  # noqa: BLE001 - a failure must not end the worker
                _log.exception("measuring failed unexpectedly", media_id=media_id)

    def soon(self, media: Media) -> None:
        """Measure a media in the background if a measurement is missing."""
        if self._missing(media) and not self._waiting.full():
            self._waiting.put_nowait((media.account_id, media.id))
            self._metrics.queue_changed("background_measurement", 1)

    async def measured(self, media: Media) -> Media:
        """Return a media with the measurements of its renditions, as far as they are possible.

        Raises:
            StoreUnavailableError: the metadata store failed.
        """
        for rendition in self._missing(media):
            if self._failed_lately(rendition.blob_key):
                continue
            try:
                await self._once(media, rendition)
            except (NoPeaksError, StoreUnavailableError):
                self._note_failure(rendition.blob_key)
                continue
            except ContentDamagedError:
                self._note_failure(rendition.blob_key)
            media = await self._store.get_media(media.account_id, media.id) or media
        return await self._told(media)

    async def peaks(self, media: Media, rendition: Rendition) -> bytes:
        """Return the waveform of a rendition in the form of `Rendition.peaks`.

        Raises:
            NoPeaksError: the audio cannot be measured; the text says why.
            ContentDamagedError: the stored bytes are not those that were committed.
            StoreUnavailableError: a store failed.
        """
        peaks = await self._renditions.rows.get_peaks(media.account_id, rendition.blob_key)
        return peaks if peaks is not None else await self._once(media, rendition)

    async def decoded_ms(self, media: Media, rendition: Rendition) -> int:
        """Decode a stored rendition to its end and return its duration in milliseconds.

        Raises:
            NoPeaksError: it cannot be decoded; the text says why.
            ContentDamagedError: the stored bytes are not those that were committed.
            StoreUnavailableError: a store failed.
        """
        async with self._metrics.turn("measurement", self._turns):
            return (await self._sound(media, rendition)).duration_ms

    async def _once(self, media: Media, rendition: Rendition) -> bytes:
        """Return the waveform of a rendition; concurrent callers share one measurement.

        Raises:
            As `peaks`.
        """
        key = rendition.blob_key
        async with self._locks.setdefault(key, asyncio.Lock()):
            peaks = await self._renditions.rows.get_peaks(media.account_id, key)
            if peaks is None:
                async with self._metrics.turn("measurement", self._turns):
                    sound = await self._sound(media, rendition)
                peaks = sound.peaks
                await self._keep(media, key, sound)
        return peaks

    async def _keep(self, media: Media, key: str, sound: Sound) -> None:
        """Store the measurement, unless the media now has other audio."""
        found: Media | None = media
        while found is not None and found.content is not None:
            content = _with_sound(found.content, key, sound)
            if content is None or await self._put(found, content):
                return
            found = await self._store.get_media(media.account_id, media.id)

    async def _told(self, media: Media) -> Media:
        """Return a media whose document has the measurements of its blobs.

        A change of the document that began before the measurement has left them out.
        """
        content = media.content
        is_known = content is not None and content.served.facts.clipped_samples is not None
        if content is None or not is_known or "clipped_samples" in media.document:
            return media
        await self._put(media, content)
        return await self._store.get_media(media.account_id, media.id) or media

    async def _put(self, media: Media, content: Content) -> bool:
        """Store a media with more facts of its content; return False if it has changed.

        On a full disk nothing is stored.
        """
        document = with_content_keys(media.document, content, _outcome(media.document, content))
        after = replace(media, content=content, document=document)
        try:
            await self._renditions.rows.put_measured(after, media.document)
        except StaleRevisionError:
            return False
        except StorageFullError:
            for each in content.renditions:
                self._note_failure(each.blob_key)
        return True

    async def _sound(self, media: Media, rendition: Rendition) -> Sound:
        async with await self._renditions.open(media, rendition) as reader:
            source, head = as_typed(await head_of(reader), rendition.content_type)
            if source is None:
                raise NoPeaksError(f"{rendition.content_type} is an unknown format")
            executable = await self._settings.get(NORMALIZE_EXECUTABLE)
            started = await self._converters.measuring(source, executable, head)
            outcome = await _measure(reader, started, head)
            sound = outcome.report.before
            if outcome.fallback is not None:
                again = await _measure(reader, await outcome.fallback(), head)
                sound = again.report.before or sound
        if sound is None:
            raise NoPeaksError(outcome.report.error or "it could not be decoded")
        return sound

    def _missing(self, media: Media) -> list[Rendition]:
        """Return the renditions without measurement, the served one first."""
        renditions = media.content.renditions if media.content else ()
        if not self._converters.can_measure:
            return []
        return [each for each in renditions if each.facts.clipped_samples is None]

    def _failed_lately(self, key: str) -> bool:
        failed_at = self._failed.get(key)
        now = asyncio.get_running_loop().time()
        return failed_at is not None and now - failed_at < _AGAIN_AFTER_S

    def _note_failure(self, key: str) -> None:
        self._failed.pop(key, None)
        self._failed[key] = asyncio.get_running_loop().time()
        if len(self._failed) > _MOST_WAITING:
            del self._failed[next(iter(self._failed))]


def _outcome(document: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Return the keys about the conversion, with a warning if it made the audio much quieter."""
    outcome = conversion_outcome(document)
    known = outcome.get("normalization_warning", "")
    warning = _level_fall(content)
    if warning and not has_level_warning(known):
        outcome["normalization_warning"] = f"{known}; {warning}" if known else warning
    return outcome


def _level_fall(content: Content) -> str | None:
    """Return a remark if the conversion made the audio much quieter; None while nobody knows."""
    made, given = content.normalized, content.original.facts
    if made is None or None in (given.clipped_samples, made.facts.clipped_samples):
        return None
    preset = PRESETS.get((made.normalization or "").partition(" ")[0])
    if preset and preset.level and made.facts.loudness_lufs is not None:
        return None  # a preset that sets a level may lower it by any amount, but not to silence
    return level_warning(given.loudness_lufs, made.facts.loudness_lufs)


def _has_silent_mix(media: Media) -> bool:
    """Return whether one channel must be used instead of the mix of all, and is not yet."""
    content = media.content
    if content is None or content.normalized is None or _level_fall(content) is None:
        return False
    before, after = content.original.facts.channel_count, content.normalized.facts.channel_count
    if before is None or after is None or after >= before:
        return False
    return ONE_CHANNEL not in media.document.get("normalization_warning", "")


def _with_sound(content: Content, key: str, sound: Sound) -> Content | None:
    """Return the content with the measurement of one of its blobs; None if it has no such blob."""
    for each in content.renditions:
        if each.blob_key == key:
            # A partial waveform is better than none; partial figures would be wrong.
            measured = replace(with_sound(each, sound), peaks=sound.peaks)
            return replace(content, **{str(each.kind): measured})
    return None


async def _measure(reader: BlobReader, measurement: Started, head: Head) -> ConversionOutcome:
    if isinstance(measurement, Refusal):
        return ConversionOutcome(Report(measurement.error))
    async with measurement:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_ended(measurement.output()))
                async for chunk in audible(reader, head):
                    await measurement.feed(chunk)
                await measurement.finish()
        except BaseExceptionGroup as group:
            raise cause_of(group) from group
        return await measurement.outcome()


async def _ended(output: AsyncIterator[bytes]) -> None:
    async for _ in output:
        pass
