"""Mixing of several channels to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.stages import Mono

_WINDOW_S = 0.25
_CANCELLED = 100  # 20 dB
_LOUD_ENOUGH = 1e-7  # mean square: -70 dB
_MUCH_QUIETER = 4  # 6 dB


class Downmix:
    """Returns the mean of the channels, or one channel where they cancel each other.

    It decides for each window of at most 0.25 s. The windows of a block are equally long, because
    holding frames back for full ones would cost more than the rest of the mix.

    Attributes:
        cancels: Whether the channels have cancelled each other in any window.
    """

    def __init__(self, sample_rate_hertz: int, channel_count: int) -> None:
        self.cancels = False
        self._channels = channel_count
        self._weights = np.full(channel_count, 1 / channel_count, np.float32)
        self._window_frames = max(1, round(_WINDOW_S * sample_rate_hertz))

    def process(self, frames: NDArray[np.float32]) -> Mono:
        """Return the mix of the next frames: shape (frames, channels) to (frames,)."""
        if self._channels == 1 or not len(frames):
            return frames[:, 0]
        mixed = frames @ self._weights
        count = -(-len(frames) // self._window_frames)
        size = len(frames) // count
        power = _energies(frames, count, size) / self._channels
        left = _energies(mixed, count, size)
        for each in np.flatnonzero((left * _CANCELLED < power) & (power > _LOUD_ENOUGH * size)):
            self.cancels = True
            at = each * size
            end = at + size if each + 1 < count else len(frames)
            mixed[at:end] = frames[at:end, _loudest(frames[at:end])]
        return mixed


def _energies(samples: NDArray[np.float32], count: int, size: int) -> NDArray[np.float32]:
    """Return the sum of squares of each of `count` windows of `size` frames."""
    rows = samples[: count * size].reshape(count, -1)
    sums: NDArray[np.float32] = np.vecdot(rows, rows)
    return sums


def _loudest(frames: NDArray[np.float32]) -> int:
    """Return the loudest channel, or the first one if it is nearly as loud.

    The polarity of equally loud channels must not change from window to window.
    """
    power = np.square(frames).sum(axis=0)
    loudest = int(np.argmax(power))
    return 0 if power[0] * _MUCH_QUIETER >= power[loudest] else loudest
