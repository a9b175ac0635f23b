"""The inputs: unchanged prompts, and hostile inputs made from them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.bench.quality.measures import Audio, decoded, levels

Mono = NDArray[np.float64]

_HOSTILE_HERTZ = 44_100
_HOSTILE_S = 40
"""Longer than audio that is encoded in one piece."""
_SHORTEST_S, _LONGEST_S = 1.5, 9.0
"""PESQ needs a sentence."""
_LOUD_LUFS = -12.6
_SENTENCES = (
    "Please enter your mailbox number, followed by the pound key.",
    "You have seven new messages. To listen to them, press one.",
    "The person you are calling is not available. Please leave a message after the tone.",
    "To change your greeting, press three. To return to the main menu, press star.",
    "Your call is important to us. Please hold, and somebody will be with you shortly.",
    "The number you have dialled is not in service. Please check it, and dial again.",
    "This call may be recorded for training purposes. She sells six sharp chisels.",
    "Enter the conference room's access code, or press zero to speak to an operator.",
)


@dataclass(frozen=True, slots=True)
class Source:
    """One file to convert."""

    name: str
    path: Path
    audio: Audio


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs.

    Attributes:
        speech: Prompts, for narrowband measures.
        wideband: Speech at 22 kHz.
        recorded: Whether people spoke the prompts.
        whence: The origin of the prompts, for a person.
    """

    speech: Sequence[Source]
    wideband: Sequence[Source]
    hostile: Sequence[Source]
    recorded: bool
    whence: str


def prepare(folder: Path, prompts: Path | None, count: int) -> Inputs:
    """Return the inputs, written to a folder.

    Args:
        folder: The destination.
        prompts: A folder of WAV files; None: espeak-ng speaks some.
        count: Number of prompts.
    """
    spoken = [_spoken(folder / f"spoken-{n}.wav", text) for n, text in enumerate(_SENTENCES)]
    if prompts is None:
        speech = [
            _written(folder, f"prompt-{each.path.stem}", each.audio.at(8000), 8000)
            for each in spoken
        ]
        whence = f"{len(speech)} sentences of espeak-ng"
    else:
        speech = _chosen(prompts, count)
        whence = f"{len(speech)} of {prompts}"
    joined = np.concatenate([each.audio.at(_HOSTILE_HERTZ) for each in speech])
    hostile = [
        _written(folder, name.replace(" ", "-"), samples, _HOSTILE_HERTZ, name)
        for name, samples in hostile_samples(joined).items()
    ]
    return Inputs(speech, spoken, hostile, prompts is not None, whence)


def hostile_samples(speech: Mono) -> Mapping[str, NDArray[np.float64]]:
    """Return samples of difficult uploads by name.

    Args:
        speech: Speech at 44.1 kHz, of any level.
    """
    length = _HOSTILE_S * _HOSTILE_HERTZ
    speech = np.resize(speech, length)
    measured = levels(Audio(speech[:, np.newaxis], _HOSTILE_HERTZ)).loudness_lufs
    loud = amplified(speech, _LOUD_LUFS - (measured if measured is not None else _LOUD_LUFS))
    half = np.where(np.arange(length) < length // 2, 0.0, -25.0)
    wave = np.sin(np.arange(length) * 2 * np.pi * 440 / _HOSTILE_HERTZ)
    clicks = amplified(loud, -18)
    # One millisecond per second: a single gain would clip them, so a limiter is needed.
    clicks[np.arange(length) % _HOSTILE_HERTZ < _HOSTILE_HERTZ // 1000] = 1.0
    noise = np.random.default_rng(1).uniform(-0.25, 0.25, length)
    return {
        "loud": loud,
        "+12 dB clipped": amplified(loud, 12),
        "quiet": amplified(loud, -15),
        "very quiet": amplified(loud, -30),
        "half -25 dB": loud * 10 ** (half / 20),
        "one leg": np.stack([loud, np.zeros(length)], axis=1),
        "DC +0.2": amplified(loud, -12) + 0.2,
        "clicks": clicks,
        "square": np.sign(wave),
        "silence": np.zeros(length),
        "noise": noise,
    }


def amplified(samples: Mono, decibels: float) -> Mono:
    """Return the samples louder, clipped at full scale."""
    clipped: Mono = np.clip(samples * 10 ** (decibels / 20), -1, 1)
    return clipped


def _chosen(folder: Path, count: int) -> list[Source]:
    """Return prompts of a usual length, evenly selected."""
    paths = sorted(folder.glob("*.wav"))
    usual = [p for p in paths if _SHORTEST_S <= soundfile.info(p).duration <= _LONGEST_S] or paths
    step = max(1, len(usual) // count)
    return [_read(path) for path in usual[::step][:count]]


def _spoken(path: Path, text: str) -> Source:
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(path), text], check=True)
    return _read(path)


def _read(path: Path) -> Source:
    return Source(path.stem, path, decoded(path.read_bytes()))


def _written(
    folder: Path, stem: str, samples: NDArray[np.float64], rate: int, name: str = ""
) -> Source:
    path = folder / f"{stem}.wav"
    soundfile.write(path, np.clip(samples, -1, 32767 / 32768), rate, "PCM_16")
    return Source(name or stem, path, decoded(path.read_bytes()))
