"""True peaks, and a limiter that keeps them below a ceiling inaudibly.

Theory of operation of the limiter. For each peak over the ceiling the excess in dB is computed.

1. Each sample gets the largest reduction that is needed within the next 5 ms.
2. From there the reduction falls by _RELEASE_DB_PER_S: `maximum.accumulate` of reduction plus time.
3. A mean over the last 5 ms smooths the attack. All values in it look at least as far ahead as the
   sample itself, so the mean is never less than the reduction that the sample needs.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from typing_extensions import override

from kazoo_media.audio.inprocess.stages import Mono, Stage

_PHASES = 4
_REACH = 12  # samples on either side of an interpolated one
_ROW_GAPS = 32
_AHEAD_S = 0.005
_RELEASE_DB_PER_S = 60.0
_MOST_OVER = 2.3  # the largest interpolated value between samples up to 1.0


class PeakMeter:
    """Measures the true peak, including values between samples.

    Source: ITU-R BS.1770-5, annex 2.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self._before = np.zeros(2 * _REACH, np.float32)

    def feed(self, samples: Mono) -> None:
        """Measure the next samples."""
        whole = np.concatenate((self._before, samples))
        self._before = whole[len(whole) - 2 * _REACH :].copy()
        # Interpolation is the most expensive step: only samples that can exceed the peak need it.
        if len(samples) and float(np.abs(whole).max()) * _MOST_OVER > self.peak:
            self.peak = max(self.peak, float(_between(whole).max()))


class Limiter(Stage):
    """Keeps true peaks below the ceiling."""

    def __init__(self, rate: int, ceiling_db: float) -> None:
        self._ceiling = 10 ** (ceiling_db / 20)
        self._ahead = round(rate * _AHEAD_S)
        self._release = _RELEASE_DB_PER_S / rate
        # Waiting samples, and those before them that interpolation needs.
        self._samples = np.zeros(2 * _REACH + self._ahead, np.float32)
        self._envelope = np.zeros(self._ahead + 1, np.float64)  # before the first that waits
        self._skip = self._ahead + _REACH

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        if last:
            samples = np.append(samples, np.zeros(self._ahead + _REACH, np.float32))
        whole = np.concatenate((self._samples, samples))
        self._samples = whole[len(whole) - 2 * _REACH - self._ahead :].copy()
        ready = whole[_REACH : len(whole) - _REACH - self._ahead]
        if not len(samples):
            return samples
        out = ready * self._gains(whole, len(ready))
        drop, self._skip = min(self._skip, len(out)), max(0, self._skip - len(out))
        return out[drop:]

    def _gains(self, whole: Mono, count: int) -> NDArray[np.float32] | np.float32:
        is_idle = not self._envelope.any()
        if is_idle and float(np.abs(whole).max()) * _MOST_OVER <= self._ceiling:
            return np.float32(1.0)
        over = _between(whole) / self._ceiling
        passes = np.flatnonzero(over > 1)
        if is_idle and not len(passes):
            return np.float32(1.0)
        needed = np.zeros_like(over)
        needed[passes] = 20 * np.log10(over[passes])  # few exceed it, and a logarithm is expensive
        reach = _largest_ahead(needed, self._ahead)[:count]
        slope = self._release * np.arange(1, count + 1)
        falling = np.maximum.accumulate(np.append(self._envelope[-1], reach + slope))[1:] - slope
        envelope = np.concatenate((self._envelope, np.maximum(falling, 0)))
        sums = np.cumsum(np.append(0.0, envelope))
        width = self._ahead + 1
        mean = (sums[width:] - sums[:-width]) / width
        self._envelope = envelope[len(envelope) - width :]
        gains: NDArray[np.float32] = np.exp((mean[1:] * (-math.log(10) / 20)).astype(np.float32))
        return gains


def _largest_ahead(values: NDArray[np.float64], ahead: int) -> NDArray[np.float64]:
    """Return for each value the maximum of itself and up to `ahead` following values."""
    largest, reach = values, 0
    while reach < ahead:
        more = min(reach + 1, ahead - reach)
        largest = np.maximum(largest[:-more], largest[more:])
        reach += more
    return largest


def _between(samples: Mono) -> NDArray[np.float64]:
    """Return the peak around each sample except the first and last _REACH.

    It is the maximum of the sample and of three interpolated values on either side.
    """
    peaks = np.abs(samples).astype(np.float64)
    inner = peaks[_REACH : len(samples) - _REACH].copy()
    there = np.abs(_interpolated(samples)).max(axis=0)
    np.maximum(inner, there[:-1], out=inner)
    np.maximum(inner, there[1:], out=inner)
    return inner


def _interpolated(samples: Mono) -> NDArray[np.float32]:
    """Return the interpolated values between samples: shape (places, gaps).

    Gap k lies between the samples k + _REACH - 1 and k + _REACH.
    """
    gaps = len(samples) - 2 * _REACH + 1
    rows = -(-gaps // _ROW_GAPS)
    padded = np.zeros(rows * _ROW_GAPS + 2 * _REACH - 1, np.float32)
    padded[: len(samples)] = samples
    reached = sliding_window_view(padded, _ROW_GAPS + 2 * _REACH - 1)[::_ROW_GAPS]
    values = (reached @ _interpolators()).reshape(rows, _PHASES - 1, _ROW_GAPS)
    return values.transpose(1, 0, 2).reshape(_PHASES - 1, -1)[:, :gaps]


@functools.cache
def _interpolators() -> NDArray[np.float32]:
    """Return the matrix that interpolates a row of gaps: sinc filters with a Kaiser window.

    A single matrix, because numpy multiplies matrices faster than it filters.
    """
    matrix = np.zeros((_ROW_GAPS + 2 * _REACH - 1, _PHASES - 1, _ROW_GAPS), np.float32)
    for phase in range(1, _PHASES):
        distance = np.arange(-_REACH + 1, _REACH + 1) - phase / _PHASES
        window = np.i0(6 * np.sqrt(np.maximum(0, 1 - (distance / _REACH) ** 2)))
        taps = np.sinc(distance) * window
        for gap in range(_ROW_GAPS):
            matrix[gap : gap + 2 * _REACH, phase - 1, gap] = taps / taps.sum()
    return matrix.reshape(len(matrix), -1)
