"""What a container says of itself, as it passes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.audio.formats import MP4_FAMILY, AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.inspect.mp4 import index_comes_first
from kazoo_media.model import AudioFacts
from tests.support.audio_samples import contained, tone
from tests.unit.audio.inspect.made_containers import CONTAINERS, SECONDS, STREAMING, in_container

_CODECS = {
    "m4a, lossless": "alac",
    "webm, opus": "opus",
    "webm, vorbis": "vorbis",
    "webm, live": "opus",
    "opus": "opus",
    "wma": "wma",
    "flv, mp3": "mp3",
    "mpeg": None,
    "mpeg, transport": None,
}
_UNKNOWN_DURATION = {"mp4, fragments", "mpeg", "mpeg, transport"}
_UNKNOWN_RATE = {"flv, mp3", "flv, aac", "mpeg", "mpeg, transport"}
_CONTAINERS = (*MP4_FAMILY, AudioFormat.WEBM, AudioFormat.WMA, AudioFormat.FLV, AudioFormat.AAC)


def meter(audio_format: AudioFormat, data: bytes, chunk_bytes: int = 1 << 20) -> DurationMeter:
    found = DurationMeter(audio_format)
    for at in range(0, len(data), chunk_bytes):
        found.feed(data[at : at + chunk_bytes])
    return found


@pytest.mark.parametrize("name", CONTAINERS)
def test_duration_rate_channels_and_codec_are_read(name: str) -> None:
    found = meter(CONTAINERS[name][0], in_container(name))

    facts = found.facts()
    rate = 48_000 if "opus" in name or name == "webm, live" else 44_100
    known_rate = None if name in _UNKNOWN_RATE else rate
    assert not found.is_truncated()
    assert facts.codec == _CODECS.get(name, "aac")
    assert facts.sample_rate_hertz == known_rate
    assert facts.channel_count == (None if known_rate is None else 2)
    if name in _UNKNOWN_DURATION:
        assert facts.duration_ms is None
    else:
        assert facts.duration_ms == pytest.approx(SECONDS * 1000, abs=60)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("chunk_bytes", [1, 777])
def test_borders_of_chunks_mean_nothing(name: str, chunk_bytes: int) -> None:
    audio_format, data = CONTAINERS[name][0], in_container(name)[:60_000]

    whole, cut = meter(audio_format, data), meter(audio_format, data, chunk_bytes)

    assert (cut.facts(), cut.is_truncated()) == (whole.facts(), whole.is_truncated())


@pytest.mark.parametrize("name", sorted(set(CONTAINERS) - {"mpeg", "mpeg, transport"}))
def test_a_cut_file_is_truncated(name: str) -> None:
    data = in_container(name)

    for size in (len(data) // 3, len(data) - 100):
        assert meter(CONTAINERS[name][0], data[:size]).is_truncated()


def test_sound_that_is_shorter_than_its_video_counts() -> None:
    video = ("-f", "lavfi", "-i", "testsrc=d=6:s=64x64", "-map", "0:a", "-map", "1:v")
    data = contained(tone(2.0), "a.mp4", *video, "-c:v", "mpeg4", "-c:a", "aac")

    assert meter(AudioFormat.MP4, data).facts().duration_ms == pytest.approx(2000, abs=60)


def test_a_wma_with_a_video_tells_no_duration() -> None:
    video = ("-f", "lavfi", "-i", "testsrc=d=6:s=64x64", "-map", "0:a", "-map", "1:v")
    data = contained(tone(2.0), "a.wmv", *video, "-c:v", "wmv2", "-c:a", "wmav2")

    assert meter(AudioFormat.WMA, data).facts().duration_ms is None


@pytest.mark.parametrize("name", sorted(n for n in CONTAINERS if CONTAINERS[n][0] in MP4_FAMILY))
def test_it_is_known_where_the_index_of_an_mp4_stands(name: str) -> None:
    assert index_comes_first(in_container(name)[:512]) == (name in STREAMING)


def test_audio_up_to_the_end_of_the_file_is_complete() -> None:
    data = in_container("mp4, index first")
    at = data.index(b"mdat") - 4
    endless = data[:at] + bytes(4) + data[at + 4 :]

    found = meter(AudioFormat.MP4, endless, 5000)

    assert not found.is_truncated()
    assert found.facts().duration_ms == pytest.approx(SECONDS * 1000, abs=60)


@pytest.mark.parametrize(
    ("audio_format", "element"),
    [
        (AudioFormat.WEBM, b"\xec\x80"),
        (AudioFormat.M4A, struct.pack(">I4s", 8, b"free")),
        (AudioFormat.WMA, bytes(16) + struct.pack("<Q", 24)),
    ],
)
def test_endless_empty_elements_are_given_up(audio_format: AudioFormat, element: bytes) -> None:
    found = meter(audio_format, element * 1_000_000)

    assert (found.facts(), found.is_truncated()) == (AudioFacts(), False)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 1e300])
def test_a_rate_that_is_no_number_is_not_believed(rate: float) -> None:
    data = in_container("webm, opus")
    at = data.index(b"\xb5\x88") + 2

    found = meter(AudioFormat.WEBM, data[:at] + struct.pack(">d", rate) + data[at + 8 :])

    assert found.facts() == AudioFacts()


@given(st.sampled_from(_CONTAINERS), st.binary(max_size=300), st.integers(0, 4000))
def test_no_bytes_make_it_fail(audio_format: AudioFormat, damage: bytes, at: int) -> None:
    name = next(n for n in CONTAINERS if CONTAINERS[n][0] is audio_format)
    good = in_container(name)
    found = meter(audio_format, good[:at] + damage + good[at + len(damage) : at + 9000], 1000)

    assert found.facts() is not None
    assert found.is_truncated() in (True, False)
    pure = meter(audio_format, damage, 50)
    assert (pure.facts().duration_ms or 0) >= 0
