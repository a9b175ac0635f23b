"""WAV files whose sizes are wrong, or that have more bytes than they declare."""

from __future__ import annotations

import random
import struct

import pytest

from kazoo_media.audio.conversion import ConversionOutcome
from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import encoded, measure, silence, tone, with_data_size
from tests.unit.audio.convert import every

_TONE = tone(2.5)
_NOISE = random.Random(1).randbytes(150_000)
_TAG = b"ID3\x04\x00\x00" + struct.pack(">I", 0x0000_7F00) + _NOISE[: 0x7F << 7]
_CHUNK = b"\x01\x02ab" + struct.pack("<I", 50_000) + _NOISE[:50_000]
_LIST = b"LIST" + struct.pack("<I", 50_000) + _NOISE[:50_000]
_MU_LAW = encoded(_TONE, "wav", "-e", "mu-law")


def _with_file_size(wav: bytes, size: int) -> bytes:
    return wav[:4] + struct.pack("<I", size) + wav[8:]


_LEFT_OUT: dict[str, bytes] = {
    "noise": _TONE + _NOISE,
    "zeros": _TONE + bytes(512),
    "an ID3v2 tag": _TONE + _TAG,
    "a chunk whose name is not text": _TONE + _CHUNK,
    "a chunk that does not end": _TONE + _LIST[:-1],
    "noise after a chunk": _TONE + _LIST + _NOISE,
    "noise after 8 bits": tone(2.5, bits=8) + _NOISE,
    "noise after 24 bits in stereo": tone(2.5, bits=24, channels=2) + _NOISE,
    "noise after mu-law": _MU_LAW + _NOISE,
    "noise after a chunk that the file size contains": (
        _with_file_size(_TONE, len(_TONE) + len(_LIST) - 8) + _LIST + _NOISE
    ),
    "noise after a placeholder of the file size": _with_file_size(_TONE, 0xFFFFFFFF) + _NOISE,
}


def _expect_tone(out: bytes, outcome: ConversionOutcome, duration_s: float) -> None:
    assert outcome.report.error is None
    found = measure(out, "mp3")
    assert found.duration_s == pytest.approx(duration_s, abs=0.2)
    assert found.frequency_hertz == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("name", _LEFT_OUT)
async def test_what_follows_the_declared_audio_is_left_out_with_a_warning(
    start: every.Start, name: str
) -> None:
    out, outcome = await every.run_all(start(AudioFormat.WAV), _LEFT_OUT[name])

    _expect_tone(out, outcome, 2.5)
    [warning] = outcome.report.warnings
    assert "bytes after the declared end of the WAV were left out" in warning


_ALL_READ: dict[str, tuple[bytes, str]] = {
    "a size that is too small": (with_data_size(_TONE, 1000), "declares less audio than the file"),
    "an odd size": (with_data_size(_TONE, 1001), "declares less audio than the file"),
    "a size of 0": (with_data_size(_TONE, 0), "declares no audio: the file was read to its end"),
    "two sizes of 0": (
        _with_file_size(with_data_size(_TONE, 0), 0),
        "declares no audio: the file was read to its end",
    ),
    "a size that is too small, and noise": (
        with_data_size(_TONE, 1000) + _NOISE,
        "declares less audio than the file",
    ),
}


@pytest.mark.parametrize("name", _ALL_READ)
async def test_an_impossible_size_is_ignored_with_a_warning(start: every.Start, name: str) -> None:
    data, expected = _ALL_READ[name]

    out, outcome = await every.run_all(start(AudioFormat.WAV), data)

    _expect_tone(out, outcome, 2.5)
    assert expected in outcome.report.warnings[0]


_JOINED = {
    "16 bits": tone(1.0) + tone(2.0),
    "8 bits, odd": tone(1.0001, bits=8) + b"\0" + tone(2.0, bits=8),
    "8 bits, odd without padding": tone(1.0001, bits=8) + tone(2.0, bits=8),
    "24 bits in stereo": tone(1.0, bits=24, channels=2) + tone(2.0, bits=24, channels=2),
    "mu-law": encoded(tone(1.0), "wav", "-e", "mu-law") + encoded(tone(2.0), "wav", "-e", "mu-law"),
    "after a chunk": tone(1.0) + _LIST + tone(1.0) + tone(1.0),
}


@pytest.mark.parametrize("name", _JOINED)
async def test_joined_files_of_one_format_are_converted_whole(
    start: every.Start, name: str
) -> None:
    out, outcome = await every.run_all(start(AudioFormat.WAV), _JOINED[name])

    _expect_tone(out, outcome, 3.0)
    assert "WAV files in one: all were read" in outcome.report.warnings[0]


async def test_a_joined_file_of_another_format_is_left_out_by_name(start: every.Start) -> None:
    data = tone(1.0) + tone(2.0, rate=16_000, channels=2)

    out, outcome = await every.run_all(start(AudioFormat.WAV), data)

    assert measure(out, "mp3").duration_s == pytest.approx(1.0, abs=0.2)
    [warning] = outcome.report.warnings
    assert "another WAV of 2.0 s with 2 channels at 16000 Hz in linear16 encoding" in warning


async def test_a_joined_file_that_is_cut_is_an_error(start: every.Start) -> None:
    _, outcome = await every.run_all(start(AudioFormat.WAV), (tone(1.0) + tone(2.0))[:-5000])

    assert every.reason(outcome) == "the input is shorter than its header says"


async def test_chunks_after_the_audio_are_not_worth_a_warning(start: every.Start) -> None:
    out, outcome = await every.run_all(start(AudioFormat.WAV), _TONE + _LIST)

    assert outcome.report.error is None
    assert outcome.report.warnings == ()
    assert measure(out, "mp3").duration_s == pytest.approx(2.5, abs=0.2)


async def test_a_chunk_after_a_header_without_audio_is_not_audio(start: every.Start) -> None:
    empty = _with_file_size(silence(0.0), 36 + len(_LIST)) + _LIST

    _, outcome = await every.run_all(start(AudioFormat.WAV), empty)

    assert every.reason(outcome) == "no audio in the input"


_PLACEHOLDERS: dict[str, bytes] = {
    "2,000,000,000": with_data_size(_TONE, 2_000_000_000),
    "0x70000000": with_data_size(_TONE, 0x7000_0000),
    "two of them": _with_file_size(with_data_size(_TONE, 0x7000_0000), 0x7000_0024),
    "more than an hour": with_data_size(_TONE, 3700 * 16_000),
    "in mu-law": with_data_size(_MU_LAW, 0x7000_0000),
    "in IMA ADPCM": with_data_size(encoded(_TONE, "wav", "-e", "ima-adpcm"), 0x7000_0000),
    "in stereo of 24 bits": with_data_size(tone(2.5, channels=2, bits=24), 2_000_000_000),
}


@pytest.mark.parametrize("name", _PLACEHOLDERS)
async def test_an_end_long_before_a_huge_size_is_no_loss(start: every.Start, name: str) -> None:
    out, outcome = await every.run_all(start(AudioFormat.WAV), _PLACEHOLDERS[name])

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(2.5, abs=0.25)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)
    assert any("is taken for a placeholder" in each for each in outcome.report.warnings)


@pytest.mark.parametrize(
    "data",
    [with_data_size(_TONE, 0x7000_0000)[:-1], with_data_size(_TONE, 1800 * 16_000)],
    ids=["within a frame", "half an hour"],
)
async def test_an_end_before_another_size_is_an_error(start: every.Start, data: bytes) -> None:
    _, outcome = await every.run_all(start(AudioFormat.WAV), data)

    assert every.reason(outcome) == "the input is shorter than its header says"
