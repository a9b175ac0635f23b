"""Loudness of streaming audio.

Source: ITU-R BS.1770-5, annex 1; EBU Tech 3341.

Theory of operation. The K-weighting filter attenuates low frequencies and leaves high ones
unchanged, so a hop of 100 ms is measured in two parts.

1. Means of neighbouring frames, at about 7 kHz, contain the low frequencies. The spectrum of their
   differences is weighted: without a window, the spectrum of the means themselves would spread a
   strong hum over all frequencies.
2. The means lack the high frequencies, whose energy is the sum of squares of all frames minus that
   of the means. Part 1 corrects the attenuation of the frequencies between by the means.

Left and right go through one complex transform: their cross terms cancel, as the weights of
positive and negative frequencies are equal. The total error is less than 0.1 LU.
"""

from __future__ import annotations

import functools
import math
from array import array

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.inprocess.stages import SINGLE

_OFFSET_LUFS = -0.691
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = 10.0
_BLOCK_HOPS = 4  # blocks of 400 ms that overlap by three quarters
_ENOUGH_HERTZ = 7000
_HIGH = 10 ** (
    0.05 / 10
)  # compensates for aliasing in the means, which is counted as low frequencies
_REFERENCE_RATE = 48_000
_LARGEST_POWERS = (2 * 3 * 5 * 7 * 11) ** 16
_SURROUND_WEIGHT = 1.41


