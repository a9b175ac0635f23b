from __future__ import annotations

import pytest

from kazoo_media.audio.formats import (
    ACCEPTED_TYPES,
    AudioFormat,
    extension_of,
    format_of,
    same_format,
)

KAZOO_TYPES = [
    "audio/mp3",
    "audio/mpeg",
    "audio/mpeg3",
    "audio/x-wav",
    "audio/wav",
    "audio/ogg",
    "video/x-flv",
    "video/h264",
    "video/mpeg",
    "video/quicktime",
    "video/mp4",
    "video/webm",
]


@pytest.mark.parametrize("content_type", KAZOO_TYPES)
def test_every_type_of_kazoos_schema_is_accepted_and_known(content_type: str) -> None:
    assert content_type in ACCEPTED_TYPES
    assert format_of(content_type) is not None
    assert extension_of(content_type)


def test_no_type_is_listed_twice_and_all_are_lower_case() -> None:
    assert len(set(ACCEPTED_TYPES)) == len(ACCEPTED_TYPES)
    assert all(each == each.lower() for each in ACCEPTED_TYPES)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("audio/mpeg", AudioFormat.MP3),
        ("AUDIO/MP3; charset=binary", AudioFormat.MP3),
        ("audio/vnd.wave;codec=1", AudioFormat.WAV),
        ("audio/ogg", AudioFormat.OGG),
        ("audio/opus", AudioFormat.OPUS),
        ("audio/pcmu", AudioFormat.PCMU),
        ("audio/PCMA", AudioFormat.PCMA),
        ("audio/amr", AudioFormat.AMR),
        ("audio/x-wave", AudioFormat.WAV),
        ("application/x-wav", AudioFormat.WAV),
        ("audio/mpg", AudioFormat.MP3),
        ("audio/3gpp", AudioFormat.THREE_GP),
        ("video/3gpp2", AudioFormat.THREE_GP2),
        ("video/webm;codecs=vp8,opus", AudioFormat.WEBM),
        ("application/json", None),
        ("", None),
    ],
)
def test_a_content_type_means_a_format_whatever_its_case_and_parameters(
    content_type: str, expected: AudioFormat | None
) -> None:
    assert format_of(content_type) is expected


@pytest.mark.parametrize(
    ("content_type", "sox_type"),
    [
        ("audio/mpeg", "mp3"),
        ("audio/x-wav", "wav"),
        ("audio/ogg", "ogg"),
        ("audio/flac", "flac"),
        ("audio/amr", "amr-nb"),
        ("audio/basic", "au"),
        ("audio/PCMA", "al"),
        ("audio/PCMU", "ul"),
        ("audio/gsm", "gsm"),
        ("video/mp4", None),
    ],
)
def test_sox_gets_a_type_that_it_knows(content_type: str, sox_type: str | None) -> None:
    found = format_of(content_type)

    assert found is not None
    assert found.sox_type == sox_type


def test_two_names_of_one_format_are_the_same() -> None:
    assert same_format("audio/mp3", "audio/mpeg; q=1")
    assert not same_format("audio/mp3", "audio/wav")
    assert same_format("Image/PNG", "image/png")
    assert not same_format("image/png", "image/gif")
    assert not same_format("audio/mp3", "image/gif")


def test_the_file_name_extension_follows_the_type() -> None:
    assert extension_of("audio/wav") == "wav"
    assert extension_of("audio/mpeg3") == "mp3"
    assert extension_of("video/quicktime") == "mov"
    assert extension_of("text/plain") is None
