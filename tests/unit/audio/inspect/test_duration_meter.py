from __future__ import annotations

import functools
import random
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.model import AudioFacts
from tests.support.audio_samples import (
    CodedFormat,
    contained,
    encoded,
    measure,
    noise,
    silence,
    tone,
    with_data_size,
)

FORMATS: dict[CodedFormat, AudioFormat] = {
    "wav": AudioFormat.WAV,
    "mp3": AudioFormat.MP3,
    "ogg": AudioFormat.OGG,
    "flac": AudioFormat.FLAC,
    "amr-nb": AudioFormat.AMR,
    "au": AudioFormat.AU,
    "al": AudioFormat.PCMA,
    "ul": AudioFormat.PCMU,
    "gsm": AudioFormat.GSM,
}


@functools.cache
def sample(coded: CodedFormat) -> bytes:
    return encoded(noise(2.5), coded)


def metered(data: bytes, audio_format: AudioFormat, chunk_bytes: int = 1 << 20) -> DurationMeter:
    meter = DurationMeter(audio_format)
    for at in range(0, len(data), chunk_bytes):
        meter.feed(data[at : at + chunk_bytes])
    return meter


def ogg_page(serial: int, granule: int, flags: int, body: bytes) -> bytes:
    header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, 0, 0, 1)
    return header + bytes([len(body)]) + body


@pytest.mark.parametrize("coded", [each for each in FORMATS if each not in ("amr-nb", "mp3")])
def test_the_length_is_that_of_the_decoded_audio(coded: CodedFormat) -> None:
    facts = metered(sample(coded), FORMATS[coded]).facts()

    decoded = measure(sample(coded), coded)
    assert facts.duration_ms == pytest.approx(decoded.duration_s * 1000, abs=1)
    assert facts.sample_rate_hertz == decoded.sample_rate_hertz
    assert facts.channel_count == decoded.channel_count


@pytest.mark.parametrize(
    ("coded", "codec"),
    [
        *(("wav", "linear16"), ("mp3", "mp3"), ("ogg", "vorbis"), ("flac", "flac")),
        *(("amr-nb", "amr-nb"), ("al", "alaw"), ("ul", "mulaw"), ("gsm", "gsm")),
    ],
)
def test_the_codec_is_named(coded: CodedFormat, codec: str) -> None:
    assert metered(sample(coded), FORMATS[coded]).facts().codec == codec


@pytest.mark.parametrize(
    ("options", "codec"),
    [
        (["-b", "24"], "linear24"),
        (["-e", "float", "-b", "32"], "float32"),
        (["-e", "a-law"], "alaw"),
        (["-e", "mu-law"], "mulaw"),
        (["-e", "ima-adpcm"], "ima-adpcm"),
        (["-e", "gsm-full-rate"], "gsm"),
    ],
)
def test_the_codec_of_a_wav_is_what_its_header_says(options: list[str], codec: str) -> None:
    coded = subprocess.run(
        ["sox", "-t", "wav", "-", *options, "-t", "wav", "-"],
        input=tone(0.5, rate=8000),
        capture_output=True,
        check=True,
    ).stdout
    assert metered(coded, AudioFormat.WAV).facts().codec == codec


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_mp3_frame_is_counted(rate: int, channels: int) -> None:
    mp3 = encoded(tone(3.0, rate=rate, channels=channels), "mp3")

    facts = metered(mp3, AudioFormat.MP3).facts()

    # sox' decoder leaves out the last frames.
    assert facts.duration_ms == pytest.approx(measure(mp3, "mp3").duration_s * 1000, abs=80)
    assert (facts.sample_rate_hertz, facts.channel_count) == (rate, channels)


def test_amr_is_counted_in_frames_of_20_ms() -> None:
    assert metered(sample("amr-nb"), AudioFormat.AMR).facts() == AudioFacts(2500, 8000, 1, "amr-nb")


def test_silence_frames_of_amr_last_as_long_as_others() -> None:
    data = b"#!AMR\n" + b"\x44" + bytes(5) + b"\x7c" * 99

    assert metered(data, AudioFormat.AMR).facts().duration_ms == 2000


