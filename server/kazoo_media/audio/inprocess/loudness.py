"""Loudness while audio passes.

Source: ITU-R BS.1770-5, annex 1; EBU Tech 3341.

Theory of operation. The K-weighted energy of 100 ms is summed up in the spectrum of those 100 ms:
a filter in time would cost more and could not be vectorised. Cutting the blocks out without a
window moves a little energy between neighbouring frequencies, which changes the result by some
hundredths of a dB. Left and right go through one complex transform: the cross terms cancel, since
the weights are the same for positive and negative frequencies.
"""

from __future__ import annotations

import functools
import math
from array import array

import numpy as np
from numpy.typing import NDArray

_OFFSET_LUFS = -0.691
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = 10.0
_BLOCK_HOPS = 4  # 400 ms that overlap by three quarters
_SURROUND_WEIGHT = 1.41


class LoudnessMeter:
    """Integrated loudness of everything that was fed, in memory that hardly grows: 80 bytes a
    second.
    """

    def __init__(self, sample_rate_hertz: int, channel_count: int) -> None:
        self._hop = max(1, round(sample_rate_hertz / 10))
        self._rate = sample_rate_hertz
        self._channels = channel_count
        self._rest = np.zeros((0, channel_count), np.float32)
        self._energies = array("d")

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Measure the next samples: shape (frames, channels), full scale is 1.0."""
        whole = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        hops = len(whole) // self._hop
        self._rest = whole[hops * self._hop :].copy()
        if hops:
            shape = (hops, self._hop, self._channels)
            self._energies.frombytes(self._measure(whole[: hops * self._hop].reshape(shape)))

    def loudness_lufs(self) -> float | None:
        """Return the integrated loudness, None if nothing passed the absolute gate.

        What is shorter than one block of 400 ms is measured as one block.
        """
        energies = np.frombuffer(self._energies, np.float64)
        if len(energies) < _BLOCK_HOPS:
            blocks = self._of_short(energies)
        else:
            sums = np.concatenate(([0.0], np.cumsum(energies)))
            blocks = (sums[_BLOCK_HOPS:] - sums[:-_BLOCK_HOPS]) / _BLOCK_HOPS
        blocks = blocks[blocks > _power(_ABSOLUTE_GATE_LUFS)]
        if not len(blocks):
            return None
        gate = blocks.mean() * 10 ** (-_RELATIVE_GATE_LU / 10)
        return _OFFSET_LUFS + 10 * math.log10(blocks[blocks > gate].mean())

    def _of_short(self, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        frames = len(energies) * self._hop + len(self._rest)
        if not frames:
            return energies
        padded = np.zeros((1, self._hop, self._channels), np.float32)
        padded[0, : len(self._rest)] = self._rest
        last = np.frombuffer(self._measure(padded), np.float64)
        return np.array([(energies.sum() + last.sum()) * self._hop / frames])

    def _measure(self, hops: NDArray[np.float32]) -> bytes:
        """Return the energy of each hop, of all channels together, as float64."""
        if self._channels == 1:
            energies = _energies(hops[:, :, 0], self._rate)
        elif self._channels == 2:
            pairs = np.ascontiguousarray(hops).view(np.complex64)[:, :, 0]
            energies = _energies(pairs, self._rate)
        else:
            energies = np.zeros(len(hops))
            for channel, weight in enumerate(_channel_weights(self._channels)):
                if weight:
                    energies += weight * _energies(hops[:, :, channel], self._rate)
        return np.asarray(energies, np.float64).tobytes()


def _energies(hops: NDArray[np.float32] | NDArray[np.complex64], rate: int) -> NDArray[np.float64]:
    """Return the mean K-weighted energy of each row."""
    is_real = hops.dtype == np.float32
    spectra = np.fft.rfft(hops) if is_real else np.fft.fft(hops)
    parts = spectra.view(np.float32)
    parts *= parts
    weights = _weights(rate, hops.shape[1], is_real=is_real)
    return (parts @ weights).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _weights(rate: int, length: int, *, is_real: bool) -> NDArray[np.float32]:
    """Return the weight of each squared real and imaginary part in the mean energy of a block."""
    indices = np.arange(length // 2 + 1) if is_real else np.arange(length)
    folded = np.minimum(indices, length - indices)
    weights = k_weighting(folded * rate / length, rate) / length**2
    if is_real:
        weights *= np.where((indices == 0) | (2 * indices == length), 1, 2)
    return np.repeat(weights, 2).astype(np.float32)


def k_weighting(frequencies: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return the power gain at these frequencies: a shelf and a high-pass.

    Source: ITU-R BS.1770-5, annex 1, tables 1 and 2; those are for 48 kHz, the analogue prototypes
    behind them are by De Man, Evaluation of Implementations of the EBU R128 Loudness Measurement.
    """
    z = np.exp(-2j * np.pi * frequencies / rate)
    gain = np.ones(len(frequencies))
    for numerator, denominator in (_shelf(rate), _high_pass(rate)):
        top = numerator[0] + numerator[1] * z + numerator[2] * z**2
        bottom = denominator[0] + denominator[1] * z + denominator[2] * z**2
        gain *= np.abs(top / bottom) ** 2
    return gain


_Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]


def _shelf(rate: int) -> _Biquad:
    decibels, quality, hertz = 3.999843853973347, 0.7071752369554196, 1681.974450955533
    k = math.tan(math.pi * hertz / rate)
    high = 10 ** (decibels / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / quality + k * k
    return (
        (high + band * k / quality + k * k, 2 * (k * k - high), high - band * k / quality + k * k),
        (a0, 2 * (k * k - 1), 1 - k / quality + k * k),
    )


def _high_pass(rate: int) -> _Biquad:
    quality, hertz = 0.5003270373238773, 38.13547087602444
    k = math.tan(math.pi * hertz / rate)
    a0 = 1 + k / quality + k * k
    return (a0, -2 * a0, a0), (a0, 2 * (k * k - 1), 1 - k / quality + k * k)


def _channel_weights(channels: int) -> tuple[float, ...]:
    """Return left, right, centre, low-frequency effects (not counted), then what surrounds."""
    front = (1.0, 1.0, 1.0)
    if channels <= 3:
        return front[:channels]
    if channels == 4:
        return (1.0, 1.0, _SURROUND_WEIGHT, _SURROUND_WEIGHT)
    if channels == 5:
        return (*front, _SURROUND_WEIGHT, _SURROUND_WEIGHT)
    return (*front, 0.0) + (_SURROUND_WEIGHT,) * (channels - 4)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))
