"""Audio of all formats, joined, cut and wrapped at random; equal seeds give equal audio."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from kazoo_media.audio.formats import RAW, AudioFormat
from tests.support.audio_samples import CodedFormat, contained, encoded, tone

FREQUENCY_HERTZ = 440.0


@dataclass(frozen=True, slots=True)
class RandomAudio:
    """One input.

    Attributes:
        seconds: The tone that was sent, of all parts; of a cut file a part of it.
        files: Number of files that were joined.
        is_cut: Whether the end is missing.
        is_plain: Whether it is one file as its encoder wrote it.
    """

    data: bytes
    content_type: str
    seconds: float
    what: str
    files: int = 1
    is_cut: bool = False
    is_plain: bool = True


@dataclass(frozen=True, slots=True)
class _Kind:
    """A format with an encoding.

    Attributes:
        rates: Sample rates that the encoder takes; None: any.
    """

    format: AudioFormat
    encode: Callable[[bytes], bytes]
    rates: tuple[int, ...] = (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    channels: tuple[int, ...] = (1, 2)
    content_type: str = ""


def _by_sox(coded: CodedFormat, *options: str) -> Callable[[bytes], bytes]:
    return lambda wav: encoded(wav, coded, *options)


def _by_ffmpeg(name: str, *options: str) -> Callable[[bytes], bytes]:
    return lambda wav: contained(wav, name, *options)


def _samples(wav: bytes, order: str) -> bytes:
    little = np.frombuffer(wav[44:], "<i2")
    return little.astype(order + "i2").tobytes()


_KINDS: dict[str, _Kind] = {
    "WAV": _Kind(AudioFormat.WAV, lambda wav: wav),
    "WAV 24": _Kind(AudioFormat.WAV, _by_ffmpeg("a.wav", "-c:a", "pcm_s24le")),
    "WAV float 64": _Kind(AudioFormat.WAV, _by_ffmpeg("a.wav", "-c:a", "pcm_f64le")),
    "WAV mu-law": _Kind(AudioFormat.WAV, _by_sox("wav", "-e", "mu-law")),
    "WAV ADPCM": _Kind(AudioFormat.WAV, _by_sox("wav", "-e", "ms-adpcm")),
    "WAV GSM": _Kind(AudioFormat.WAV, _by_sox("wav", "-e", "gsm-full-rate"), (8000,), (1,)),
    "WAV MP3": _Kind(AudioFormat.WAV, _by_ffmpeg("a.wav", "-c:a", "mp3"), (16_000, 44_100)),
    "Wave64": _Kind(AudioFormat.WAVE64, _by_ffmpeg("a.w64")),
    "MP3": _Kind(AudioFormat.MP3, _by_sox("mp3", "-C", "64")),
    "MP3 VBR": _Kind(AudioFormat.MP3, _by_ffmpeg("a.mp3", "-q:a", "5"), (16_000, 44_100)),
    "Vorbis": _Kind(AudioFormat.OGG, _by_sox("ogg")),
    "Opus": _Kind(AudioFormat.OPUS, _by_ffmpeg("a.opus", "-c:a", "libopus"), (16_000, 48_000)),
    "Ogg FLAC": _Kind(AudioFormat.OGG_FLAC, _by_ffmpeg("a.ogg", "-c:a", "flac")),
    "FLAC": _Kind(AudioFormat.FLAC, _by_sox("flac")),
    "AMR": _Kind(AudioFormat.AMR, _by_sox("amr-nb"), (8000,), (1,)),
    "AU": _Kind(AudioFormat.AU, _by_sox("au")),
    "AIFF": _Kind(AudioFormat.AIFF, _by_ffmpeg("a.aiff", "-c:a", "pcm_s16be")),
    "AIFF-C": _Kind(AudioFormat.AIFF, _by_ffmpeg("a.aiff", "-c:a", "pcm_f32be")),
    "CAF": _Kind(AudioFormat.CAF, _by_ffmpeg("a.caf")),
    "CAF ALAC": _Kind(AudioFormat.CAF, _by_ffmpeg("a.caf", "-c:a", "alac")),
    "M4A": _Kind(AudioFormat.M4A, _by_ffmpeg("a.m4a"), (16_000, 44_100)),
    "QuickTime": _Kind(AudioFormat.QUICKTIME, _by_ffmpeg("a.mov"), (16_000, 44_100)),
    "AAC": _Kind(AudioFormat.AAC, _by_ffmpeg("a.aac"), (16_000, 24_000, 44_100)),
    "WebM": _Kind(AudioFormat.WEBM, _by_ffmpeg("a.webm"), (16_000, 48_000)),
    "WMA": _Kind(AudioFormat.WMA, _by_ffmpeg("a.wma"), (44_100,)),
    "GSM": _Kind(AudioFormat.GSM, _by_sox("gsm"), (8000,), (1,)),
    "mu-law": _Kind(AudioFormat.PCMU, _by_sox("ul"), (8000,), (1,)),
    "A-law": _Kind(AudioFormat.PCMA, _by_sox("al"), (8000,), (1,)),
    "G.722": _Kind(AudioFormat.G722, _by_ffmpeg("a.g722", "-f", "g722"), (16_000,), (1,)),
    "L16": _Kind(
        AudioFormat.L16,
        lambda wav: _samples(wav, ">"),
        (16_000,),
        (1,),
        "audio/l16;rate=16000",
    ),
    "signed linear": _Kind(AudioFormat.SLN, lambda wav: _samples(wav, "<"), (8000,), (1,)),
}
_SECONDS = (0.7, 1.5, 2.5)


@cache
def _part(name: str, rate: int, channels: int, seconds: float) -> bytes:
    wav = tone(seconds, rate=rate, channels=channels, frequency_hertz=FREQUENCY_HERTZ)
    return _KINDS[name].encode(wav)


def random_audio(seed: str) -> RandomAudio:
    """Return the audio of a seed."""
    choice = random.Random(seed)
    name = choice.choice(sorted(_KINDS))
    kind = _KINDS[name]
    first = _plain(choice, name)
    change = choice.choice((_as_it_is, _joined, _chained, _mixed, _cut, _tagged, _followed))
    is_raw = kind.format in RAW - {AudioFormat.GSM}
    if is_raw and change in (_mixed, _tagged, _followed):
        change = _joined  # any bytes are samples
    return change(choice, name, first)


def _plain(choice: random.Random, name: str, shape: tuple[int, int] | None = None) -> RandomAudio:
    kind = _KINDS[name]
    rate, channels = shape or (choice.choice(kind.rates), choice.choice(kind.channels))
    seconds = choice.choice(_SECONDS)
    return RandomAudio(
        _part(name, rate, channels, seconds),
        kind.content_type or kind.format.content_type,
        seconds,
        f"{name} {rate}/{channels} {seconds} s",
    )


def _as_it_is(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    del choice, name
    return first


def _joined(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    """Join files of one rate and number of channels."""
    rate, channels = map(int, first.what.removeprefix(name).split()[0].split("/"))
    return _sum(
        first, *(_plain(choice, name, (rate, channels)) for _ in range(choice.choice((1, 2))))
    )


def _chained(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    """Join files of any rates and numbers of channels."""
    return _sum(first, _plain(choice, name))


def _mixed(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    """Join files of any formats."""
    del name
    return _sum(first, _plain(choice, choice.choice(sorted(_KINDS))))


def _sum(first: RandomAudio, *others: RandomAudio) -> RandomAudio:
    parts = (first, *others)
    return replace(
        first,
        data=b"".join(each.data for each in parts),
        seconds=sum(each.seconds for each in parts),
        what=" + ".join(each.what for each in parts),
        files=len(parts),
        is_plain=False,
    )


def _cut(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    del name
    kept = choice.uniform(0.3, 0.95)
    size = int(len(first.data) * kept)
    return replace(
        first,
        data=first.data[:size],
        seconds=first.seconds * kept,
        what=f"{first.what}, {kept:.2f} of it",
        is_cut=True,
        is_plain=False,
    )


def _tagged(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    """Put a tag or rubbish before the audio."""
    del name
    size = choice.choice((10, 500, 5000))
    tag = b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    what, prefix = choice.choice(
        (("a tag", tag), ("rubbish", choice.randbytes(size)), ("zeros", bytes(size)))
    )
    return replace(
        first, data=prefix + first.data, what=f"{what} of {size} + {first.what}", is_plain=False
    )


def _followed(choice: random.Random, name: str, first: RandomAudio) -> RandomAudio:
    """Put a tag or rubbish after the audio."""
    del name
    size = choice.choice((1, 128, 5000, 60_000))
    what, suffix = choice.choice(
        (
            ("an ID3v1 tag", b"TAG" + bytes(125)),
            ("rubbish", choice.randbytes(size)),
            ("zeros", bytes(size)),
            ("text", b"the end of it " * (size // 14 + 1)),
            ("a chunk", b"LIST" + struct.pack("<I", size) + bytes(size + size % 2)),
        )
    )
    return replace(
        first, data=first.data + suffix, what=f"{first.what} + {what} of {size}", is_plain=False
    )
