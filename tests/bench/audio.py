"""Generated audio for measurements; always the same bytes."""

from __future__ import annotations

import math
import random
import struct
from array import array
from pathlib import Path
from statistics import NormalDist

PROMPT_COUNT = 172
_PROMPT_MEDIAN_S = 2.39
_PROMPT_P90_S = 6.7
_PROMPT_SHORTEST_S = 0.4
_PROMPT_LONGEST_S = 23.0
_P90 = NormalDist().inv_cdf(0.9)
WAV_HEADER_BYTES = 44


def write_music(path: Path, size_bytes: int) -> None:
    """Write a WAV file of exactly this size: 44.1 kHz, stereo, 16 bit, tones and noise.

    Args:
        path: The file.
        size_bytes: Multiple of 4, for whole frames.
    """
    block = _tones(rate_hertz=44_100, channels=2, frames=1 << 18)
    with path.open("wb") as file:
        file.write(_header(44_100, 2, size_bytes - WAV_HEADER_BYTES))
        left = size_bytes - WAV_HEADER_BYTES
        while left > 0:
            left -= file.write(block[:left])


def write_ten_minutes(folder: Path) -> Path:
    """Return ten minutes of music in a folder; written once."""
    path = folder / "ten-minutes.wav"
    if not path.exists():
        write_music(path, 600 * 44_100 * 4 + WAV_HEADER_BYTES)
    return path


def write_prompts(folder: Path) -> None:
    """Write 172 WAV files, 8 kHz mono, with the lengths of a shipped set of prompts."""
    longest = _tones(rate_hertz=8_000, channels=1, frames=int(_PROMPT_LONGEST_S * 8_000))
    for number, length_s in enumerate(_prompt_lengths_s()):
        data = longest[: int(length_s * 8_000) * 2]
        header = _header(8_000, 1, len(data))
        (folder / f"bench-prompt_{number:03}.wav").write_bytes(header + data)


def _prompt_lengths_s() -> list[float]:
    """Return log-normal quantiles: median and 90th percentile are those of the shipped prompts."""
    spread = math.log(_PROMPT_P90_S / _PROMPT_MEDIAN_S) / _P90
    steps = (NormalDist().inv_cdf((n + 0.5) / PROMPT_COUNT) for n in range(PROMPT_COUNT))
    lengths = (_PROMPT_MEDIAN_S * math.exp(spread * step) for step in steps)
    return [min(max(length, _PROMPT_SHORTEST_S), _PROMPT_LONGEST_S) for length in lengths]


def _tones(rate_hertz: int, channels: int, frames: int) -> bytes:
    noise = random.Random(1)
    samples = array("h")
    for frame in range(frames):
        tone = 9_000 * math.sin(frame * 440 * math.tau / rate_hertz)
        tone += 4_000 * math.sin(frame * 1_330 * math.tau / rate_hertz)
        for _ in range(channels):
            samples.append(int(tone + noise.uniform(-800, 800)))
    return samples.tobytes()


def _header(rate_hertz: int, channels: int, data_bytes: int) -> bytes:
    frame_bytes = channels * 2
    layout = struct.pack(
        "<HHIIHH", 1, channels, rate_hertz, rate_hertz * frame_bytes, frame_bytes, 16
    )
    return (
        b"RIFF"
        + struct.pack("<I", WAV_HEADER_BYTES - 8 + data_bytes)
        + b"WAVEfmt \x10\0\0\0"
        + layout
        + b"data"
        + struct.pack("<I", data_bytes)
    )
