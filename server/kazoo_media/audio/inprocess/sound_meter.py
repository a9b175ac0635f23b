"""Measurement of streaming audio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.loudness import LoudnessMeter
from kazoo_media.audio.inprocess.outline import Outline
from kazoo_media.audio.inprocess.stages import decibels
from kazoo_media.audio.jobs import Sound


class SoundMeter:
    """Measures all values of a Sound.

    Attributes:
        loudness: The loudness meter.
    """

    def __init__(self, sample_rate_hertz: int, channel_count: int, highest: float) -> None:
        """Measure audio whose largest sample is `highest`, just below 1.0 for integers."""
        self._rate = sample_rate_hertz
        self._channels = channel_count
        self._highest = highest
        self.loudness = LoudnessMeter(sample_rate_hertz, channel_count)
        self._outline = Outline()
        self._frames = 0
        self._clipped = 0
        self._peak = 0.0

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Measure the next samples: shape (frames, channels), full scale is 1.0."""
        if not len(samples):
            return
        self._frames += len(samples)
        peak = self._outline.feed(samples)
        self._peak = max(self._peak, peak)
        if peak >= self._highest:
            self._clipped += int(np.count_nonzero(np.abs(samples) >= self._highest))
        self.loudness.feed(samples)

    def sound(self, gain: float = 1.0) -> Sound:
        """Return the measurement so far after a factor of `gain`; clipped samples stay clipped."""
        loudness = self.loudness.level(gain)
        return Sound(
            loudness_lufs=None if loudness is None else round(loudness, 2),
            peak_dbfs=round(decibels(self._peak * gain), 2) if self._peak else None,
            clipped_samples=self._clipped,
            duration_ms=round(self._frames * 1000 / self._rate),
            sample_rate_hertz=self._rate,
            channel_count=self._channels,
            peaks=self._outline.peaks(gain),
        )