@pytest.mark.parametrize("coded", FORMATS)
@given(seed=st.integers(0, 1 << 32), longest=st.sampled_from([3, 50, 700, 20_000]))
def test_the_borders_of_chunks_do_not_matter(coded: CodedFormat, seed: int, longest: int) -> None:
    data, chooser = sample(coded), random.Random(seed)
    whole = metered(data, FORMATS[coded])
    meter = DurationMeter(FORMATS[coded])
    at = 0
    while at < len(data):
        length = chooser.randint(0, longest)
        meter.feed(data[at : at + length])
        at += length

    assert meter.facts() == whole.facts()
    assert meter.is_truncated() == whole.is_truncated()


@pytest.mark.parametrize("audio_format", AudioFormat)
@given(data=st.binary(max_size=3000), cut=st.integers(0, 3000))
def test_garbage_behind_any_magic_is_survived(
    audio_format: AudioFormat, data: bytes, cut: int
) -> None:
    for magic in (b"", b"ID3", b"OggS\x00\x02", b"fLaC", b"#!AMR\n", b".snd", tone(0.01)[:44]):
        meter = DurationMeter(audio_format)
        meter.feed((magic + data)[:cut])
        meter.feed((magic + data)[cut:])
        facts = meter.facts()
        assert facts.duration_ms is None or facts.duration_ms >= 0
        assert meter.is_truncated() in (True, False)
        assert meter.expected_ms() is None or facts.duration_ms is not None


@pytest.mark.parametrize(
    "hostile", [b"\xff", b"\xff\xfb\x90\0\0", b"OggS\0", b"\xff\xf8", b"\xff\xe3\x18\xc4\0"]
)
@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC])
def test_bytes_full_of_false_headers_end_without_a_length(
    hostile: bytes, audio_format: AudioFormat
) -> None:
    head = (
        sample("flac")[:18] + b"\x0a\xc4\x40\xf0" + bytes(20)
        if audio_format.name == "FLAC"
        else b""
    )

    meter = metered(head + hostile * 400_000, audio_format)

    assert meter.facts().duration_ms in (None, 0)


def test_unknown_formats_have_no_facts() -> None:
    meter = metered(bytes(1000), AudioFormat.H264)

    assert meter.facts() == AudioFacts()
    assert not meter.is_truncated()


class TestWav:
    def test_a_chunk_behind_the_audio_is_not_audio(self) -> None:
        wav = tone(1.0) + b"LIST\x08\x00\x00\x00INFOISFT" + bytes(4000)

        assert metered(wav, AudioFormat.WAV, 7).facts().duration_ms == 1000

    def test_audio_behind_a_size_that_is_too_small_counts(self) -> None:
        wav = with_data_size(noise(2.0), 16_000)

        assert metered(wav, AudioFormat.WAV).facts().duration_ms == 2000

    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
    def test_audio_of_a_stream_is_counted_to_the_end(self, size: int) -> None:
        meter = metered(with_data_size(tone(2.0), size), AudioFormat.WAV)

        assert meter.facts().duration_ms == meter.expected_ms() == 2000
        assert not meter.is_truncated()

    def test_a_cut_file_is_truncated_and_was_expected_to_be_longer(self) -> None:
        meter = metered(tone(2.0)[:16_044], AudioFormat.WAV)

        assert meter.is_truncated()
        assert (meter.facts().duration_ms, meter.expected_ms()) == (1000, 2000)

    def test_a_file_that_ends_within_its_header_is_truncated(self) -> None:
        assert metered(tone(1.0)[:30], AudioFormat.WAV).is_truncated()

    @pytest.mark.parametrize("encoding", ["mu-law", "gsm", "ima-adpcm", "ms-adpcm", "float"])
    def test_compressed_audio_is_counted(self, encoding: str) -> None:
        wav = encoded(tone(3.0), "wav", "-e", encoding)

        assert metered(wav, AudioFormat.WAV).facts().duration_ms == pytest.approx(3000, abs=70)