class LoudnessMeter:
    """Integrated loudness of the audio so far, in 80 bytes of memory per second of audio."""

    def __init__(self, sample_rate_hertz: int, channel_count: int) -> None:
        self._step = max(1, sample_rate_hertz // _ENOUGH_HERTZ)
        self._hop = _quick_length(round(sample_rate_hertz / 10 / self._step)) * self._step
        self._channels = channel_count
        self._filters = [
            _Filter(sample_rate_hertz, self._hop, self._step, is_real=channel_count != 2)
            for _ in range(1 if channel_count == 2 else channel_count)
        ]
        self._rest = np.zeros((0, channel_count), np.float32)
        self._energies = array("d")

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Measure the next samples: shape (frames, channels), full scale is 1.0."""
        whole = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        hops = len(whole) // self._hop
        self._rest = whole[hops * self._hop :].copy()
        if hops:
            self._energies.frombytes(self._measure(whole[: hops * self._hop]).tobytes())

    def level(self, gain: float = 1.0) -> float | None:
        """Return the integrated loudness in LUFS after a factor of `gain`.

        None: all audio is below the absolute gate. Audio shorter than one block of 400 ms is
        measured as one block. An incomplete last hop does not count, as in the standard.
        """
        energies = np.frombuffer(self._energies, np.float64)
        if not len(energies):
            padded = np.zeros((self._hop, self._channels), np.float32)
            padded[: len(self._rest)] = self._rest
            blocks = self._measure(padded) * (self._hop / max(1, len(self._rest)))
        elif len(energies) < _BLOCK_HOPS:
            blocks = energies.mean(keepdims=True)
        else:
            sums = np.concatenate(([0.0], np.cumsum(energies)))
            blocks = (sums[_BLOCK_HOPS:] - sums[:-_BLOCK_HOPS]) / _BLOCK_HOPS
        blocks = blocks * gain**2
        blocks = blocks[blocks > _power(_ABSOLUTE_GATE_LUFS)]
        if not len(blocks):
            return None
        gate = blocks.mean() * 10 ** (-_RELATIVE_GATE_LU / 10)
        return _OFFSET_LUFS + 10 * math.log10(blocks[blocks > gate].mean())

    def _measure(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the energy of each hop, summed over all channels."""
        if self._channels == 2:
            return self._filters[0].energies(samples.view(np.complex64)[:, 0])
        weights = _channel_weights(self._channels)
        each = (
            weight * one.energies(np.ascontiguousarray(samples[:, channel]))
            for channel, (weight, one) in enumerate(zip(weights, self._filters, strict=True))
        )
        energies: NDArray[np.float64] = np.sum(list(each), axis=0)
        return energies


class _Filter:
    """The K-weighted energy of one channel, or of two as one complex signal."""

    def __init__(self, rate: int, hop: int, step: int, *, is_real: bool) -> None:
        self._hop, self._step = hop, step
        self._high, self._low = _weights(rate, hop, step, is_real=is_real)
        self._last_mean: NDArray[np.float32] | NDArray[np.complex64] | None = None

    def energies(self, samples: NDArray[np.float32] | NDArray[np.complex64]) -> NDArray[np.float64]:
        """Return the mean energy of each of these hops."""
        means = samples
        if self._step > 1:
            means = samples[:: self._step] + samples[1 :: self._step]
            for offset in range(2, self._step):
                means += samples[offset :: self._step]
            means *= np.float32(1 / self._step)
        if self._last_mean is None:
            self._last_mean = means[:1]
        changes = np.empty_like(means)
        np.subtract(means[1:], means[:-1], out=changes[1:])
        changes[:1] = means[:1] - self._last_mean
        self._last_mean = means[-1:].copy()
        changes = changes.reshape(-1, self._hop // self._step)
        transform = np.fft.fft if np.iscomplexobj(changes) else np.fft.rfft
        spectra = transform(changes, norm=SINGLE)
        parts = spectra.view(np.float32)
        parts *= parts
        energies = (parts @ self._low).astype(np.float64)
        if self._step > 1:
            lacking = self._sums(samples, self._hop) - self._step * self._sums(
                means, changes.shape[1]
            )
            energies += lacking * self._high
        return np.maximum(energies, 0)

    @staticmethod
    def _sums(
        samples: NDArray[np.float32] | NDArray[np.complex64], length: int
    ) -> NDArray[np.float64]:
        rows = samples.reshape(-1, length).view(np.float32)
        sums: NDArray[np.float64] = np.vecdot(rows, rows).astype(np.float64)
        return sums


@functools.cache
def _quick_length(length: int) -> int:
    """Return the next length with a fast transform: with prime factors up to 11 only."""
    nearby = sorted(range(length // 2, length * 2), key=lambda each: abs(each - length))
    return next(each for each in nearby if _LARGEST_POWERS % each == 0)


@functools.lru_cache(maxsize=4)
def _weights(rate: int, hop: int, step: int, *, is_real: bool) -> tuple[float, NDArray[np.float32]]:
    """Return the weights of both parts.

    The first is for the energy that the means lack, the others for each squared real and imaginary
    part of the spectrum of differences of the means.
    """
    count = hop // step
    indices = np.arange(count // 2 + 1) if is_real else np.arange(count)
    # At 0 Hz the differences are 0: the weight of a neighbouring frequency serves as well.
    folded = np.maximum(np.minimum(indices, count - indices), 1e-3)
    frequencies = folded * (rate / step / count)
    high = _HIGH * float(k_weighting(np.array([_REFERENCE_RATE / 2]))[0]) if step > 1 else 0.0
    angles = np.pi * frequencies / rate
    kept = (np.sin(angles * step) / np.sin(angles) / step) ** 2
    wanted = k_weighting(frequencies) - high * (1 - kept)
    low = wanted / kept / (2 * np.sin(angles * step)) ** 2 / count
    if is_real:
        low *= np.where((indices == 0) | (2 * indices == count), 1, 2)
    return high / hop, np.repeat(low, 2).astype(np.float32)


def k_weighting(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power gain at these frequencies, by the filters for 48 kHz at any rate.

    Source: ITU-R BS.1770-5, annex 1, tables 1 and 2.
    """
    z = np.exp(-2j * np.pi * np.minimum(frequencies, _REFERENCE_RATE / 2) / _REFERENCE_RATE)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    gain: NDArray[np.float64] = np.abs(shelf * high_pass) ** 2
    return gain


def _channel_weights(channels: int) -> tuple[float, ...]:
    """Return the weights of left, right, centre, low frequencies (not counted) and surround."""
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
