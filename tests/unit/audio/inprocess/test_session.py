from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_media.audio import jobs
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess import session
from kazoo_media.audio.inspect.sniff import sniff
from tests.support.audio_samples import (
    CodedFormat,
    encoded,
    measure,
    noise,
    silence,
    tone,
    wav_bytes,
    with_data_size,
)
from tests.unit.audio.inprocess.sessions import convert, job, run

_CODED: list[tuple[AudioFormat, CodedFormat]] = [
    (AudioFormat.WAV, "wav"),
    (AudioFormat.MP3, "mp3"),
    (AudioFormat.OGG, "ogg"),
    (AudioFormat.FLAC, "flac"),
    (AudioFormat.AU, "au"),
]
_GSM_WAV = encoded(tone(2.0), "wav", "-e", "gsm-full-rate")
_TONE = tone(2.0, rate=44_100, channels=2, frequency_hertz=1000, level_db=-20)


@pytest.mark.parametrize(("source", "coded"), _CODED)
@pytest.mark.parametrize(("preset", "rate"), [("telephony", 8000), ("wideband", 16_000)])
def test_a_tone_comes_out_as_mp3_with_its_length_level_and_frequency(
    source: AudioFormat, coded: CodedFormat, preset: str, rate: int
) -> None:
    found = measure(convert(job(source, AudioFormat.MP3, preset), encoded(_TONE, coded)), "mp3")
    assert found.sample_rate_hertz == rate
    assert found.channel_count == 1
    assert found.duration_s == pytest.approx(2.0, abs=0.25)
    # An mp3 begins with silence, which lowers the mean level; LAME adds as much again.
    assert found.level_db == pytest.approx(-20, abs=1.5 if coded == "mp3" else 0.8)
    assert found.frequency_hertz == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(("source", "coded"), _CODED)
def test_a_tone_comes_out_as_wav(source: AudioFormat, coded: CodedFormat) -> None:
    found = measure(convert(job(source), encoded(_TONE, coded)))
    assert found.sample_rate_hertz == 8000
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    assert found.level_db == pytest.approx(-20, abs=0.8)
    assert found.frequency_hertz == pytest.approx(1000, abs=1)


@pytest.mark.parametrize(
    ("target", "coded"), [(AudioFormat.OGG, "ogg"), (AudioFormat.FLAC, "flac")]
)
@pytest.mark.parametrize(("preset", "rate"), [("telephony", 8000), ("wideband", 16_000)])
def test_a_tone_comes_out_as_ogg_and_flac(
    target: AudioFormat, coded: CodedFormat, preset: str, rate: int
) -> None:
    found = measure(convert(job(target=target, preset=preset), _TONE), coded)
    assert found.sample_rate_hertz == rate
    assert found.duration_s == pytest.approx(2.0, abs=0.001)
    assert found.level_db == pytest.approx(-20, abs=0.3)
    assert found.frequency_hertz == pytest.approx(1000, abs=1)


def test_opus_can_be_written_and_read() -> None:
    opus = convert(job(target=AudioFormat.OPUS, preset="wideband"), _TONE)
    assert sniff(opus[:512]).format is AudioFormat.OPUS
    found = measure(convert(job(AudioFormat.OPUS), opus))
    assert found.duration_s == pytest.approx(2.0, abs=0.05)
    assert found.level_db == pytest.approx(-20, abs=0.3)
    assert found.frequency_hertz == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("encoding", ["linear16", "mulaw", "alaw"])
def test_every_encoding_of_wav_holds_the_same_audio(encoding: str) -> None:
    data = convert(job(wav_encoding=encoding), _TONE)
    assert int.from_bytes(data[20:22], "little") == {"linear16": 1, "mulaw": 7, "alaw": 6}[encoding]
    found = measure(data)
    assert found.duration_s == pytest.approx(2.0, abs=0.001)
    assert found.level_db == pytest.approx(-20, abs=0.1)
    assert found.frequency_hertz == pytest.approx(1000, abs=1)


@pytest.mark.parametrize(
    "options",
    [
        ("-b", "8"),
        ("-b", "16"),
        ("-b", "24"),
        ("-b", "32"),
        ("-b", "32", "-e", "floating-point"),
        ("-e", "mu-law"),
        ("-e", "a-law"),
        ("-e", "ms-adpcm"),
        ("-e", "ima-adpcm"),
        ("-r", "8000", "-c", "1", "-e", "gsm-full-rate"),
        ("-B",),
    ],
)
def test_every_kind_of_sample_in_a_wav_is_read(options: tuple[str, ...]) -> None:
    found = measure(convert(job(), encoded(_TONE, "wav", *options)))
    assert found.duration_s == pytest.approx(2.0, abs=0.05)
    assert found.level_db == pytest.approx(-20, abs=0.5)
    assert found.frequency_hertz == pytest.approx(1000, abs=1)


