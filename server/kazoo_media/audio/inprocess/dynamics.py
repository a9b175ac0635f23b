"""Streaming stages that even out levels without looking at later audio."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from kazoo_media.audio.inprocess.stages import Mono, Stage
from kazoo_media.audio.presets import COMPAND_DB

_HIGHEST = np.float32(0.999)


class SoftLimiter(Stage):
    """Doubles quiet audio and limits loud audio to full scale: sox's `gain -l 6`."""

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        bent: Mono = 2 * samples / (1 + np.abs(samples))
        return np.clip(bent, -_HIGHEST, _HIGHEST)


class Compander(Stage):
    """Raises quiet and lowers loud speech: sox's `compand 0.05,0.5 6:... 0 -30 0.05`.

    The level is followed in steps of 1 ms, 50 ms ahead of the samples that it changes.
    """

    _ATTACK_S, _DECAY_S, _AHEAD_S = 0.05, 0.5, 0.05
    _FIRST_LEVEL = 10 ** (-30 / 20)

    def __init__(self, rate: int) -> None:
        self._step = rate // 1000
        self._attack = 1 - math.exp(-0.0005 / self._ATTACK_S)
        self._decay = 1 - math.exp(-0.0005 / self._DECAY_S)
        self._level = self._FIRST_LEVEL
        self._ahead = round(self._AHEAD_S * 1000)
        self._waiting: Mono = np.zeros(0, np.float32)  # samples without a known gain yet
        self._steps_seen = 0  # of those in `_waiting`
        self._gains = np.zeros(0, np.float32)
        self._gain = np.float32(_gain_of(np.array([self._level]))[0])

    @override
    def process(self, samples: Mono, *, last: bool) -> Mono:
        self._waiting = np.concatenate((self._waiting, samples))
        self._follow(last=last)
        steps = len(self._gains) if last else max(0, len(self._gains) - self._ahead)
        # The samples that are output now get the gain of the level `_ahead` later.
        gains = self._gains[self._ahead : self._ahead + steps]
        if last and len(self._gains):
            gains = np.append(gains, np.repeat(self._gains[-1], steps - len(gains)))
        self._gains, self._steps_seen = self._gains[steps:], self._steps_seen - steps
        out, self._waiting = np.split(self._waiting, [min(steps * self._step, len(self._waiting))])
        return out * self._per_sample(gains)[: len(out)]

    def _follow(self, *, last: bool) -> None:
        """Compute the level of all new whole steps; at the end also of an incomplete one."""
        new = self._waiting[self._steps_seen * self._step :]
        if last and len(new) % self._step:
            new = np.append(new, np.zeros(-len(new) % self._step, np.float32))
        count = len(new) // self._step
        steps = np.sort(np.abs(new[: count * self._step]).reshape(count, self._step), axis=1)
        half = self._step // 2
        lower, upper = steps[:, :half].mean(axis=1), steps[:, half:].mean(axis=1)
        levels = self._levels(lower.tolist(), upper.tolist())
        self._gains = np.append(self._gains, _gain_of(np.array(levels)))
        self._steps_seen += count

    def _levels(self, lower: Iterable[float], upper: Iterable[float]) -> list[float]:
        """Return the level after each step; this loop is half of the cost of the stage."""
        level, attack, decay = self._level, self._attack, self._decay
        levels = []
        for low, high in zip(lower, upper, strict=True):
            # Some samples raise the level while others lower it.
            above, below = high - level, low - level
            level += above * (attack if above > 0 else decay)
            level += below * (attack if below > 0 else decay)
            levels.append(level)
        self._level = level
        return levels

    def _per_sample(self, gains: NDArray[np.float32]) -> Mono:
        """Return the gain of each sample, interpolated linearly between steps."""
        if not len(gains):
            return gains
        ends = gains[:, np.newaxis]
        starts = np.append(self._gain, gains[:-1])[:, np.newaxis]
        self._gain = gains[-1]
        rise = np.arange(1, self._step + 1, dtype=np.float32) / self._step
        return (starts + (ends - starts) * rise).astype(np.float32, copy=False).reshape(-1)


def _knee_curve() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return levels and their gains in dB; corners are rounded within 6 dB."""
    levels = np.arange(-100, 12.25, 0.25)
    given = np.array(COMPAND_DB, np.float64)
    gains: NDArray[np.float64] = np.interp(levels, given[:, 0], given[:, 1] - given[:, 0])
    half = 12
    padded = np.pad(gains, half, mode="edge")
    return levels, np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")


_LEVELS, _GAINS = _knee_curve()


def _gain_of(levels: NDArray[np.float64]) -> NDArray[np.float32]:
    decibels = 20 * np.log10(np.maximum(levels, 1e-6))
    gains: NDArray[np.float32] = (10 ** (np.interp(decibels, _LEVELS, _GAINS) / 20)).astype(
        np.float32
    )
    return gains
