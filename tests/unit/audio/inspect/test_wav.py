from __future__ import annotations

import io
import struct
import tracemalloc
import wave
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.audio.inspect.wav import (
    LARGEST_HEADER_BYTES,
    WavHeader,
    ignore_length_needed,
    parse_wav_header,
    repaired_head,
)
from kazoo_media.audio.inspect.wav_walk import WavWalk
from tests.support.audio_samples import encoded, measure, tone, with_data_size


def header_bytes(
    *,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
    size: int = 0,
    extra: bytes = b"",
) -> bytes:
    align = channels * bits // 8
    fmt = struct.pack("<HHIIHH", code, channels, rate, (rate * align) & 0xFFFFFFFF, align, bits)
    return b"RIFF\0\0\0\0WAVE" + extra + b"fmt \x10\0\0\0" + fmt + b"data" + struct.pack("<I", size)


def parsed(data: bytes) -> WavHeader:
    header = parse_wav_header(data)
    assert header is not None
    return header


@given(
    rate=st.integers(1, 0xFFFFFFFF),
    channels=st.integers(1, 100),
    bits=st.sampled_from([8, 16, 24, 32]),
    size=st.integers(0, 0xFFFFFFFF),
    listed=st.binary(max_size=100),
)
def test_a_header_is_read_as_it_was_written(
    rate: int, channels: int, bits: int, size: int, listed: bytes
) -> None:
    extra = b"LIST" + struct.pack("<I", len(listed)) + listed + bytes(len(listed) & 1)
    data = header_bytes(rate=rate, channels=channels, bits=bits, size=size, extra=extra)

    header = parsed(data)

    assert (header.sample_rate_hertz, header.channel_count, header.bits) == (rate, channels, bits)
    assert (header.declared_bytes, header.data_offset) == (size, len(data))


@given(st.integers(0, 43))
def test_a_header_that_is_not_complete_asks_for_more(length: int) -> None:
    assert parse_wav_header(header_bytes()[:length]) is None


@given(st.binary(max_size=200))
def test_no_bytes_behind_the_magic_make_it_fail_otherwise(data: bytes) -> None:
    with suppress(ValueError):
        parse_wav_header(b"RIFF\0\0\0\0WAVE" + data)


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="no RIFF/WAVE"):
        parse_wav_header(b"OggS" + bytes(100))


def test_audio_before_its_format_is_refused() -> None:
    with pytest.raises(ValueError, match="no complete fmt chunk"):
        parse_wav_header(b"RIFF\0\0\0\0WAVEdata\0\0\0\0")


def test_a_header_without_end_is_refused() -> None:
    chunk = b"LIST" + struct.pack("<I", 1000) + bytes(1000)

    with pytest.raises(ValueError, match="no audio within"):
        parse_wav_header(b"RIFF\0\0\0\0WAVE" + chunk * (LARGEST_HEADER_BYTES // 1000 + 1))


def test_a_long_header_is_walked_over_in_little_memory() -> None:
    walk, wav = WavWalk(), header_bytes(size=6)
    walk.kept(wav[:12] + b"JUNK" + struct.pack("<I", LARGEST_HEADER_BYTES - 100))
    piece = bytes(1 << 20)
    tracemalloc.start()
    try:
        for _ in range(15):
            assert walk.kept(piece) == b""
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    plain = wav[:4] + b"\xff" * 4 + wav[8:40] + b"\xff" * 4
    assert walk.kept(piece[100:] + wav[12:] + b"sample") == plain + b"sample"
    assert walk.audio_bytes == 6


def test_an_extensible_header_tells_the_code_that_it_extends() -> None:
    data = encoded(tone(bits=24), "wav", "-b", "24")
    assert struct.unpack_from("<H", data, 20)[0] == 0xFFFE

    header = parsed(data)

    assert (header.format_code, header.bits) == (1, 24)


def test_big_endian_headers_are_read() -> None:
    fmt = struct.pack(">HHIIHH", 1, 2, 16000, 64000, 4, 16)
    data = b"RIFX\0\0\0\0WAVEfmt \0\0\0\x10" + fmt + b"data" + struct.pack(">I", 64000)

    header = parsed(data)

    assert (header.sample_rate_hertz, header.duration_ms(64000)) == (16000, 1000)


def test_the_long_size_of_rf64_counts() -> None:
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, 160_000, 0, 0)
    data = b"RF64" + header_bytes(size=0xFFFFFFFF, extra=ds64)[4:]

    assert parsed(data).declared_bytes == 160_000


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header_bytes(rate=1), "a sample rate of 1 Hz"),
        (header_bytes(rate=384_000), "a sample rate of 384000 Hz"),
        (header_bytes(channels=0), "0 channels"),
        (header_bytes(channels=9), "9 channels"),
        (header_bytes(bits=64), "samples of 64 bits"),
        (header_bytes(bits=4), "samples of 4 bits"),
        (header_bytes(bits=0, code=0x31), "block size of 0"),
    ],
)
def test_implausible_headers_have_a_problem(data: bytes, problem: str) -> None:
    assert problem in str(parsed(data).problem)


