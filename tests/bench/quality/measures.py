"""Measures of audio, independent of the product: soundfile decodes, libebur128 meters.

Samples are float, shape (frames, channels), full scale is 1.0.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.support.loudness import independent_loudness

Samples = NDArray[np.float64]

_LEAST_METERED_S = 0.4
_OVERSAMPLING = 8
_FULL_SCALE = 32767 / 32768
_BAND_HERTZ = (3000.0, 3400.0)
_SPECTRUM_FRAMES = 1024
_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded audio."""

    samples: Samples
    rate_hertz: int

    @property
    def duration_s(self) -> float:
        """Return the duration."""
        return len(self.samples) / self.rate_hertz

    @property
    def mono(self) -> NDArray[np.float64]:
        """Return the mean of the channels."""
        mean: NDArray[np.float64] = self.samples.mean(axis=1)
        return mean

    def at(self, rate_hertz: int) -> NDArray[np.float64]:
        """Return the audio in mono at another rate."""
        changed: NDArray[np.float64] = soxr.resample(self.mono, self.rate_hertz, rate_hertz)
        return changed


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of audio.

    Attributes:
        loudness_lufs: Integrated loudness; None: nothing passes the meter's gate.
        true_peak_dbfs: Peak including values between samples; None: digital silence.
        peak_dbfs: Peak of the samples; None: digital silence.
        clipped_samples: Number of samples at full scale or beyond.
    """

    loudness_lufs: float | None
    true_peak_dbfs: float | None
    peak_dbfs: float | None
    clipped_samples: int


def decoded(data: bytes) -> Audio:
    """Return audio of any format that libsndfile reads; lossy ones may exceed full scale."""
    samples, rate_hertz = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    return Audio(samples, rate_hertz)


def levels(audio: Audio) -> Levels:
    """Return all levels."""
    peak = float(np.abs(audio.samples).max(initial=0.0))
    over = int(np.count_nonzero(np.abs(audio.samples) >= _FULL_SCALE))
    return Levels(_loudness_lufs(audio), _dbfs(true_peak(audio)), _dbfs(peak), over)


def true_peak(audio: Audio) -> float:
    """Return the largest value of the signal that the samples represent.

    Source: ITU-R BS.1770-4, annex 2, with twice its oversampling: the rates here are lower.
    """
    rate = audio.rate_hertz
    between = soxr.resample(audio.samples, rate, rate * _OVERSAMPLING, quality="VHQ")
    highest = max(np.abs(between).max(initial=0.0), np.abs(audio.samples).max(initial=0.0))
    return float(highest)


def spectrum(audio: Audio) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies and the mean power at each, in one unit whatever the level."""
    samples = audio.mono
    padding = -len(samples) % _SPECTRUM_FRAMES
    pieces = np.pad(samples, (0, padding)).reshape(-1, _SPECTRUM_FRAMES)
    windowed = pieces * np.hanning(_SPECTRUM_FRAMES)
    power: NDArray[np.float64] = (np.abs(np.fft.rfft(windowed, axis=1)) ** 2).mean(axis=0)
    return np.linspace(0, audio.rate_hertz / 2, len(power)), power


def bandwidth_hertz(audio: Audio) -> float:
    """Return the frequency below which 99 % of the energy lies."""
    frequencies, power = spectrum(audio)
    share = np.cumsum(power) / max(power.sum(), 1e-30)
    return float(frequencies[int(np.searchsorted(share, _SHARE))])


def band_db(audio: Audio) -> float:
    """Return the share of energy at 3-3.4 kHz, the upper edge of telephone speech."""
    frequencies, power = spectrum(audio)
    inside = (frequencies >= _BAND_HERTZ[0]) & (frequencies <= _BAND_HERTZ[1])
    return 10 * math.log10(max(power[inside].sum(), 1e-30) / max(power.sum(), 1e-30))


def aligned(
    reference: NDArray[np.float64], degraded: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both, aligned by the codec's delay and of equal length."""
    size = 1 << (len(reference) + len(degraded)).bit_length()
    spectra = np.fft.rfft(degraded, size) * np.conj(np.fft.rfft(reference, size))
    delay = int(np.argmax(np.fft.irfft(spectra, size)))
    delay = delay - size if delay > size // 2 else delay
    late, early = max(delay, 0), max(-delay, 0)
    length = min(len(reference) - early, len(degraded) - late)
    return reference[early : early + length], degraded[late : late + length]


def pesq_of(reference: Audio, degraded: Audio, rate_hertz: int) -> float | None:
    """Return MOS-LQO, narrowband at 8 kHz or wideband at 16 kHz.

    None: the package is not installed, or it finds no speech.

    Source: ITU-T P.862, P.862.2.
    """
    pesq = package("pesq")
    if pesq is None:
        return None
    both = aligned(reference.at(rate_hertz), degraded.at(rate_hertz))
    try:
        return float(pesq.pesq(rate_hertz, *both, "nb" if rate_hertz == 8000 else "wb"))
    except (pesq.NoUtterancesError, pesq.BufferTooShortError):
        return None


def package(name: str) -> Any | None:
    """Return a package of the benchmark's extras, or None if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        return None


def mean_of(values: list[float | None], of: Callable[[list[float]], float]) -> float | None:
    """Return `of` applied to the values that are not None."""
    there = [value for value in values if value is not None]
    return of(there) if there else None


def _loudness_lufs(audio: Audio) -> float | None:
    if audio.duration_s < _LEAST_METERED_S:
        return None
    return independent_loudness(audio.samples, audio.rate_hertz)


def _dbfs(value: float) -> float | None:
    return 20 * math.log10(value) if value else None
