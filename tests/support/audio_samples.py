"""Audio for tests and measurements of audio, by numpy, the real sox and the real ffmpeg."""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kazoo_media.audio.programs.ffmpeg import find_ffmpeg

CodedFormat = Literal["mp3", "ogg", "flac", "amr-nb", "au", "al", "ul", "gsm", "aiff", "wav"]


_FFMPEG = str(find_ffmpeg())
_HEADER_BYTES = 44
_KEPT = 32
"""How many results of each function are kept: many tests ask for the same audio."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of `measure`, which decodes the whole file.

    Attributes:
        level_db: RMS over all channels, 0 dB is full scale; -inf for silence.
        peak_db: Level of the largest sample.
        frequency_hertz: Frequency of the strongest partial of the first channel.
    """

    duration_s: float
    sample_rate_hertz: int
    channel_count: int
    level_db: float
    peak_db: float
    frequency_hertz: float


@lru_cache(_KEPT)
def tone(
    seconds: float = 1.0,
    *,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    frequency_hertz: float = 440.0,
    level_db: float = -12.0,
) -> bytes:
    """Return a WAV with a sine of this RMS level."""
    phase = 2 * np.pi * frequency_hertz * np.arange(round(seconds * rate)) / rate
    return wav_bytes(np.sin(phase) * np.sqrt(2) * 10 ** (level_db / 20), rate, channels, bits)


def cancelling_tone(seconds: float = 1.0, *, rate: int = 8000) -> bytes:
    """Return a stereo WAV of a sine whose channels are zero when they are added."""
    stereo = tone(seconds, rate=rate, channels=2)
    samples = np.frombuffer(stereo[_HEADER_BYTES:], "<i2").reshape(-1, 2) * np.array([1, -1])
    return stereo[:_HEADER_BYTES] + bytes(samples.astype("<i2").data)


@lru_cache(_KEPT)
def noise(
    seconds: float = 1.0,
    *,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    level_db: float = -20.0,
    seed: int = 1,
) -> bytes:
    """Return a WAV with white noise of this RMS level; equal seeds give equal noise."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return wav_bytes(samples * 10 ** (level_db / 20), rate, channels, bits)


def silence(seconds: float = 1.0, *, rate: int = 8000, channels: int = 1, bits: int = 16) -> bytes:
    """Return a WAV with zeros."""
    return wav_bytes(np.zeros(round(seconds * rate)), rate, channels, bits)


def wav_bytes(samples: NDArray[np.float64], rate: int, channels: int, bits: int) -> bytes:
    """Return mono samples of -1 to 1 as a PCM WAV with the same audio in every channel."""
    full_scale = 2 ** (bits - 1)
    whole = np.clip(np.round(samples * full_scale), -full_scale, full_scale - 1).astype("<i4")
    if bits == 8:
        whole = whole + 128  # 8-bit WAV is unsigned
    width = bits // 8
    mono = whole.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width]
    frames = np.repeat(mono[:, None, :], channels, axis=1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(frames.tobytes())
    return buffer.getvalue()


@lru_cache(_KEPT)
def encoded(wav: bytes, coded: CodedFormat, *options: str, effects: tuple[str, ...] = ()) -> bytes:
    """Return the WAV converted by sox with these output options and effects."""
    return _sox("-t", "wav", "-", *options, "-t", coded, "-", *effects, data=wav)


@lru_cache(_KEPT)
def contained(wav: bytes, name: str, *options: str) -> bytes:
    """Return the WAV converted by ffmpeg with these options; the file name gives the container."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        argv = [_FFMPEG, "-v", "error", "-i", "pipe:0", *options, str(path)]
        subprocess.run(argv, input=wav, check=True)
        return path.read_bytes()


def shown_duration_s(path: Path) -> float:
    """Return the duration that ffmpeg reads from the header of a file."""
    shown = subprocess.run([_FFMPEG, "-i", str(path)], capture_output=True, check=False).stderr
    match = re.search(rb"Duration: (\d+):(\d+):(\d+\.\d+)", shown)
    assert match is not None, shown.decode()
    hours, minutes, seconds = (float(each) for each in match.groups())
    return (hours * 60 + minutes) * 60 + seconds


def with_data_size(wav: bytes, size: int) -> bytes:
    """Return the WAV with another size of its audio in the header, like broken recorders do."""
    at = wav.index(b"data") + 4
    return wav[:at] + size.to_bytes(4, "little") + wav[at + 4 :]


def measure(data: bytes, coded: CodedFormat = "wav") -> Measured:
    """Return the measurement of the audio; fails if sox cannot read it."""
    # Decoded as AU: unlike WAV its header never has a wrong length on a pipe.
    decoded = _sox("-t", coded, "-", "-b", "16", "-e", "signed-integer", "-t", "au", "-", data=data)
    offset, rate, channels = (int.from_bytes(decoded[at : at + 4], "big") for at in (4, 16, 20))
    raw = np.frombuffer(decoded, ">i2", offset=offset).reshape(-1, channels)
    samples = raw.astype(np.float64) / 32768
    return Measured(
        duration_s=len(samples) / rate,
        sample_rate_hertz=rate,
        channel_count=channels,
        level_db=_decibel(float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0),
        peak_db=_decibel(float(np.max(np.abs(samples))) if len(samples) else 0.0),
        frequency_hertz=_strongest(samples[:, 0], rate),
    )


def _decibel(value: float) -> float:
    return float(20 * np.log10(value)) if value > 0 else float("-inf")


def _strongest(samples: NDArray[np.float64], rate: int) -> float:
    if len(samples) < 2 or not samples.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def _sox(*arguments: str, data: bytes) -> bytes:
    run = subprocess.run(
        ["sox", "-V1", "-D", *arguments], input=data, capture_output=True, check=False
    )
    if run.returncode or b"FAIL" in run.stderr:
        raise AssertionError(f"sox {' '.join(arguments)}: {run.stderr.decode()}")
    return run.stdout