class TestMp3:
    def test_a_tag_before_the_audio_is_skipped_whatever_it_holds(self) -> None:
        picture = b"\xff\xfb\x90\x64" * 50_000
        size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
        tagged = b"ID3\x03\x00\x00" + size + picture + sample("mp3")

        facts = metered(tagged, AudioFormat.MP3, 999).facts()

        assert facts == metered(sample("mp3"), AudioFormat.MP3).facts()

    def test_a_tag_behind_the_audio_is_not_counted(self) -> None:
        meter = metered(sample("mp3") + b"TAG" + bytes(125), AudioFormat.MP3)

        assert meter.facts() == metered(sample("mp3"), AudioFormat.MP3).facts()
        assert not meter.is_truncated()

    def test_garbage_in_the_middle_costs_only_itself(self) -> None:
        mp3 = sample("mp3")
        middle = 72 * 15

        broken = mp3[:middle] + random.Random(2).randbytes(5000) + mp3[middle:]

        expected = metered(mp3, AudioFormat.MP3).facts().duration_ms
        assert metered(broken, AudioFormat.MP3).facts().duration_ms == expected

    def test_a_cut_frame_shows(self) -> None:
        assert not metered(sample("mp3"), AudioFormat.MP3).is_truncated()
        assert metered(sample("mp3")[:-10], AudioFormat.MP3).is_truncated()

    def test_the_number_of_frames_in_a_tag_is_expected(self) -> None:
        mp3 = encoded(tone(2.0, rate=44100, channels=1), "mp3")
        length = 144 * 64_000 // 44_100
        tag = bytearray(mp3[:4] + bytes(length - 4))
        tag[21:33] = b"Info\x00\x00\x00\x01" + struct.pack(">I", 1000)

        meter = metered(bytes(tag) + mp3[length:], AudioFormat.MP3)

        assert mp3[2] >> 4 == 5  # 64 kbit/s, or `length` is wrong
        assert meter.expected_ms() == round(1000 * 1152 / 44.1)

    @pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
    @pytest.mark.parametrize("options", [(), ("-q:a", "4")])
    def test_the_frame_of_a_tag_is_not_audio(self, rate: int, options: tuple[str, ...]) -> None:
        mp3 = contained(tone(2.0, rate=rate), "a.mp3", *options)
        assert b"Info" in mp3[:200] or b"Xing" in mp3[:200]

        meter = metered(mp3, AudioFormat.MP3)

        frame_ms = (1152 if rate == 44_100 else 576) * 1000 / rate
        counted_ms = meter.facts().duration_ms
        assert counted_ms == meter.expected_ms()
        assert counted_ms == pytest.approx(2000 + 1.5 * frame_ms, abs=frame_ms)
        assert meter.least_ms() == pytest.approx(2000, abs=1)

    def test_the_number_of_frames_in_a_vbri_tag_is_expected(self) -> None:
        mp3 = encoded(tone(2.0, rate=44100, channels=1), "mp3")
        length = 144 * 64_000 // 44_100
        tag = mp3[:4] + bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 500)

        meter = metered(tag.ljust(length, b"\0") + mp3[length:], AudioFormat.MP3)

        assert meter.expected_ms() == round(500 * 1152 / 44.1)

    def test_a_tag_without_a_number_of_frames_promises_nothing(self) -> None:
        mp3 = encoded(tone(2.0, rate=44100, channels=1), "mp3")
        length = 144 * 64_000 // 44_100
        tag = mp3[:4] + bytes(17) + b"Xing\0\0\0\x02" + struct.pack(">I", 5_000_000)

        meter = metered(tag.ljust(length, b"\0") + mp3[length:], AudioFormat.MP3)

        assert meter.expected_ms() == meter.facts().duration_ms


