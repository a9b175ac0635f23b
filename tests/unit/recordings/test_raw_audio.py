"""Raw samples as WAV files, read by sox."""

from __future__ import annotations

import subprocess

import pytest

from kazoo_media.audio.inspect.wav import parse_wav_header
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding

_SOX = {
    RawEncoding.LINEAR16: ("signed-integer", "16"),
    RawEncoding.MULAW: ("mu-law", "8"),
    RawEncoding.ALAW: ("a-law", "8"),
}
_ENCODINGS = pytest.mark.parametrize("encoding", RawEncoding)
_CHANNELS = pytest.mark.parametrize("channels", [1, 2])


def _sox(arguments: list[str], data: bytes) -> bytes:
    done = subprocess.run(["sox", *arguments], input=data, capture_output=True, check=True)
    return done.stdout


@_ENCODINGS
@_CHANNELS
def test_sox_reads_the_samples_behind_a_header_whether_its_sizes_are_known_or_not(
    encoding: RawEncoding, channels: int
) -> None:
    raw = RawAudio(encoding, 8000, channels)
    data = bytes(range(1, 201)) * channels * 3
    raw_options = ["-t", "raw", "-r", "8000", "-c", str(channels)]
    raw_options += ["-e", _SOX[encoding][0], "-b", _SOX[encoding][1]]
    expected = _sox([*raw_options, "-", "-t", "s16", "-"], data)
    for header in (raw.wav_header(len(data)), raw.wav_header(None)):
        assert _sox(["-t", "wav", "-", "-t", "s16", "-"], header + data) == expected
    parsed = parse_wav_header(raw.wav_header(len(data)) + data)
    assert parsed is not None
    assert (parsed.codec, parsed.channel_count) == (encoding, channels)
    assert parsed.duration_ms(len(data)) == raw.duration_ms(len(data))


@_ENCODINGS
def test_the_byte_of_silence_is_the_sample_nearest_to_zero(encoding: RawEncoding) -> None:
    raw = RawAudio(encoding, 8000, 1)
    options = ["-t", "raw", "-r", "8000", "-e", _SOX[encoding][0], "-b", _SOX[encoding][1]]
    options += ["-", "-t", "s16", "-"]

    def level(byte: bytes) -> int:
        return abs(int.from_bytes(_sox(options, byte * 2)[:2], "little", signed=True))

    others = (level(bytes([each])) for each in (0x00, 0x55, 0x7F, 0x80, 0xD5, 0xFF))
    assert level(raw.silence) <= min(others)
