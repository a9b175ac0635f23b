"""Mixing of several channels to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.stages import Mono

_STRIDE = 31  # every 31st frame suffices to judge a window
_WINDOW_S = 0.25
_CANCELLED = 100  # 20 dB
_LOUD_ENOUGH = 1e-7  # mean square: -70 dB
_MUCH_QUIETER = 4  # 6 dB


class Downmix:
    """Returns the mean of the channels, or one channel where they cancel each other.

    It decides for each window of at most 0.25 s. Windows end with their block, because holding
    frames back would cost more than the rest of the mix.

    Attributes:
        cancels: Whether the channels have cancelled each other in any window.
    """

    def __init__(self, sample_rate_hertz: int, channel_count: int) -> None:
        self.cancels = False
        self._channels = channel_count
        self._weights = np.full(channel_count, 1 / channel_count, np.float32)
        self._window_frames = max(1, round(_WINDOW_S * sample_rate_hertz / _STRIDE)) * _STRIDE

    def process(self, frames: NDArray[np.float32]) -> Mono:
        """Return the mix of the next frames: shape (frames, channels) to (frames,)."""
        if self._channels == 1 or not len(frames):
            return frames[:, 0]
        mixed = frames @ self._weights
        starts = np.arange(0, len(frames), self._window_frames) // _STRIDE
        thin, thin_mix = frames[::_STRIDE].copy(), mixed[::_STRIDE].copy()
        power = np.add.reduceat(np.einsum("ij,ij->i", thin, thin), starts) / self._channels
        left = np.add.reduceat(thin_mix * thin_mix, starts)
        least = _LOUD_ENOUGH * self._window_frames / _STRIDE
        for each in np.flatnonzero((left * _CANCELLED < power) & (power > least)):
            self.cancels = True
            at = each * self._window_frames
            window = frames[at : at + self._window_frames]
            mixed[at : at + self._window_frames] = window[:, _loudest(window)]
        return mixed


def _loudest(frames: NDArray[np.float32]) -> int:
    """Return the loudest channel, or the first one if it is nearly as loud.

    The polarity of equally loud channels must not change from window to window.
    """
    power = np.square(frames).sum(axis=0)
    loudest = int(np.argmax(power))
    return 0 if power[0] * _MUCH_QUIETER >= power[loudest] else loudest
