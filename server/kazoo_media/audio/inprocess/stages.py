"""Stages that change mono audio block by block."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray
from typing_extensions import override

Mono = NDArray[np.float32]
"""Samples: shape (frames,), full scale is 1.0."""

NOTHING: Mono = np.zeros(0, np.float32)

SINGLE: Literal["ortho"] = "ortho"
"""Norm of transforms; without it numpy transforms float32 in double precision."""


def decibels(factor: float) -> float:
    """Return an amplitude factor in dB; -inf for 0."""
    return 20 * math.log10(factor) if factor else -math.inf


class Stage(ABC):
    """One step. In the end its output lasts as long as its input."""

    @abstractmethod
    def process(self, samples: Mono, *, last: bool) -> Mono:
        """Return the samples that are ready; with `last`, once at the end, all the rest."""


class Chain(Stage):
    """A sequence of stages."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._stages = tuple(stages)

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        for stage in self._stages:
            samples = stage.process(samples, last=last)
        return samples


class Gather(Stage):
    """Collects samples into pieces of an efficient size."""

    _WORTH_SAMPLES = 16 * 1024

    def __init__(self) -> None:
        self._parts: list[Mono] = []
        self._size = 0

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        self._parts.append(samples)
        self._size += len(samples)
        if self._size < self._WORTH_SAMPLES and not last:
            return NOTHING
        piece = np.concatenate(self._parts)
        self._parts, self._size = [], 0
        return piece


class Resample(Stage):
    """Changes the sample rate."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ")

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        resampled: Mono = self._stream.resample_chunk(samples, last=last)
        return resampled


class Gain(Stage):
    """Multiplies all samples by a factor."""

    def __init__(self, decibels: float) -> None:
        self._factor = np.float32(10 ** (decibels / 20))

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        return samples * self._factor


class HighPass(Stage):
    """A Butterworth high-pass filter of second order; removes hum, rumble and DC.

    It is a convolution with the short response, by overlap and add: a recursive filter cannot be
    computed many samples at a time.
    """

    _TRANSFORM = 8192

    def __init__(self, rate: int, hertz: float) -> None:
        response = _high_pass_response(rate, hertz)
        self._taps = len(response)
        self._spectrum = np.fft.rfft(response, self._TRANSFORM)
        self._over = np.zeros(self._taps - 1, np.float32)

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        most = self._TRANSFORM - self._taps + 1
        parts = [self._part(samples[at : at + most]) for at in range(0, len(samples), most)]
        return np.concatenate(parts) if parts else NOTHING

    def _part(self, samples: Mono) -> Mono:
        size = len(samples)
        spectrum = np.fft.rfft(samples, self._TRANSFORM, norm=SINGLE)
        spectrum *= self._spectrum
        filtered: Mono = np.fft.irfft(spectrum, norm=SINGLE).astype(np.float32, copy=False)
        filtered[: self._taps - 1] += self._over
        self._over = filtered[size : size + self._taps - 1].copy()
        return filtered[:size]


def _high_pass_response(rate: int, hertz: float) -> Mono:
    """Return the impulse response until it is 120 dB down; its sum, the gain at DC, is 0.

    Source: Bristow-Johnson, Cookbook formulae for audio EQ biquad filter coefficients: HPF.
    """
    angle = 2 * np.pi * hertz / rate
    alpha = np.sin(angle) / np.sqrt(2)
    a0, a1, a2 = 1 + alpha, -2 * np.cos(angle), 1 - alpha
    b0, b1 = (1 + np.cos(angle)) / 2, -1 - np.cos(angle)
    count = round(rate / hertz * 3.2)
    response = np.zeros(count + 2)
    impulse = np.zeros(count + 2)
    impulse[2:5] = b0, b1, b0
    for at in range(2, count + 2):
        response[at] = (impulse[at] - a1 * response[at - 1] - a2 * response[at - 2]) / a0
    taps = response[2:]
    without_dc: Mono = (taps - taps.sum() / count).astype(np.float32)
    return without_dc
