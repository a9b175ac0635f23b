"""A transfer: the way of one upload, or of a stored original, to durable, not yet live renditions.

A stored original is transferred when it is normalized again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from kazoo_media.audio.conversion import Conversion, ConversionOutcome, Refusal, Start, Started
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.inspect.plausibility import covers
from kazoo_media.audio.inspect.wav import repaired_head
from kazoo_media.audio.jobs import Report, Sound
from kazoo_media.blobs.store import blob_key_beside, new_blob_key
from kazoo_media.content.intake import Intake
from kazoo_media.content.normalization import Normalization
from kazoo_media.content.rendition_writer import RenditionWriter, publish_renditions
from kazoo_media.content.renditions import Renditions, audible
from kazoo_media.errors import MediaError, StoreUnavailableError
from kazoo_media.model import Content, Rendition, RenditionKind, unix_time_ms

_TOUCH_INTERVAL_S = 600
"""Interval at which a running upload refreshes its intent rows; the sweeper waits longer."""


@dataclass(frozen=True, slots=True)
class Received:
    """The result of a transfer: content with durable blobs, and the conversion's document keys."""

    content: Content
    outcome: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Converted:
    """The result of a conversion.

    Attributes:
        writer: Has the output to be published; None if the conversion failed.
        result: The report of the conversion; None if none was started.
    """

    writer: RenditionWriter | None = None
    result: ConversionOutcome | None = None

    @property
    def fallback(self) -> Start | None:
        """Return a conversion that may succeed where this one failed."""
        return None if self.result is None else self.result.fallback

    @property
    def ending(self) -> str:
        """Return how the conversion ended, as it is counted."""
        if self.writer is not None:
            return "converted"
        return "failed" if self.fallback is None else "retried"

    @property
    def before(self) -> Sound | None:
        """Return the measurement of the input, or None."""
        return None if self.result is None else self.result.report.before

    @property
    def outcome(self) -> dict[str, str]:
        """Return the document keys of the conversion."""
        if self.result is None:
            return {}
        report = self.result.report
        if report.error is not None:
            return {"normalization_error": report.error}
        warnings = "; ".join(report.warnings)
        return {"normalization_warning": warnings} if warnings else {}

    def rendition(self, normalization: Normalization | None) -> Rendition | None:
        """Return the published rendition."""
        if self.writer is None or self.result is None or normalization is None:
            return None
        rendition = Rendition(
            RenditionKind.NORMALIZED,
            self.writer.key,
            normalization.target.content_type,
            self.writer.size_bytes,
            self.writer.sha256,
            self.result.facts,
            normalization.fingerprint,
        )
        return with_sound(rendition, self.result.report.after)


