"""The head of an input: when it can be judged, and what it shows."""

from __future__ import annotations

import pytest

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import MOST_HEAD_BYTES, can_be_judged, judged
from tests.support.audio_samples import encoded, tone, with_data_size


def _with_chunk(audio: bytes, size: int) -> bytes:
    """Return a WAV with another chunk before its audio."""
    return audio[:12] + b"JUNK" + size.to_bytes(4, "little") + bytes(size) + audio[12:]


def test_512_bytes_are_enough_but_of_a_wav_the_whole_header_is_needed() -> None:
    mp3, wav = encoded(tone(1.0), "mp3"), _with_chunk(tone(1.0), 3000)
    assert [can_be_judged(mp3[:size]) for size in (511, 512)] == [False, True]
    assert [can_be_judged(wav[:size]) for size in (512, 3051, 3052)] == [False, False, True]


@pytest.mark.parametrize("chunk_bytes", [1000, 65_000, 100_000])
def test_a_wav_with_a_long_header_is_judged_without_its_audio(chunk_bytes: int) -> None:
    wav = tone(0.1)
    for _ in range(MOST_HEAD_BYTES // chunk_bytes + 1):
        wav = _with_chunk(wav, chunk_bytes)
    assert can_be_judged(wav[:MOST_HEAD_BYTES])
    head = judged(wav[:MOST_HEAD_BYTES])
    assert head.problem(AudioFormat.WAV) is None
    assert head.ignores_length  # its size is not known yet


@pytest.mark.parametrize(
    ("data", "source", "problem"),
    [
        (b"", AudioFormat.MP3, "the input is empty"),
        (b"%PDF-1.7" + bytes(600), AudioFormat.MP3, "the input is a PDF document, not audio"),
        (tone(0.1), AudioFormat.MP3, "the input is WAV, not MP3"),
        (tone(0.1)[:40], AudioFormat.WAV, "the input ends within its WAV header"),
        (tone(0.1, rate=1000), AudioFormat.WAV, "a sample rate of 1000 Hz is not supported"),
    ],
)
def test_what_no_converter_must_see_is_refused(
    data: bytes, source: AudioFormat, problem: str
) -> None:
    assert judged(data).problem(source) == problem


@pytest.mark.parametrize("source", [AudioFormat.PCMU, AudioFormat.GSM])
def test_a_frame_sync_does_not_stand_against_raw_audio(source: AudioFormat) -> None:
    head = judged(encoded(tone(1.0), "mp3")[:512])
    assert head.format is AudioFormat.MP3
    assert head.problem(source) is None


@pytest.mark.parametrize(
    ("size", "ignores"), [(0, True), (0x7FFFF000, True), (0xFFFFFFFF, True), (100, False)]
)
def test_a_length_that_can_not_be_meant_is_ignored(size: int, *, ignores: bool) -> None:
    assert judged(with_data_size(tone(0.1), size)).ignores_length is ignores
