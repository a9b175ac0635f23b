"""Waveforms: the outline of audio, as players draw it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kazoo_media.audio.jobs import SHORTEST_STRETCH
from kazoo_media.documents.large import in_thread
from kazoo_media.documents.violations import too_high, too_low
from kazoo_media.errors import ValidationError
from kazoo_media.media.measuring import Measuring
from kazoo_media.model import Media, Rendition

DEFAULT_BUCKETS = 800
MOST_BUCKETS = 20_000


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
        peaks = await self._measuring.peaks(media, rendition)
        return await in_thread(lambda: bucketed(peaks, rendition, buckets))


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
    """Return the waveform in coarser stretches, each of a whole number of samples.

    A stretch of the peaks counts for all buckets that it touches.
    """
    pairs = memoryview(peaks).cast("b")
    count = len(pairs) // 2
    facts = rendition.facts
    rate = facts.sample_rate_hertz or 8000
    samples = max(1, round((facts.duration_ms or 0) * rate / 1000))
    per_bucket = math.ceil(samples / most)
    buckets = math.ceil(samples / per_bucket) if count else 0
    stretches, span = _scale(count, samples, rate)
    data: list[int] = []
    for bucket in range(buckets):
        first = min(count - 1, bucket * per_bucket * stretches // span)
        end = min(count, -(-(bucket + 1) * per_bucket * stretches // span))
        end = count if bucket == buckets - 1 else max(end, first + 1)
        stretch = pairs[2 * first : 2 * end]
        data += (min(stretch[::2]), max(stretch[1::2]))
    return Waveform(rate, per_bucket, tuple(data))


def _scale(count: int, samples: int, rate: int) -> tuple[int, int]:
    """Return how many of `count` stretches span how many samples.

    The number of samples comes from a duration in milliseconds. If it does not fit the number of
    stretches, the decoder found another length, and the waveform is drawn over all of the audio.
    """
    slack = rate // 1000 + 1
    length = SHORTEST_STRETCH
    while length * count < samples - slack:
        length *= 2
    return (1, length) if (count - 1) * length < samples + slack else (count, samples)
