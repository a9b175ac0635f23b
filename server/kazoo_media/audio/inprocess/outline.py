"""The outline of audio of any length, in constant memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.jobs import MOST_STRETCHES, SHORTEST_STRETCH

_FEWEST_IN_A_ROW = 64  # below this, the overhead of numpy's rows exceeds the cost of halving


class Outline:
    """Lowest and highest sample of stretches of equal length; when full, pairs are merged."""

    def __init__(self) -> None:
        self._bounds = np.zeros((MOST_STRETCHES, 2), np.float32)
        self._count = 0
        self._length = SHORTEST_STRETCH
        self._open_low = self._open_high = 0.0
        self._open_frames = 0

    def feed(self, samples: NDArray[np.float32]) -> float:
        """Add the next samples: shape (frames, channels), full scale is 1.0.

        Returns:
            The largest absolute value.
        """
        at, peak = 0, 0.0
        while at < len(samples):
            if self._count == MOST_STRETCHES:
                self._halve()
            room = MOST_STRETCHES - self._count
            whole = 0 if self._open_frames else min((len(samples) - at) // self._length, room)
            if whole:
                end = at + whole * self._length
                peak = max(peak, self._add_whole(samples[at:end]))
            else:
                end = min(len(samples), at + self._length - self._open_frames)
                peak = max(peak, self._add_open(samples[at:end]))
            at = end
        return peak

    def peaks(self, gain: float = 1.0) -> bytes:
        """Return the pairs times `gain` as int8, lowest and highest in turn; full scale is 127."""
        bounds = self._bounds[: self._count]
        if self._open_frames:
            bounds = np.concatenate((bounds, [(self._open_low, self._open_high)]))
        levels = np.rint(bounds * (127 * gain))
        whole: bytes = np.clip(levels, -127, 127).astype(np.int8).tobytes()
        return whole

    def _add_whole(self, samples: NDArray[np.float32]) -> float:
        lows, highs = _extremes(samples.reshape(-1), self._length * samples.shape[1])
        new = self._bounds[self._count : self._count + len(lows)]
        new[:, 0] = lows
        new[:, 1] = highs
        self._count += len(lows)
        return max(-float(lows.min()), float(highs.max()))

    def _add_open(self, samples: NDArray[np.float32]) -> float:
        low, high = float(samples.min()), float(samples.max())
        peak = max(-low, high)
        if self._open_frames:
            low, high = min(low, self._open_low), max(high, self._open_high)
        self._open_low, self._open_high = low, high
        self._open_frames += len(samples)
        if self._open_frames == self._length:
            self._bounds[self._count] = low, high
            self._count += 1
            self._open_frames = 0
        return peak

    def _halve(self) -> None:
        pairs = self._bounds.reshape(-1, 2, 2)
        half = MOST_STRETCHES // 2
        self._bounds[:half, 0] = pairs[:, :, 0].min(axis=1)
        self._bounds[:half, 1] = pairs[:, :, 1].max(axis=1)
        self._count, self._length = half, self._length * 2


def _extremes(
    samples: NDArray[np.float32], length: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest and the highest of every `length` samples."""
    lows = highs = samples
    while length % 2 == 0 and length < _FEWEST_IN_A_ROW:
        lows = np.minimum(lows[::2], lows[1::2])
        highs = np.maximum(highs[::2], highs[1::2])
        length //= 2
    return lows.reshape(-1, length).min(axis=1), highs.reshape(-1, length).max(axis=1)