@pytest.mark.parametrize(
    ("source", "coded"),
    [(AudioFormat.PCMU, "ul"), (AudioFormat.PCMA, "al"), (AudioFormat.GSM, "gsm")],
)
def test_raw_formats_are_read(source: AudioFormat, coded: CodedFormat) -> None:
    found = measure(convert(job(source), encoded(tone(1.0, level_db=-20), coded)))
    assert found.duration_s == pytest.approx(1.0, abs=0.03)
    assert found.level_db == pytest.approx(-20, abs=0.5)
    assert found.frequency_hertz == pytest.approx(440, abs=1)


def test_linear_samples_at_the_right_rate_come_out_as_they_went_in() -> None:
    wav = noise(1.0)
    assert convert(job(), wav)[44:] == wav[44:]


def test_g711_at_the_right_rate_comes_out_as_it_went_in() -> None:
    for encoding, option in (("mulaw", "mu-law"), ("alaw", "a-law")):
        wav = encoded(noise(1.0), "wav", "-e", option)
        at = wav.index(b"data") + 8
        one_zero = (
            wav[at : at + 8000].replace(b"\x7f", b"\xff") if encoding == "mulaw" else wav[at:]
        )
        assert convert(job(wav_encoding=encoding), wav)[-8000:] == one_zero


def test_channels_are_mixed_to_their_mean_unless_they_cancel() -> None:
    seconds = np.arange(8000) / 8000
    left = np.sin(2 * np.pi * 500 * seconds) * 0.5
    stereo = encoded(wav_bytes(left, 8000, 1, 16), "wav", "-c", "1")
    both = np.stack([left, -left], axis=1).reshape(-1)
    cancelled = wav_bytes(both, 8000, 1, 16)
    as_stereo = cancelled[:22] + b"\x02\x00" + cancelled[24:32] + b"\x04\x00" + cancelled[34:]
    made, report = run(job(), as_stereo)
    assert measure(made).peak_db == pytest.approx(-6, abs=0.1)
    assert report.warnings == (
        "the channels cancel each other: one of them was used instead of their sum",
    )
    assert measure(convert(job(), stereo)).peak_db == pytest.approx(-6, abs=0.1)


@settings(max_examples=15)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=8))
@pytest.mark.parametrize(("source", "coded"), [*_CODED, (AudioFormat.WAV, "24")])
def test_borders_of_chunks_mean_nothing(source: AudioFormat, coded: str, sizes: list[int]) -> None:
    wav = noise(0.5, rate=16_000, channels=2)
    data = encoded(wav, "wav", "-b", "24") if coded == "24" else encoded(wav, coded)

    def chunks() -> Iterator[bytes]:
        at = turn = 0
        while at < len(data):
            size = sizes[turn % len(sizes)] if turn < 40 else 60_000
            yield data[at : at + size]
            at, turn = at + size, turn + 1

    assert run(job(source), chunks()) == run(job(source), data)


def test_output_grows_while_input_arrives() -> None:
    wav = with_data_size(noise(60.0), 0xFFFFFFFF)
    source_fd, feed_fd = os.pipe()
    read_fd, sink_fd = os.pipe()
    what = job(ignore_length=True, target=AudioFormat.MP3)
    seen = bytearray()

    def work() -> None:
        session.convert(what, source_fd, sink_fd, -1)
        os.close(sink_fd)

    worker = threading.Thread(target=work)
    worker.start()
    os.write(feed_fd, wav[:44])
    for at in range(44, len(wav), 60_000):
        rest = memoryview(wav[at : at + 60_000])
        while rest:
            rest = rest[os.write(feed_fd, rest) :]
        if at > 200_000:
            seen += os.read(read_fd, 65_536)
    before_the_end = len(seen)
    os.close(feed_fd)
    while data := os.read(read_fd, 65_536):
        seen += data
    worker.join()
    os.close(read_fd)
    os.close(source_fd)
    assert before_the_end > 0.7 * len(seen)


def test_a_wav_without_a_length_is_read_to_its_end() -> None:
    for size in (0, 0x7FFFF000, 0xFFFFFFFF, 4000):
        wav = with_data_size(tone(2.0), size)
        found = measure(convert(job(ignore_length=size != 4000), wav))
        assert found.duration_s == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize("encoding", ["gsm-full-rate", "ms-adpcm", "ima-adpcm"])
@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_compressed_wav_without_a_length_ends_with_its_input(encoding: str, size: int) -> None:
    wav = with_data_size(encoded(tone(2.0), "wav", "-e", encoding), size)
    found = measure(convert(job(ignore_length=True), wav))
    assert found.duration_s == pytest.approx(2.0, abs=0.07)