class Transfer:
    """One transfer into the blob store.

    It ends with a commit of the result of `run` or `run_again`, or with `discard`. Bytes from a
    client are stored unchanged; `repairs_head` is for audio that the service makes itself: a WAV
    from a pipe gets its real sizes.
    """

    def __init__(
        self, renditions: Renditions, account_id: str, *, repairs_head: bool = False
    ) -> None:
        self._renditions = renditions
        self._account_id = account_id
        self._repairs_head = repairs_head
        self._original_key = new_blob_key()
        self._normalized_key = blob_key_beside(self._original_key)
        self._begun_keys: Sequence[str] = ()
        self._writers: list[RenditionWriter] = []
        self._conversion: Conversion | None = None

    async def run(
        self,
        intake: Intake,
        head: Head,
        source_format: AudioFormat,
        content_type: str,
        normalization: Normalization | None,
    ) -> Received:
        """Store the original and, when normalization is on, the normalized rendition.

        Args:
            head: Read from the intake before.
            source_format: Format of the head.
            content_type: Type with which the original is served.

        Raises:
            MediaError: the intake or a store failed; the caller must still call `discard`.
        """
        keys = [self._original_key] + ([self._normalized_key] if normalization else [])
        received = await self._begun(
            keys,
            lambda tasks: self._receive(
                tasks, intake, head, source_format, content_type, normalization
            ),
        )
        if normalization is not None and received.content.normalized is None:
            # Else the row of a failed conversion looks like that of an upload that still runs.
            await self._renditions.rows.abandon_blobs(
                self._account_id, [self._normalized_key], unix_time_ms()
            )
        return received

    async def run_again(
        self,
        original: Rendition,
        head: Head,
        source_format: AudioFormat,
        normalization: Normalization,
    ) -> Received:
        """Convert a stored original again.

        The returned content has that original, with its measurement, and the new rendition.

        Raises:
            MediaError: a store failed; the caller must still call `discard`.
        """

        async def convert(tasks: asyncio.TaskGroup) -> Received:
            del tasks
            start = partial(normalization.start, source_format, head)
            converted = await self._convert_stored(normalization, start, original, head)
            content = _content(original, converted, normalization)
            return Received(content, converted.outcome)

        return await self._begun([self._normalized_key], convert)

    async def discard(self) -> None:
        """Stop the converter and remove the stored bytes unless they are live.

        They may be live because a cancelled commit may have succeeded. The sweeper would remove
        the bytes later. When a client disconnects, the upload first looks incomplete and is
        cancelled a moment later: the cancellation does not stop this, and is raised at its end.
        """
        discarding = asyncio.ensure_future(self._discard())
        cancellation: asyncio.CancelledError | None = None
        while not discarding.done():
            try:
                await asyncio.wait([discarding])
            except asyncio.CancelledError as error:
                cancellation = error
        discarding.result()
        if cancellation is not None:
            raise cancellation

    async def _discard(self) -> None:
        if self._conversion is not None:
            await self._conversion.kill()
        for writer in self._writers:
            await writer.discard()
        try:
            now_ms = unix_time_ms()
            keys = await self._renditions.rows.abandon_blobs(
                self._account_id, self._begun_keys, now_ms
            )
            for key in keys:
                await self._renditions.blobs.delete(key)
        except MediaError:
            return  # report the error that led here; the sweeper tries again

    async def _begun(
        self, keys: Sequence[str], work: Callable[[asyncio.TaskGroup], Awaitable[Received]]
    ) -> Received:
        """Return the result of `work`; its blobs have these keys."""
        self._begun_keys = keys
        await self._renditions.rows.begin_upload(self._account_id, keys, unix_time_ms())
        try:
            async with asyncio.TaskGroup() as tasks:
                alive = tasks.create_task(self._keep_alive())
                received = await work(tasks)
                alive.cancel()
        except BaseExceptionGroup as group:
            raise cause_of(group) from group
        return received

    async def _receive(
        self,
        tasks: asyncio.TaskGroup,
        intake: Intake,
        head: Head,
        source_format: AudioFormat,
        content_type: str,
        normalization: Normalization | None,
    ) -> Received:
        writer = self._new_writer(self._original_key, tasks, head_changes=self._repairs_head)
        meter = DurationMeter(source_format)
        streamed = await self._streamed(head, source_format, normalization)
        conversion = converting = None
        if normalization is not None and isinstance(streamed, Conversion):
            conversion = self._conversion = streamed
            converting = tasks.create_task(self._collect(conversion, normalization, tasks))
        await self._store(intake, head, writer, meter, conversion)
        converted = _refused(streamed, normalization) if converting is None else await converting
        finished = [each for each in (writer, converted.writer) if each is not None]
        await publish_renditions(self._renditions.blobs, finished)
        original = Rendition(
            RenditionKind.ORIGINAL,
            writer.key,
            content_type,
            writer.size_bytes,
            writer.sha256,
            meter.facts(),
        )
        start = converted.fallback
        if normalization is not None and not normalization.streams:
            start = partial(normalization.start, source_format, head)
        if normalization is not None and start is not None:
            converted = await self._convert_stored(normalization, start, original, head)
        return Received(_content(original, converted, normalization), converted.outcome)

    async def _streamed(
        self, head: Head, source_format: AudioFormat, normalization: Normalization | None
    ) -> Started | None:
        """Return the conversion that runs during the upload, or a refusal."""
        if normalization is None or not normalization.streams:
            return None
        return await normalization.start(source_format, head)

    async def _store(
        self,
        intake: Intake,
        head: Head,
        writer: RenditionWriter,
        meter: DurationMeter,
        conversion: Conversion | None,
    ) -> None:
        """Read the upload to its complete end and pass its bytes to the store and the converter."""
        while chunk := await intake.read():
            audio = head.audible(chunk, writer.size_bytes)
            await writer.write(chunk)
            meter.feed(audio)
            if conversion is not None and audio:
                await conversion.feed(audio)
        await writer.finish()
        if conversion is not None:
            await conversion.finish()
        intake.check_finish(writer.sha256)
        if not self._repairs_head:
            return
        repaired = repaired_head(head.data, writer.size_bytes)
        if repaired != head.data:
            await writer.overwrite_head(repaired)

    async def _convert_stored(
        self, normalization: Normalization, start: Start, original: Rendition, head: Head
    ) -> _Converted:
        """Convert from the stored original in this upload's turn, then by fallbacks if it fails."""
        async with normalization.turn():
            converted = await self._convert_blob(await start(), original, head, normalization)
            while (fallback := converted.fallback) is not None:
                started = await fallback()
                converted = await self._convert_blob(started, original, head, normalization)
            if converted.writer is not None:
                await publish_renditions(self._renditions.blobs, [converted.writer])
        return converted

    async def _convert_blob(
        self, conversion: Started, original: Rendition, head: Head, normalization: Normalization
    ) -> _Converted:
        if isinstance(conversion, Refusal):
            return _refused(conversion, normalization)
        self._conversion = conversion
        async with asyncio.TaskGroup() as tasks:
            collecting = tasks.create_task(self._collect(conversion, normalization, tasks))
            reader = await self._renditions.find(original)
            if reader is None:
                raise StoreUnavailableError
            async with reader:
                async for chunk in audible(reader, head):
                    await conversion.feed(chunk)
            await conversion.finish()
        return collecting.result()

    async def _collect(
        self, conversion: Conversion, normalization: Normalization, tasks: asyncio.TaskGroup
    ) -> _Converted:
        """Store the converter's output without publishing it, and count the conversion."""
        result = "cancelled"
        try:
            converted = await self._collected(conversion, normalization, tasks)
            result = converted.ending
        finally:
            normalization.count(conversion, result)
        return converted

    async def _collected(
        self, conversion: Conversion, normalization: Normalization, tasks: asyncio.TaskGroup
    ) -> _Converted:
        changes = normalization.head_changes
        writer = self._new_writer(self._normalized_key, tasks, head_changes=changes)
        async for chunk in conversion.output():
            await writer.write(chunk)
        await writer.finish()
        outcome = await conversion.outcome()
        if outcome.report.error is not None or outcome.fallback is not None:
            await writer.discard()
            return _Converted(None, outcome)
        if outcome.repaired_head is not None:
            await writer.overwrite_head(outcome.repaired_head)
        return _Converted(writer, outcome)

    def _new_writer(
        self, key: str, tasks: asyncio.TaskGroup, *, head_changes: bool
    ) -> RenditionWriter:
        blobs = self._renditions.blobs
        self._writers.append(RenditionWriter(blobs, key, tasks, head_changes=head_changes))
        return self._writers[-1]

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_TOUCH_INTERVAL_S)
            now_ms = unix_time_ms()
            await self._renditions.rows.touch_blobs(self._account_id, self._begun_keys, now_ms)


