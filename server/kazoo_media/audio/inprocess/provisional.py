"""Encoding to mp3 before the gain is known.

Theory of operation. Two encoders get the same audio as it comes, at provisional gains half a step
of the gain of mp3 frames apart, a little below the one that is likely. When the gain is known, the
frames of one of them are raised by whole steps: what is heard is within a quarter of a step,
0.38 dB, of what is wanted, and else the same as if it had been encoded at that gain. What LAME
decides depends on the level very little.

What they make waits in the file that holds the audio, too: in memory three hours of it would take
86 MB, and a converter may open no other file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kazoo_media.audio.inprocess.encoders import Mp3Encoder
from kazoo_media.audio.inprocess.mp3_gain import (
    HIGHEST_GAIN,
    STEP_DB,
    Frames,
    frames_of,
    highest_gain,
    raised,
)
from kazoo_media.audio.inprocess.stages import Mono

_MIB = 1024 * 1024
_PLACES = (512 * _MIB, 768 * _MIB)
"""Where the two lie in the file: behind the longest audio at 8 kHz, 330 MiB; each takes 41 MiB, and
they end before lockdown.SPOOL_BYTES. What lies between is a hole, for which nothing is stored."""
_READ_BYTES = 128 * 1024
_LIKELY_STEPS, _FEWEST_STEPS, _MOST_STEPS = 2, -4, 12
"""By how many frames are raised if the likely gain was right, and in the extremes. The PESQ of
speech is the same up to 2 steps, 0.01 lower at 4, and 0.02 lower from 8 to 14."""
MOST_ERROR_DB = 0.4
"""The most that a gain may differ from the one that is wanted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the streams, and by how many steps its frames are raised.

    Attributes:
        gain_db: What all audio is multiplied by then.
    """

    gain_db: float
    stream: _Stream
    steps: int

    def frames(self) -> Iterator[bytes]:
        """Yield the whole mp3."""
        for frames in self.stream.frames():
            yield raised(frames, self.steps).tobytes()


class Provisional:
    """Audio encoded at a gain that can be chosen at its end."""

    def __init__(self, encoder: Mp3Encoder, likely_gain_db: float, spool_fd: int) -> None:
        """Begin.

        Args:
            encoder: Tells how to encode.
            likely_gain_db: The one that is chosen has to be within 9 dB below and 15 dB above it.
            spool_fd: A file that holds nothing behind the first 330 MiB.
        """
        lowest_db = likely_gain_db - _LIKELY_STEPS * STEP_DB
        self._streams = [
            _Stream(encoder, lowest_db - number * STEP_DB / 2, spool_fd, place)
            for number, place in enumerate(_PLACES)
        ]

    def encode(self, samples: Mono) -> None:
        """Take up the next samples."""
        for stream in self._streams:
            stream.encode(samples)

    def finish(self) -> None:
        """Encode what the encoders still hold. Nothing comes after it."""
        for stream in self._streams:
            stream.finish()

    def choice(self, wanted_db: float, most_db: float) -> Choice | None:
        """Return what comes nearest to a gain; None: nothing is near enough.

        Args:
            wanted_db: The gain.
            most_db: With more, peaks would pass the ceiling.
        """
        near = [
            choice
            for stream in self._streams
            for choice in stream.choices(wanted_db)
            if choice.gain_db <= most_db and abs(choice.gain_db - wanted_db) <= MOST_ERROR_DB
        ]
        return min(near, key=lambda choice: abs(choice.gain_db - wanted_db), default=None)


class _Stream:
    """One mp3, in a part of the file."""

    def __init__(self, encoder: Mp3Encoder, gain_db: float, spool_fd: int, place: int) -> None:
        self._lame = encoder.new_lame()
        self._gain_db = gain_db
        self._factor = np.float32(32768 * 10 ** (gain_db / 20))
        self._spool_fd = spool_fd
        self._start = self._end = place
        self._rest = b""  # the beginning of a frame
        self._highest = 0
        self._is_clipped = False

    def encode(self, samples: Mono) -> None:
        scaled = samples * self._factor
        np.rint(scaled, out=scaled)
        if scaled.max(initial=0) > 32767 or scaled.min(initial=0) < -32768:
            self._is_clipped = True
            np.clip(scaled, -32768, 32767, out=scaled)
        self._keep(self._lame.encode(scaled.astype(np.int16).tobytes()))

    def finish(self) -> None:
        self._keep(self._lame.flush())

    def choices(self, wanted_db: float) -> Iterator[Choice]:
        """Yield the next gain below and above, if the stream can have it."""
        if self._is_clipped:
            return
        below = int((wanted_db - self._gain_db) // STEP_DB)
        for steps in (below, below + 1):
            if _FEWEST_STEPS <= steps <= min(_MOST_STEPS, HIGHEST_GAIN - self._highest):
                yield Choice(self._gain_db + steps * STEP_DB, self, steps)

    def frames(self) -> Iterator[Frames]:
        """Yield what was encoded, read from the file."""
        at, rest = self._start, b""
        while at < self._end:
            data = os.pread(self._spool_fd, min(_READ_BYTES, self._end - at), at)
            at += len(data)
            frames = frames_of(rest + data)
            rest = (rest + data)[frames.size :]
            yield frames

    def _keep(self, data: bytes) -> None:
        whole = self._rest + data
        frames = frames_of(whole)
        self._rest = whole[frames.size :]
        self._highest = max(self._highest, highest_gain(frames))
        rest = memoryview(whole)[: frames.size]
        while rest:
            written = os.pwrite(self._spool_fd, rest, self._end)
            self._end += written
            rest = rest[written:]