@pytest.mark.parametrize("blocks", [63, 64])
def test_any_number_of_blocks_is_a_whole_wav(blocks: int) -> None:
    seconds = blocks * 320 / 8000  # samples of a block of GSM
    wav = encoded(tone(seconds), "wav", "-e", "gsm-full-rate", "-r", "8000")
    found = measure(convert(job(), wav))
    assert found.duration_s == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("odd", [b"", b"\x01"])
def test_what_follows_the_audio_of_a_wav_is_not_played(odd: bytes) -> None:
    audio = with_data_size(silence(1.0), 16_000 + len(odd)) + odd + bytes(len(odd))
    wav = audio + b"LIST" + (4000).to_bytes(4, "little") + b"\x55\xaa" * 2000
    found = measure(convert(job(), wav))
    assert found.duration_s == pytest.approx(1.0, abs=0.001)
    assert found.peak_db == float("-inf")


@pytest.mark.parametrize(
    ("source", "data", "reason"),
    [
        (AudioFormat.WAV, b"", "ends within its WAV header"),
        (AudioFormat.WAV, b"RIFF", "ends within its WAV header"),
        (AudioFormat.WAV, b"no audio at all, but a text", "no RIFF/WAVE header"),
        (AudioFormat.WAV, tone(2.0)[:20_000], "is shorter than its header says"),
        (AudioFormat.WAV, _GSM_WAV[:2000], "is shorter than its header says"),
        (AudioFormat.WAV, tone(1.0)[:44], "is shorter than its header says"),
        (AudioFormat.WAV, silence(0.0), "no audio in the input"),
        (AudioFormat.WAV, tone(0.1, rate=1000), "1000 Hz is not supported"),
        (AudioFormat.WAV, tone(0.1, channels=9), "9 channels are not supported"),
        (AudioFormat.WAV, with_data_size(tone(1.0), 640_000_000)[:-1], "shorter than its header"),
        (AudioFormat.FLAC, encoded(noise(2.0), "flac")[:9000], "is shorter than its header says"),
        (AudioFormat.FLAC, b"fLaC" + bytes(2000), "cannot be decoded"),
        (AudioFormat.MP3, b"", "cannot be decoded"),
        (AudioFormat.MP3, bytes(5000), "cannot be decoded"),
        (AudioFormat.OGG, b"OggS" + bytes(5000), "cannot be decoded"),
        (AudioFormat.OGG, encoded(tone(1.0), "ogg")[:1000], "cannot be decoded"),
        (AudioFormat.AMR, b"#!AMR\n", "cannot be decoded"),
        (AudioFormat.PCMU, b"", "no audio in the input"),
    ],
)
def test_what_is_broken_is_an_error_with_its_reason(
    source: AudioFormat, data: bytes, reason: str
) -> None:
    report = run(job(source), data)[1]
    assert report.error is not None
    assert reason in report.error


def test_a_flac_that_claims_ten_hours_is_refused_at_its_header() -> None:
    flac = bytearray(encoded(silence(1.0), "flac"))
    rate, samples = 8000, 36_000 * 8000
    flac[18:26] = (rate << 44 | 15 << 36 | samples).to_bytes(8, "big")
    report = run(job(AudioFormat.FLAC), bytes(flac))[1]
    assert report.error is not None
    assert "its header claims 36000 s" in report.error


def test_an_endless_stream_ends_with_an_error() -> None:
    wav = with_data_size(silence(0.0, rate=4000, bits=8), 0xFFFFFFFF)
    endless = itertools.chain([wav], itertools.repeat(b"\x80" * 65_536))
    report = run(job(ignore_length=True), endless)[1]
    assert report.error == "it is longer than the limit of 10800 s"


def test_garbage_never_raises() -> None:
    garbage = np.random.default_rng(3).bytes(30_000)
    for source, coded in _CODED:
        head = encoded(tone(0.2), coded)[:300]
        run(job(source, AudioFormat.MP3), head + garbage)
        run(job(source, AudioFormat.MP3), garbage)


@pytest.mark.parametrize("target", sorted(jobs.TARGETS, key=str))
def test_a_reader_that_leaves_ends_the_conversion(target: AudioFormat) -> None:
    source_fd, feed_fd = os.pipe()
    read_fd, sink_fd = os.pipe()
    os.write(feed_fd, tone(0.5))
    os.close(feed_fd)
    os.close(read_fd)
    with pytest.raises(BrokenPipeError):
        session.convert(job(target=target), source_fd, sink_fd, -1)
    os.close(source_fd)
    os.close(sink_fd)


def test_warming_up_starts_no_thread() -> None:
    script = (
        "import os; from kazoo_media.audio.inprocess import session; session.warm_up();"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environment = {**os.environ, **jobs.ENVIRONMENT}
    run_ = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    assert run_.stdout == b"1\n"
