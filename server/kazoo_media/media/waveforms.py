"""Waveforms: the outline of audio, as players draw it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kazoo_media.documents.violations import too_high, too_low
from kazoo_media.errors import ValidationError
from kazoo_media.media.measuring import Measuring
from kazoo_media.model import Media, Rendition

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

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring

    async def waveform(self, media: Media, rendition: Rendition, buckets: int) -> Waveform:
        """Return the waveform of a rendition of a media in at most this many stretches.

        Raises:
            ValidationError: the number of buckets is not 1..MOST_BUCKETS.
            NoPeaksError: the audio cannot be measured; the text says why.
            ContentDamagedError: the stored bytes are not those that were committed.
            StoreUnavailableError: a store failed.
        """
        check_buckets(buckets)
        return bucketed(await self._measuring.peaks(media, rendition), rendition, buckets)


def check_buckets(buckets: int) -> None:
    """Check the requested number of stretches.

    Raises:
        ValidationError: not 1..MOST_BUCKETS.
    """
    if buckets < 1:
        raise ValidationError([too_low("buckets", 1, buckets)])
    if buckets > MOST_BUCKETS:
        raise ValidationError([too_high("buckets", MOST_BUCKETS, buckets)])


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
        end = min(count, math.ceil((bucket + 1) * per_bucket * count / samples))
        stretch = pairs[2 * first : 2 * max(end, first + 1)]
        data += (min(stretch[::2]), max(stretch[1::2]))
    return Waveform(rate, per_bucket, tuple(data))
