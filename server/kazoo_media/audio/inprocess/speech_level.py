"""The active speech level: pauses do not count.

Source: ITU-T P.56, method B, followed in steps of 10 ms.
"""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.stages import NOTHING

_SMOOTHING_STEPS = 3.0  # 30 ms, twice
_HANGOVER_STEPS = 20  # 200 ms
_MARGIN_DB = 15.9
_LOWEST_DB, _HIGHEST_DB = -100.0, 10.0


class SpeechLevelMeter:
    """The active speech level so far, in 400 bytes of memory per second of audio."""

    def __init__(self, rate: int) -> None:
        self._step = rate // 100
        self._rest = NOTHING
        self._means = array("f")
        self._energy = 0.0

    def feed(self, mono: NDArray[np.float32]) -> None:
        """Measure the next samples: shape (frames, 1)."""
        samples = mono[:, 0]
        self._energy += float(np.dot(samples, samples))
        whole = np.concatenate((self._rest, samples))
        steps = len(whole) // self._step
        self._rest = whole[steps * self._step :].copy()
        rows = np.abs(whole[: steps * self._step]).reshape(steps, self._step)
        self._means.frombytes(rows.mean(axis=1, dtype=np.float32).tobytes())

    def level(self) -> float | None:
        """Return the level in dBFS; None if there is no speech."""
        envelope = _smoothed(np.frombuffer(self._means, np.float32))
        if not len(envelope) or not self._energy:
            return None
        low, high = _LOWEST_DB, _HIGHEST_DB
        while high - low > 0.01:
            threshold = (low + high) / 2
            level = self._level_above(envelope, threshold)
            if level is not None and level - threshold > _MARGIN_DB:
                low = threshold
            else:
                high = threshold
        return self._level_above(envelope, low)

    def _level_above(self, envelope: NDArray[np.float32], threshold_db: float) -> float | None:
        active = np.flatnonzero(envelope >= 10 ** (threshold_db / 20))
        if not len(active):
            return None
        gaps = np.diff(active, append=len(envelope))
        steps = int(np.minimum(gaps, _HANGOVER_STEPS + 1).sum())
        return 10 * math.log10(self._energy / (steps * self._step))


def _smoothed(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means after two exponential averages, computed as one short kernel."""
    times = np.arange(1, round(12 * _SMOOTHING_STEPS))
    kernel = times * np.exp(-times / _SMOOTHING_STEPS)
    smoothed = np.convolve(means, (kernel / kernel.sum()).astype(np.float32))
    return smoothed[: len(means)].astype(np.float32)
