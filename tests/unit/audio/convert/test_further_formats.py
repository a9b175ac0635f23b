"""Formats and encodings that only one of the converters reads."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
import soundfile

from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.inspect.sniff import sniff
from tests.support.audio_samples import contained, encoded, measure, tone, with_data_size
from tests.unit.audio.convert import every

pytestmark = pytest.mark.asyncio(loop_scope="module")  # starting a pool takes half a second

_TONE = tone(2.0, rate=16_000)
_STEREO = tone(2.0, rate=44_100, channels=2)


def _long_form(wav: bytes, name: bytes) -> bytes:
    """Return the WAV in the form with 64-bit sizes. Source: ITU-R BS.2088."""
    audio_bytes = len(wav) - 44
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, len(wav) + 28, audio_bytes, audio_bytes // 2, 0)
    return name + b"\xff" * 4 + b"WAVE" + sizes + with_data_size(wav, 0xFFFFFFFF)[12:]


def with_chunks(wav: bytes, *chunks: tuple[bytes, int], before_format: bool = False) -> bytes:
    """Return the WAV with chunks before its audio, or before its format."""
    extra = b"".join(name + struct.pack("<I", size) + bytes(size) for name, size in chunks)
    at = 12 if before_format else 36
    whole = wav[:at] + extra + wav[at:]
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def _caf(wav: bytes) -> bytes:
    samples, rate = soundfile.read(io.BytesIO(wav))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="CAF", subtype="PCM_24")
    return buffer.getvalue()


def _format_last(aiff: bytes) -> bytes:
    """Return the AIFF with its samples before their format."""
    at = aiff.index(b"COMM")
    end = at + 8 + int.from_bytes(aiff[at + 4 : at + 8], "big")
    return aiff[:at] + aiff[end:] + aiff[at:end]


def _valid_24_of_32(wav: bytes) -> bytes:
    at = wav.index(b"fmt ") + 8
    return wav[: at + 18] + struct.pack("<H", 24) + wav[at + 20 :]


_MADE: dict[str, tuple[AudioFormat, Callable[[], bytes]]] = {
    "AIFF": (AudioFormat.AIFF, lambda: encoded(_STEREO, "aiff")),
    "AIFF-C": (AudioFormat.AIFF, lambda: contained(_TONE, "a.aiff", "-c:a", "pcm_s16le")),
    "AIFF with its format last": (
        AudioFormat.AIFF,
        lambda: _format_last(contained(_TONE, "a.aiff")),
    ),
    "AIFF-C of floats": (AudioFormat.AIFF, lambda: contained(_TONE, "a.aiff", "-c:a", "pcm_f32be")),
    "AIFF-C with ADPCM": (
        AudioFormat.AIFF,
        lambda: contained(_TONE, "a.aiff", "-c:a", "adpcm_ima_qt"),
    ),
    "CAF": (AudioFormat.CAF, lambda: _caf(_STEREO)),
    "CAF with ALAC": (AudioFormat.CAF, lambda: contained(_STEREO, "a.caf", "-c:a", "alac")),
    "Wave64": (AudioFormat.WAVE64, lambda: contained(_TONE, "a.w64")),
    "RF64": (AudioFormat.WAV, lambda: _long_form(_TONE, b"RF64")),
    "BW64": (AudioFormat.WAV, lambda: _long_form(_TONE, b"BW64")),
    "float 64": (AudioFormat.WAV, lambda: contained(_TONE, "a.wav", "-c:a", "pcm_f64le")),
    "MP3 in WAV": (AudioFormat.WAV, lambda: contained(_TONE, "a.wav", "-c:a", "mp3")),
    "G.722 in WAV": (AudioFormat.WAV, lambda: contained(_TONE, "a.wav", "-c:a", "g722")),
    "G.726 in WAV": (
        AudioFormat.WAV,
        lambda: contained(tone(2.0), "a.wav", "-c:a", "g726", "-b:a", "32k"),
    ),
    "6 channels": (AudioFormat.WAV, lambda: tone(2.0, rate=16_000, channels=6)),
    "24 bits in 32": (
        AudioFormat.WAV,
        lambda: _valid_24_of_32(
            contained(tone(2.0, rate=16_000, channels=3), "a.wav", "-c:a", "pcm_s32le")
        ),
    ),
    "Ogg FLAC": (AudioFormat.OGG_FLAC, lambda: contained(_TONE, "a.ogg", "-c:a", "flac")),
    "G.722": (AudioFormat.G722, lambda: contained(_TONE, "a.g722", "-f", "g722")),
    "WAV with a long list": (AudioFormat.WAV, lambda: with_chunks(_TONE, (b"LIST", 393_164))),
    "WAV with a picture": (
        AudioFormat.WAV,
        lambda: with_chunks(_TONE, (b"id3 ", 1_500_000), before_format=True),
    ),
    "WAV with a long header of a stream": (
        AudioFormat.WAV,
        lambda: with_chunks(with_data_size(_TONE, 0), (b"bext", 100_000)),
    ),
}
_ONLY_BY_FFMPEG = {
    "CAF with ALAC": "CAF",
    "MP3 in WAV": "WAV with MP3",
    "G.722 in WAV": "WAV with G722",
    "Ogg FLAC": "Ogg FLAC",
    "G.722": "raw G.722",
}


@pytest.mark.parametrize("name", _MADE)
@pytest.mark.parametrize("by", [every.KAZOO, Backend.AUTO])
async def test_it_is_recognised_and_converted_whole(
    backends: Converters, by: str, name: str
) -> None:
    source, make = _MADE[name]
    data = make()

    out, outcome = await every.run_all(every.starting(backends, by)(source), data)

    assert outcome.report.error is None
    assert sniff(data).format is (None if source is AudioFormat.G722 else source)
    heard = measure(out, "mp3")
    assert heard.duration_s == pytest.approx(2.0, abs=0.2)
    assert heard.frequency_hertz == pytest.approx(440, rel=0.01)
    assert heard.level_db == pytest.approx(-12, abs=3)
    meter = DurationMeter(source)
    meter.feed(data)
    assert meter.facts().duration_ms == pytest.approx(2000, abs=100)
    assert not meter.is_truncated()


@pytest.mark.parametrize("name", _ONLY_BY_FFMPEG)
async def test_without_ffmpeg_the_error_says_what_is_missing(
    backends: Converters, name: str
) -> None:
    source, make = _MADE[name]
    start = every.starting(replace(backends, ffmpeg=None), every.KAZOO)

    _, outcome = await every.run_all(start(source), make())

    expected = f"{_ONLY_BY_FFMPEG[name]} can be read with ffmpeg only"
    assert every.reason(outcome).startswith(expected)


@pytest.mark.parametrize("name", ["AIFF-C", "CAF", "Wave64", "WAV with a picture"])
async def test_a_file_that_is_cut_is_an_error(start: every.Start, name: str) -> None:
    source, make = _MADE[name]
    data = make()

    _, outcome = await every.run_all(start(source), data[: len(data) - 20_000])

    assert every.reason(outcome) == "the input is shorter than its header says"


@pytest.mark.parametrize("name", ["AIFF-C", "Wave64", "WAV with a picture"])
async def test_what_follows_the_declared_end_is_left_out_with_a_warning(
    start: every.Start, name: str
) -> None:
    source, make = _MADE[name]

    out, outcome = await every.run_all(start(source), make() + b"\x81\x92" * 10_000)

    assert outcome.report.error is None
    assert any("20000 bytes after the declared end" in each for each in outcome.report.warnings)
    assert measure(out, "mp3").duration_s == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("by", [every.KAZOO, Backend.AUTO])
async def test_a_header_without_end_is_an_error(backends: Converters, by: str) -> None:
    data = with_chunks(_TONE, *[(b"JUNK", 1 << 20)] * 17)

    _, outcome = await every.run_all(every.starting(backends, by)(AudioFormat.WAV), data)

    assert every.reason(outcome) == "no audio within the first 16 MiB of the WAV file"
