"""Waveforms: the outline of audio, as players draw it.

The peaks are measured while content is converted, and kept with the blob. Of other audio they are
measured when somebody asks for the first time.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from weakref import WeakValueDictionary

from kazoo_media.audio.conversion import Conversion, ConversionOutcome
from kazoo_media.audio.convert.converters import Backends
from kazoo_media.audio.formats import AudioFormat, format_of
from kazoo_media.audio.inspect.sniff import SNIFF_BYTES, sniff
from kazoo_media.blobs.store import BlobReader
from kazoo_media.content.renditions import Renditions
from kazoo_media.errors import NoPeaksError, ValidationError, Violation
from kazoo_media.model import Media, Rendition
from kazoo_media.settings import NORMALIZE_EXECUTABLE, Settings

DEFAULT_BUCKETS = 800
MOST_BUCKETS = 2000


@dataclass(frozen=True, slots=True)
class Waveform:
    """Lowest and highest sample of stretches of equal length.

    Attributes:
        samples_per_bucket: Length of a stretch, samples of one channel at `sample_rate_hertz`.
        data: Lowest, highest in turn, over all channels; -127..127 is full scale.
    """

    sample_rate_hertz: int
    samples_per_bucket: int
    data: tuple[int, ...]

    @property
    def length(self) -> int:
        """Return the number of stretches."""
        return len(self.data) // 2


class Waveforms:
    """Returns waveforms of stored content."""

    def __init__(self, renditions: Renditions, settings: Settings, backends: Backends) -> None:
        self._renditions = renditions
        self._settings = settings
        self._backends = backends
        self._turn = asyncio.Semaphore(os.cpu_count() or 1)
        # Who asks for what is being measured waits for that, instead of measuring it again.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def waveform(self, media: Media, rendition: Rendition, buckets: int) -> Waveform:
        """Return the waveform of a rendition of a media, of at most so many stretches.

        Raises:
            ValidationError: the number of buckets is not 1..MOST_BUCKETS.
            NoPeaksError: the audio can not be measured; the text says why.
            StoreUnavailableError: of the stores.
        """
        check_buckets(buckets)
        key = rendition.blob_key
        rows = self._renditions.rows
        peaks = await rows.get_peaks(media.account_id, key)
        if peaks is None:
            async with self._locks.setdefault(key, asyncio.Lock()):
                peaks = await rows.get_peaks(media.account_id, key)
                if peaks is None:
                    async with self._turn:
                        peaks = await self._measured(rendition)
                    await rows.put_peaks(media.account_id, key, peaks)
        return bucketed(peaks, rendition, buckets)

    async def _measured(self, rendition: Rendition) -> bytes:
        async with await self._renditions.open(rendition) as reader:
            source = await _format_of(reader, rendition)
            executable = await self._settings.get(NORMALIZE_EXECUTABLE)
            outcome = await _measure(reader, self._backends.measure(source, executable))
            heard = outcome.before
            if outcome.another is not None:
                heard = (await _measure(reader, outcome.another())).before or heard
        if heard is None:
            raise NoPeaksError(outcome.error or "it could not be decoded")
        return heard.peaks


def check_buckets(buckets: int) -> None:
    """Check how many stretches somebody asks for.

    Raises:
        ValidationError: not 1..MOST_BUCKETS.
    """
    if 1 <= buckets <= MOST_BUCKETS:
        return
    code, words, bound = "minimum", "at least", 1
    if buckets > MOST_BUCKETS:
        code, words, bound = "maximum", "at most", MOST_BUCKETS
    extra = {"target": bound, "value": buckets}
    raise ValidationError([Violation("buckets", code, f"Value must be {words} {bound}", extra)])


async def _format_of(reader: BlobReader, rendition: Rendition) -> AudioFormat:
    chunks = reader.read(0, min(SNIFF_BYTES, reader.size_bytes))
    head = b"".join([chunk async for chunk in chunks])
    found = sniff(head).format or format_of(rendition.content_type)
    if found is None:
        raise NoPeaksError(f"{rendition.content_type} is not known")
    return found


async def _measure(reader: BlobReader, measurement: Conversion) -> ConversionOutcome:
    async with measurement:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_ended(measurement.output()))
            async for chunk in reader.read(0, reader.size_bytes):
                await measurement.feed(chunk)
            await measurement.finish()
        return await measurement.outcome()


async def _ended(output: AsyncIterator[bytes]) -> None:
    async for _ in output:
        pass


def bucketed(peaks: bytes, rendition: Rendition, most: int) -> Waveform:
    """Return the waveform in coarser stretches, each of a whole number of samples."""
    pairs = memoryview(peaks).cast("b")
    count = len(pairs) // 2
    facts = rendition.facts
    rate = facts.sample_rate_hertz or 8000
    samples = max(1, round((facts.duration_ms or 0) * rate / 1000))
    per_bucket = math.ceil(samples / most)
    data: list[int] = []
    for bucket in range(math.ceil(samples / per_bucket) if count else 0):
        first = min(count - 1, bucket * per_bucket * count // samples)
        behind = min(count, math.ceil((bucket + 1) * per_bucket * count / samples))
        stretch = pairs[2 * first : 2 * max(behind, first + 1)]
        data += (min(stretch[::2]), max(stretch[1::2]))
    return Waveform(rate, per_bucket, tuple(data))
