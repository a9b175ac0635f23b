"""Levelling: reads the whole file before choosing one gain for it.

Theory of operation:

1. Incoming audio is measured and spooled to a file.
2. At the end the file is read back, changed and encoded.
3. If the gain would raise peaks over the ceiling, they are limited, which lowers the level. Then
   the result is also measured and the gain corrected before anything is encoded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from kazoo_media.audio.inprocess.encoders import Encoder
from kazoo_media.audio.inprocess.limiter import Limiter, PeakMeter
from kazoo_media.audio.inprocess.loudness import LoudnessMeter
from kazoo_media.audio.inprocess.sound_meter import SoundMeter
from kazoo_media.audio.inprocess.speech_level import SpeechLevelMeter
from kazoo_media.audio.inprocess.stages import NOTHING, Chain, Gain, Mono, Stage, decibels
from kazoo_media.audio.presets import CEILING_DB, Level, Scale

_READ_BYTES = 128 * 1024
_MOST_GAIN_DB = 30.0
_MOST_ROUNDS = 3
_GOOD_ENOUGH_DB = 0.3


_LevelMeter = LoudnessMeter | SpeechLevelMeter


class Leveller:
    """Audio that is spooled until its end.

    Attributes:
        meter: Measures the spooled audio.
    """

    def __init__(self, level: Level, rate: int, encoder: Encoder, spool_fd: int) -> None:
        """Spool the audio to the empty file `spool_fd`, 4 bytes per sample."""
        self._level = level
        self._rate = rate
        self._lost_db = -decibels(encoder.factor)
        self._ceiling_db = CEILING_DB - encoder.overshoot_db + self._lost_db
        self._spool_fd = spool_fd
        self._kept_bytes = 0
        self.meter = SoundMeter(rate, 1, math.inf)  # nothing is clipped before the gain
        self._speech = None if level.scale is Scale.LOUDNESS else SpeechLevelMeter(rate)
        self._peak = PeakMeter()

    def keep(self, samples: Mono) -> None:
        """Measure and spool the next samples."""
        self.meter.feed(samples[:, np.newaxis])
        if self._speech is not None:
            self._speech.feed(samples[:, np.newaxis])
        self._peak.feed(samples)
        rest = memoryview(samples.tobytes())
        while rest:
            written = os.pwrite(self._spool_fd, rest, self._kept_bytes)
            self._kept_bytes += written
            rest = rest[written:]

    @property
    def gain(self) -> float | None:
        """Return the factor for all samples; None if peaks are also limited."""
        return None if self._gain_db > self._most_gain_db else _factor(self._gain_db)

    def levelled(self) -> Iterator[Mono]:
        """Yield all audio at the target level."""
        gain_db = self._gain_db
        if self.gain is not None:
            yield from self._changed(Gain(gain_db))
            return
        for _ in range(_MOST_ROUNDS):
            meter = self._new_meter()
            for samples in self._changed(self._limited(gain_db)):
                meter.feed(samples[:, np.newaxis])
            missing_db = self._missing_db(meter) or 0.0
            gain_db = min(gain_db + missing_db, _MOST_GAIN_DB)
            if abs(missing_db) < _GOOD_ENOUGH_DB:
                break
        yield from self._changed(self._limited(gain_db))

    @cached_property
    def _gain_db(self) -> float:
        # Silence, which is below the gate of the meter, stays unchanged.
        return self._missing_db(self._speech or self.meter.loudness) or 0.0

    @property
    def _most_gain_db(self) -> float:
        return self._ceiling_db - decibels(self._peak.peak)

    def _limited(self, gain_db: float) -> Stage:
        return Chain((Gain(gain_db), Limiter(self._rate, self._ceiling_db)))

    def _changed(self, change: Stage) -> Iterator[Mono]:
        for samples in self._kept():
            yield change.process(samples, last=False)
        yield change.process(NOTHING, last=True)

    def _kept(self) -> Iterator[Mono]:
        at = 0
        while at < self._kept_bytes:
            data = os.pread(self._spool_fd, min(_READ_BYTES, self._kept_bytes - at), at)
            at += len(data)
            yield np.frombuffer(data, np.float32)

    def _missing_db(self, meter: _LevelMeter) -> float | None:
        level = meter.level()
        if level is None:
            return None
        return min(self._level.wanted_db + self._lost_db - level, _MOST_GAIN_DB)

    def _new_meter(self) -> _LevelMeter:
        return (
            LoudnessMeter(self._rate, 1) if self._speech is None else SpeechLevelMeter(self._rate)
        )


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