class TestOgg:
    def test_a_second_stream_that_runs_beside_the_first_does_not_count(self) -> None:
        head = b"\x01vorbis\x00\x00\x00\x00\x01" + struct.pack("<I", 8000) + bytes(14)
        data = ogg_page(1, 0, 2, head) + ogg_page(2, 0, 2, head)
        data += ogg_page(2, 80_000, 4, b"audio") + ogg_page(1, 8000, 4, b"audio")

        assert metered(data, AudioFormat.OGG).facts().duration_ms == 1000

    def test_opus_is_counted_at_48_khz_without_its_pre_skip(self) -> None:
        head = b"OpusHead\x01\x02" + struct.pack("<HIHB", 312, 16_000, 0, 0)
        data = ogg_page(1, 0, 2, head) + ogg_page(1, 0, 0, b"OpusTags")
        data += ogg_page(1, 48_000 + 312, 0, b"audio") + ogg_page(1, 96_000 + 312, 4, b"audio")

        meter = metered(data, AudioFormat.OPUS, 11)

        assert meter.facts() == AudioFacts(2000, 48_000, 2, "opus")
        assert not meter.is_truncated()

    def test_chained_streams_add_up(self) -> None:
        two = sample("ogg") + encoded(tone(1.0), "ogg")

        assert metered(two, AudioFormat.OGG, 500).facts().duration_ms == 3500

    def test_a_stream_cut_out_of_a_longer_one_counts_from_its_own_start(self) -> None:
        head = b"\x01vorbis\x00\x00\x00\x00\x01" + struct.pack("<I", 8000) + bytes(14)
        data = ogg_page(1, 0, 2, head) + ogg_page(1, 80_000_000, 0, b"audio")
        data += ogg_page(1, 80_016_000, 4, b"audio")

        assert metered(data, AudioFormat.OGG).facts().duration_ms == 2000

    def test_video_beside_the_audio_does_not_count(self) -> None:
        head = b"\x01vorbis\x00\x00\x00\x00\x01" + struct.pack("<I", 8000) + bytes(14)
        data = ogg_page(2, 0, 2, b"\x80theora") + ogg_page(1, 0, 2, head)
        data += ogg_page(2, 1 << 40, 4, b"video") + ogg_page(1, 8000, 4, b"audio")

        assert metered(data, AudioFormat.OGG).facts().duration_ms == 1000

    def test_a_stream_that_ends_within_a_page_is_truncated(self) -> None:
        ogg = sample("ogg")

        assert not metered(ogg, AudioFormat.OGG).is_truncated()
        assert metered(ogg[:-10], AudioFormat.OGG).is_truncated()
        assert metered(ogg[: ogg.rindex(b"OggS") + 10], AudioFormat.OGG).is_truncated()

    def test_a_stream_whose_last_page_is_not_marked_has_a_warning(self) -> None:
        ogg = sample("ogg")
        meter = metered(ogg[: ogg.rindex(b"OggS")], AudioFormat.OGG)

        assert not meter.is_truncated()
        assert "is not marked as the last" in meter.warnings()[0]
        assert metered(ogg, AudioFormat.OGG).warnings() == ()


class TestFlac:
    @pytest.mark.parametrize("seconds", [0.2, 2.0, 20.0])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_a_length_that_the_header_lacks_is_read_from_the_last_frames(
        self, seconds: float, channels: int
    ) -> None:
        flac = encoded(noise(seconds, rate=44_100, channels=channels), "flac")
        without = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]

        for data in (flac, without):
            facts = metered(data, AudioFormat.FLAC, 50_000).facts()
            assert facts == AudioFacts(round(seconds * 1000), 44_100, channels, "flac")

    @pytest.mark.parametrize("milliseconds", [1, 512, 2000, 3000])
    def test_the_last_frame_counts_however_few_bytes_silence_takes(self, milliseconds: int) -> None:
        flac = encoded(silence(milliseconds / 1000), "flac")
        without = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]

        meter = metered(without, AudioFormat.FLAC)

        assert meter.facts().duration_ms == milliseconds
        assert (meter.repaired_head() or b"")[21:26] == flac[21:26]

    def test_a_header_without_a_rate_has_no_facts(self) -> None:
        flac = sample("flac")

        assert metered(flac[:18] + bytes(24), AudioFormat.FLAC).facts() == AudioFacts()

    def test_frames_that_do_not_follow_each_other_are_not_believed(self) -> None:
        flac = encoded(noise(2.0), "flac")
        frame = flac.index(b"\xff\xf8")
        head = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:frame]

        meter = metered(head + flac[frame : frame + 20] * 3, AudioFormat.FLAC)

        assert meter.facts().duration_ms is None


class TestAu:
    def test_a_cut_file_is_truncated(self) -> None:
        au = sample("au")

        assert not metered(au, AudioFormat.AU).is_truncated()
        assert metered(au[:-2], AudioFormat.AU).is_truncated()
        assert metered(au[:10], AudioFormat.AU).is_truncated()

    def test_a_stream_without_a_size_is_counted_to_the_end(self) -> None:
        au = sample("au")
        streamed = au[:8] + b"\xff\xff\xff\xff" + au[12:]

        meter = metered(streamed, AudioFormat.AU)

        assert meter.facts().duration_ms == 2500
        assert not meter.is_truncated()
