from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.sniff import Verdict, sniff
from tests.support.audio_samples import CodedFormat, encoded, noise, silence, tone

CODED: dict[CodedFormat, AudioFormat] = {
    "mp3": AudioFormat.MP3,
    "ogg": AudioFormat.OGG,
    "flac": AudioFormat.FLAC,
    "amr-nb": AudioFormat.AMR,
    "au": AudioFormat.AU,
}


def ogg_page(packet: bytes) -> bytes:
    header = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, 7, 0, 0, 1)
    return header + bytes([len(packet)]) + packet


@pytest.mark.parametrize("coded", CODED)
def test_what_sox_writes_is_recognised(coded: CodedFormat) -> None:
    assert sniff(encoded(tone(), coded)).format is CODED[coded]


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_without_any_tag_is_recognised_at_all_rates(rate: int, channels: int) -> None:
    assert sniff(encoded(tone(rate=rate, channels=channels), "mp3")).format is AudioFormat.MP3


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (tone(), AudioFormat.WAV),
        (b"RIFX" + tone()[4:], AudioFormat.WAV),
        (b"RF64" + tone()[4:], AudioFormat.WAV),
        (b"ID3\x04\x00\x00\x00\x00\x00\x7f", AudioFormat.MP3),
        (b"#!AMR-WB\n\x04", AudioFormat.AMR_WB),
        (ogg_page(b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"), AudioFormat.OPUS),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00", AudioFormat.M4A),
        (b"\x00\x00\x00\x20ftypisom\x00\x00", AudioFormat.MP4),
        (b"\x00\x00\x00\x18ftyp3gp4\x00\x00", AudioFormat.THREE_GP),
        (b"\x00\x00\x00\x18ftyp3gr6\x00\x00", AudioFormat.THREE_GP),
        (b"\x00\x00\x00\x18ftyp3g2a\x00\x00", AudioFormat.THREE_GP2),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00", AudioFormat.QUICKTIME),
        (b"\x00\x00\x00\x08wide\x00\x01\x00\x00mdat", AudioFormat.QUICKTIME),
        (b"\x00\x01\x00\x00moov\x00\x00\x00\x6cmvhd", AudioFormat.QUICKTIME),
        (b"\x1aE\xdf\xa3\x9fB\x86", AudioFormat.WEBM),
        (b"FLV\x01\x05\x00\x00\x00\x09", AudioFormat.FLV),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa", AudioFormat.WMA),
        (b"\x00\x00\x01\xba\x44\x00", AudioFormat.MPEG),
        ((b"G" + bytes(187)) * 3, AudioFormat.MPEG),
        (b"\x00\x00\x00\x01\x67\x42", AudioFormat.H264),
        (b"\xff\xf1\x50\x80\x01\x1f\xfc" + b"\xaa", AudioFormat.AAC),
    ],
)
def test_a_container_is_recognised_by_its_magic(head: bytes, expected: AudioFormat) -> None:
    found = sniff(head)

    assert (found.verdict, found.format) == (Verdict.AUDIO, expected)


@pytest.mark.parametrize(
    ("head", "label"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"  <!DOCTYPE HTML><html>", "HTML"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b'{"data": {"name": "x"}}', "JSON"),
        (b'{"a":1}', "JSON"),
        (b"[1, 2]", "JSON"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n\x00", "a PNG picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG picture"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8 ", "a WebP picture"),
        (b"RIFF\x00\x10\x00\x00AVI LIST", "an AVI video"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "a HEIF picture"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"MZ\x90\x00\x03\x00", "a program"),
        (b"this is not audio", "plain text"),
        ("Größe und Übermut, ".encode() * 40, "plain text"),
        (b"#EXTM3U\n/etc/passwd\n", "plain text"),
    ],
)
def test_other_files_are_named(head: bytes, label: str) -> None:
    found = sniff(head)

    assert (found.verdict, found.label) == (Verdict.NOT_AUDIO, label)


@pytest.mark.parametrize("coded", ["ul", "al", "gsm"])
@pytest.mark.parametrize("wav", [tone(), noise(), silence(), noise(level_db=-80.0)])
def test_raw_telephony_audio_is_never_called_something_else(coded: CodedFormat, wav: bytes) -> None:
    assert sniff(encoded(wav, coded)).verdict is not Verdict.NOT_AUDIO


@pytest.mark.parametrize("level", [b"\x55", b"\xd5", b"\x7f", b"\xff", b"\x7e", b"UUUTUUVU"])
def test_a_quiet_line_is_unknown(level: bytes) -> None:
    assert sniff(level * 600).verdict is Verdict.UNKNOWN


def test_a_frame_sync_that_no_other_frame_follows_is_no_mp3() -> None:
    mp3 = encoded(tone(), "mp3")
    randomness = random.Random(1).randbytes(600)

    assert sniff(mp3[:4] + randomness).verdict is Verdict.UNKNOWN


def test_an_empty_file_is_unknown() -> None:
    assert sniff(b"").verdict is Verdict.UNKNOWN


def test_an_ogg_of_another_codec_is_unknown() -> None:
    assert sniff(ogg_page(b"Speex   1.2")).verdict is Verdict.UNKNOWN


@given(st.binary(max_size=600))
def test_no_bytes_make_it_fail_and_only_the_head_counts(data: bytes) -> None:
    found = sniff(data)

    assert (found.format is not None) == (found.verdict is Verdict.AUDIO)
    assert (found.label is not None) == (found.verdict is Verdict.NOT_AUDIO)
    assert sniff(data[:512]) == found


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xff\x14\x00" + bytes(100),  # layer I, which nobody uploads
        b"\xff\xf1\x7c\x80\x01\x1f\xfc",  # ADTS with a reserved rate
        b"\xff\xf1\x50",
        b"\xff\xf1\x50\x80\x01\x1f\xfc\x00\x00\x00",
        b"OggS",
    ],
)
def test_half_a_magic_is_not_believed(head: bytes) -> None:
    assert sniff(head).verdict is Verdict.UNKNOWN
