"""Making audio as loud as it should be: heard as a whole first, then changed by one gain.

Theory of operation. What arrives is measured and kept in a file.
1. Of an mp3 that gets long, what arrives is encoded as well, at a provisional gain that its frames
   can be raised from: then hardly anything is left to do at the end. See `provisional`. Whether
   that can succeed is looked at after half a minute, and whenever there is twice as much: then it
   is begun, begun anew because the level has become another, or given up.
2. Where it did not succeed, the file is read back at the end, changed and encoded.
3. Where the gain would lift peaks over the ceiling, they are limited, which takes some of the
   level: then what comes out is measured too, and the gain is corrected, before anything is
   encoded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from kazoo_media.audio.inprocess.encoders import Encoder, Mp3Encoder
from kazoo_media.audio.inprocess.limiter import Limiter, PeakMeter
from kazoo_media.audio.inprocess.loudness import LoudnessMeter
from kazoo_media.audio.inprocess.provisional import MOST_ERROR_DB, Provisional
from kazoo_media.audio.inprocess.sound_meter import SoundMeter
from kazoo_media.audio.inprocess.speech_level import SpeechLevelMeter
from kazoo_media.audio.inprocess.stages import NOTHING, Chain, Gain, Mono, Stage, decibels
from kazoo_media.audio.jobs import Sound
from kazoo_media.audio.presets import CEILING_DB, Level, Scale

_READ_BYTES = 128 * 1024
_SHORT_S = 30
"""Encoding this much at the end takes a few ms, less than encoding it twice while it comes."""
_MOST_GAIN_DB = 30.0
_SPEECH_GAIN_DB = 8.0
"""What is expected behind silence: speech of -27 LUFS."""
_MOST_ROUNDS = 3
_GOOD_ENOUGH_DB = 0.3


_LevelMeter = LoudnessMeter | SpeechLevelMeter


class Leveller:
    """Audio that waits for its end.

    Attributes:
        meter: What was kept sounds like this.
    """

    def __init__(self, level: Level, rate: int, encoder: Encoder, spool_fd: int) -> None:
        """Keep the audio in the empty file `spool_fd`: 4 bytes a sample."""
        self._level = level
        self._rate = rate
        self._lost_db = -decibels(encoder.factor)
        self._ceiling_db = CEILING_DB - encoder.overshoot_db + self._lost_db
        self._mp3 = encoder if isinstance(encoder, Mp3Encoder) else None
        self._provisional: Provisional | None = None
        self._spool_fd = spool_fd
        self._kept_bytes = 0
        self._look_at_bytes = _SHORT_S * rate * NOTHING.itemsize
        self.meter = SoundMeter(rate, 1, math.inf)  # nothing is clipped before the gain
        self._speech = None if level.scale is Scale.LOUDNESS else SpeechLevelMeter(rate)
        self._peak = PeakMeter()

    def keep(self, samples: Mono) -> None:
        """Take up the next samples."""
        self.meter.feed(samples[:, np.newaxis])
        if self._speech is not None:
            self._speech.feed(samples[:, np.newaxis])
        self._peak.feed(samples)
        rest = memoryview(samples.tobytes())
        while rest:
            written = os.pwrite(self._spool_fd, rest, self._kept_bytes)
            self._kept_bytes += written
            rest = rest[written:]
        if self._provisional is not None:
            self._provisional.encode(samples)
        if self._mp3 is not None and self._kept_bytes > self._look_at_bytes:
            self._look_at_bytes = 2 * self._kept_bytes
            self._provisional = self._promising(self._mp3)

    def write_encoded(self) -> Sound | None:
        """Write everything at the level that is wanted, if it was encoded while it came.

        Returns:
            What will be heard; None: nothing was written, all is still to be encoded.
        """
        if self._mp3 is None or self._provisional is None:
            return None
        self._provisional.finish()
        choice = self._provisional.choice(self._gain_db, self._most_gain_db)
        if choice is None:
            return None
        for frames in choice.frames():
            self._mp3.pass_on(frames)
        return self.meter.sound(_factor(choice.gain_db) * self._mp3.factor)

    @property
    def gain(self) -> float | None:
        """Return what everything is multiplied by; None: its peaks are limited, too."""
        return None if self._gain_db > self._most_gain_db else _factor(self._gain_db)

    def levelled(self) -> Iterator[Mono]:
        """Yield everything at the level that is wanted."""
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
        # Silence stays as it is: what is below the gate of the meter is none of our business.
        return self._missing_db(self._speech or self.meter.loudness) or 0.0

    @property
    def _most_gain_db(self) -> float:
        return self._ceiling_db - decibels(self._peak.peak)

    def _promising(self, mp3: Mp3Encoder) -> Provisional | None:
        """Return an encoder that has got everything so far; None: it would be in vain."""
        likely_db = self._missing_db(self._speech or self.meter.loudness)
        if likely_db is None:
            likely_db = _SPEECH_GAIN_DB
        most_db, begun = self._most_gain_db, self._provisional
        if likely_db > most_db + MOST_ERROR_DB:
            return None
        if begun is not None and begun.choice(likely_db, most_db) is not None:
            return begun
        provisional = Provisional(mp3, min(likely_db, most_db), self._spool_fd)
        for samples in self._kept():
            provisional.encode(samples)
        return provisional

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