def test_plausible_headers_have_no_problem() -> None:
    assert parsed(tone(rate=192_000, channels=8, bits=24, seconds=0.01)).problem is None


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_sizes_that_streams_write_are_not_believed(size: int) -> None:
    assert ignore_length_needed(parsed(header_bytes(size=size)))


@pytest.mark.parametrize("size", [1, 16_000, 0x7FFFEFFF])
def test_other_sizes_are_believed(size: int) -> None:
    assert not ignore_length_needed(parsed(header_bytes(size=size)))


@pytest.mark.parametrize("options", [(), ("-e", "mu-law"), ("-e", "gsm"), ("-e", "ima-adpcm")])
@pytest.mark.parametrize("wrong", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_repaired_head_makes_the_file_what_it_was_before(
    options: tuple[str, ...], wrong: int
) -> None:
    good = encoded(tone(1.0), "wav", *options)
    broken = with_data_size(good, wrong)
    broken = broken[:4] + b"\xff\xff\xff\xff" + broken[8:]
    fact_at = broken.find(b"fact", 0, 100)
    if fact_at > 0:
        broken = broken[: fact_at + 8] + b"\0\0\0\0" + broken[fact_at + 12 :]

    head = repaired_head(broken[:128], len(broken))

    repaired = head + broken[128:]
    assert len(head) == 128
    assert repaired[:4] + repaired[8:12] == b"RIFFWAVE"
    assert struct.unpack_from("<I", repaired, 4)[0] == len(good) - 8
    assert measure(repaired).duration_s == pytest.approx(measure(good).duration_s, abs=0.05)
    if "gsm" not in options and "ima-adpcm" not in options:
        assert repaired == good


def test_the_standard_library_reads_what_was_repaired() -> None:
    broken = with_data_size(tone(2.0, channels=2), 0x7FFFF000)

    repaired = repaired_head(broken[:44], len(broken)) + broken[44:]

    with wave.open(io.BytesIO(repaired)) as reader:
        assert reader.getnframes() == 16_000


@given(total=st.integers(0, 1 << 40), bits=st.sampled_from([8, 16, 24]), channels=st.integers(1, 8))
def test_sizes_never_overflow(total: int, bits: int, channels: int) -> None:
    head = header_bytes(bits=bits, channels=channels)

    fixed = repaired_head(head, total)

    size = struct.unpack_from("<I", fixed, 40)[0]
    assert len(fixed) == len(head)
    assert size == 0xFFFFFFFF or size <= max(0, total - 44)
    assert size == 0xFFFFFFFF or size % (channels * bits // 8) == 0


@given(st.binary(max_size=100))
def test_what_is_no_complete_wav_comes_back_unchanged(data: bytes) -> None:
    if not data.startswith(b"RIFF"):
        assert repaired_head(data, 1000) == data


def test_formats_without_a_fixed_block_have_no_length() -> None:
    mp3_in_wav = header_bytes(code=0x55, size=1000)

    assert parsed(mp3_in_wav).duration_ms(1000) is None


def test_a_head_without_a_block_size_gets_its_sizes_all_the_same() -> None:
    head = header_bytes(bits=0)

    fixed = repaired_head(head, 1044)

    assert struct.unpack_from("<I", fixed, 40)[0] == 1000