def _content(
    original: Rendition, converted: _Converted, normalization: Normalization | None
) -> Content:
    return Content(with_sound(original, converted.before), converted.rendition(normalization))


def _refused(streamed: Started | None, normalization: Normalization | None) -> _Converted:
    """Return the result of a conversion that was not started, and count it."""
    if isinstance(streamed, Refusal) and normalization is not None:
        normalization.count(streamed, "refused")
        return _Converted(None, ConversionOutcome(Report(streamed.error)))
    return _Converted()


def with_sound(rendition: Rendition, sound: Sound | None) -> Rendition:
    """Return the rendition with its measurement if that covers all of it.

    A decoder may end where another one continues.
    """
    if sound is None or not covers(sound.duration_ms, rendition.facts.duration_ms):
        return rendition
    facts = replace(
        rendition.facts,
        loudness_lufs=sound.loudness_lufs,
        peak_dbfs=sound.peak_dbfs,
        clipped_samples=sound.clipped_samples,
    )
    return replace(rendition, facts=facts, peaks=sound.peaks)


def cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most useful failure in a group: callers get no exception groups."""
    for error in group.exceptions:
        cause = cause_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(cause, MediaError):
            return cause
    first = group.exceptions[0]
    return cause_of(first) if isinstance(first, BaseExceptionGroup) else first
