"""The outline of audio of any length, in constant memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_STRETCHES = 4096
_FIRST_FRAMES = 8


class Waveform:
    """Lowest and highest sample of stretches of equal length; full, pairs of them become one."""

    def __init__(self) -> None:
        self._bounds = np.zeros((MOST_STRETCHES, 2), np.float32)
        self._count = 0
        self._length = _FIRST_FRAMES
        self._open_low = self._open_high = 0.0
        self._open_frames = 0

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Take up the next samples: shape (frames, channels), full scale is 1.0."""
        at = 0
        while at < len(samples):
            if self._count == MOST_STRETCHES:
                self._halve()
            room = MOST_STRETCHES - self._count
            whole = 0 if self._open_frames else min((len(samples) - at) // self._length, room)
            if whole:
                end = at + whole * self._length
                self._add_whole(samples[at:end].reshape(whole, -1))
            else:
                end = min(len(samples), at + self._length - self._open_frames)
                self._add_open(samples[at:end])
            at = end

    def peaks(self) -> bytes:
        """Return the pairs as int8, low and high in turn; full scale is 127."""
        bounds = self._bounds[: self._count]
        if self._open_frames:
            bounds = np.concatenate((bounds, [(self._open_low, self._open_high)]))
        return np.clip(np.rint(bounds * 127), -127, 127).astype(np.int8).tobytes()

    def _add_whole(self, stretches: NDArray[np.float32]) -> None:
        new = self._bounds[self._count : self._count + len(stretches)]
        stretches.min(axis=1, out=new[:, 0])
        stretches.max(axis=1, out=new[:, 1])
        self._count += len(stretches)

    def _add_open(self, samples: NDArray[np.float32]) -> None:
        low, high = float(samples.min()), float(samples.max())
        if self._open_frames:
            low, high = min(low, self._open_low), max(high, self._open_high)
        self._open_low, self._open_high = low, high
        self._open_frames += len(samples)
        if self._open_frames == self._length:
            self._bounds[self._count] = low, high
            self._count += 1
            self._open_frames = 0

    def _halve(self) -> None:
        pairs = self._bounds.reshape(-1, 2, 2)
        half = MOST_STRETCHES // 2
        self._bounds[:half, 0] = pairs[:, :, 0].min(axis=1)
        self._bounds[:half, 1] = pairs[:, :, 1].max(axis=1)
        self._count, self._length = half, self._length * 2
