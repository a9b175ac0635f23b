"""Which normalization an upload gets, by the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.errors import NotAudioError, TooLargeError
from kazoo_media.media.downloads import ByteRange
from kazoo_media.media.uploads import Declared
from kazoo_media.model import Media
from tests.support.audio_samples import Measured, encoded, measure, noise, tone, with_data_size
from tests.support.core_fixtures import CoreUnderTest, make_core, replace_content
from tests.unit.audio.convert.damage import silent_flac
from tests.unit.audio.inspect.made_containers import FREQUENCY_HERTZ, SECONDS, in_container

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
async def tested() -> CoreUnderTest:
    tested = await make_core()
    await _set(tested, "crossbar.media", "normalize_media", value=True)
    return tested


async def _set(tested: CoreUnderTest, category: str, key: str, value: object) -> None:
    await tested.core.settings.put(AdminScope(), category, key, value, node=None)


async def _source(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _uploaded(
    tested: CoreUnderTest, audio: bytes, declared: str = "audio/wav"
) -> tuple[Media, bytes]:
    created = await tested.core.library.create(_SCOPE, {"name": "greeting"})
    media = await replace_content(
        tested.core, _SCOPE, created.id, Declared(declared), _source(audio)
    )
    rendition = tested.core.downloads.select(media, None)
    span = ByteRange(0, rendition.size_bytes)
    async with await tested.core.downloads.open(media, rendition, span) as download:
        return media, b"".join([chunk async for chunk in download.chunks()])


async def _heard(tested: CoreUnderTest, audio: bytes) -> Measured:
    media, served = await _uploaded(tested, audio)
    assert "normalization_error" not in media.document
    return measure(served, "wav" if media.document["content_type"] == "audio/x-wav" else "mp3")


async def test_the_kazoo_preset_is_the_command_of_the_settings_and_keeps_stereo(
    tested: CoreUnderTest,
) -> None:
    await _set(tested, "media", "normalize_destination_args", "-r 11025")

    heard = await _heard(tested, tone(1.0, rate=44_100, channels=2))

    assert (heard.sample_rate_hertz, heard.channel_count) == (11_025, 2)


async def test_a_rendition_says_how_it_was_made_and_the_document_by_which_preset(
    tested: CoreUnderTest,
) -> None:
    await _set(tested, "crossbar.media", "normalization_format", "wav")
    await _set(tested, "media", "normalize_destination_args", "-r 8000 -c 1")
    said = []
    for preset in ("kazoo", "wideband"):
        await _set(tested, "media", "normalize_preset", preset)
        media, _ = await _uploaded(tested, tone(0.2))
        assert media.content is not None
        assert media.content.normalized is not None
        assert media.content.original.normalization is None
        said.append((media.document["normalization_preset"], media.content.normalized))
    await _set(tested, "crossbar.media", "normalize_media", value=False)
    media, _ = await _uploaded(tested, tone(0.2))

    assert [(preset, each.normalization) for preset, each in said] == [
        ("kazoo", "kazoo wav sox - -r 8000 -c 1"),
        ("wideband", "wideband wav linear16"),
    ]
    assert "normalization_preset" not in media.document


async def test_a_preset_takes_no_arguments_from_the_settings(tested: CoreUnderTest) -> None:
    await _set(tested, "media", "normalize_preset", "wideband")
    await _set(tested, "media", "normalize_destination_args", "-r 11025")

    heard = await _heard(tested, tone(1.0, rate=44_100, channels=2))

    assert (heard.sample_rate_hertz, heard.channel_count) == (16_000, 1)


async def test_a_change_counts_for_the_next_upload(tested: CoreUnderTest) -> None:
    rates = []
    for preset in ("telephony", "wideband", "kazoo"):
        await _set(tested, "media", "normalize_preset", preset)
        rates.append((await _heard(tested, tone(1.0))).sample_rate_hertz)

    assert rates == [8000, 16_000, 8000]


async def test_a_preset_makes_g711_in_a_wav_with_true_sizes(tested: CoreUnderTest) -> None:
    await _set(tested, "crossbar.media", "normalization_format", "wav")
    await _set(tested, "media", "normalize_preset", "telephony")
    await _set(tested, "media", "normalize_wav_encoding", "mulaw")

    media, served = await _uploaded(tested, tone(2.0, rate=16_000))

    assert served[20:22] == b"\x07\x00"
    data_at = served.index(b"data")
    assert int.from_bytes(served[data_at + 4 : data_at + 8], "little") == 16_000
    assert media.document["duration_ms"] == 2000


@pytest.mark.parametrize("streaming", [64, 0])
@pytest.mark.parametrize("name", ["m4a", "webm, opus", "opus", "flv, aac"])
async def test_what_only_ffmpeg_reads_is_normalized(
    tested: CoreUnderTest, name: str, streaming: int
) -> None:
    await _set(tested, "media", "max_streaming_conversions", streaming)

    media, served = await _uploaded(tested, in_container(name))

    heard = measure(served, "mp3")
    assert "normalization_error" not in media.document
    assert media.document["content_type"] == "audio/mpeg"
    assert heard.duration_s == pytest.approx(SECONDS, abs=0.3)
    assert heard.frequency_hertz == pytest.approx(FREQUENCY_HERTZ, abs=5)


@pytest.mark.parametrize(("streaming", "queued"), [(1, 0), (0, 1)])
async def test_an_upload_that_ended_makes_room_for_the_next(
    tested: CoreUnderTest, streaming: int, queued: int
) -> None:
    await _set(tested, "media", "max_streaming_conversions", streaming)
    await _set(tested, "media", "max_queued_conversions", queued)

    for _ in range(2):
        with pytest.raises(NotAudioError):
            await _uploaded(tested, b"%PDF-1.7" + bytes(1000))
        media, _ = await _uploaded(tested, tone(0.1))
        assert media.document["content_type"] == "audio/mpeg"


async def test_a_preset_takes_what_ffmpeg_decodes(tested: CoreUnderTest) -> None:
    await _set(tested, "media", "normalize_preset", "wideband")

    heard = await _heard(tested, in_container("m4a"))

    assert (heard.sample_rate_hertz, heard.channel_count) == (16_000, 1)


@pytest.mark.parametrize("streaming", [64, 0])
async def test_without_ffmpeg_the_original_is_served_and_the_document_says_what_is_missing(
    streaming: int,
) -> None:
    tested = await make_core(with_ffmpeg=False)
    await _set(tested, "crossbar.media", "normalize_media", value=True)
    await _set(tested, "media", "max_streaming_conversions", streaming)
    audio = in_container("m4a")

    media, served = await _uploaded(tested, audio)

    assert served == audio
    assert media.document["content_type"] == "audio/mp4"
    assert "kazoo-media[ffmpeg]" in media.document["normalization_error"]


@pytest.mark.parametrize("streaming", [64, 0])
@pytest.mark.parametrize("preset", ["kazoo", "telephony"])
@pytest.mark.parametrize(("seconds", "declared"), [(5.0, 40_000), (5.0, 2), (0.4, 3200)])
async def test_a_wav_whose_header_hides_audio_is_normalized_whole(
    tested: CoreUnderTest, streaming: int, preset: str, seconds: float, declared: int
) -> None:
    await _set(tested, "media", "max_streaming_conversions", streaming)
    await _set(tested, "media", "normalize_preset", preset)
    audio = with_data_size(noise(seconds), declared)

    media, served = await _uploaded(tested, audio)

    assert "normalization_error" not in media.document
    assert measure(served, "mp3").duration_s == pytest.approx(seconds, abs=0.2)
    assert media.content is not None
    assert media.content.original.facts.duration_ms == seconds * 1000


@pytest.mark.parametrize(
    ("audio", "declared", "seconds"),
    [
        (tone(5.0), "audio/mpeg", 5.0),
        (tone(5.0), "video/mp4", 5.0),
        (encoded(tone(5.0), "mp3"), "audio/wav", 5.0),
        (encoded(tone(5.0), "ogg"), "audio/mpeg", 5.0),
        (encoded(tone(5.0), "flac"), "audio/mpeg", 5.0),
        (encoded(tone(5.0), "amr-nb"), "audio/wav", 5.0),
        (in_container("m4a"), "audio/mpeg", SECONDS),
        (in_container("opus"), "audio/ogg", SECONDS),
        (in_container("aac"), "audio/x-wav", SECONDS),
    ],
)
async def test_what_is_inside_is_converted_whatever_is_declared(
    tested: CoreUnderTest, audio: bytes, declared: str, seconds: float
) -> None:
    media, served = await _uploaded(tested, audio, declared)

    assert "normalization_error" not in media.document
    assert measure(served, "mp3").duration_s == pytest.approx(seconds, abs=0.3)


async def test_a_bomb_ends_in_an_error_and_disturbs_nobody(tested: CoreUnderTest) -> None:
    await _set(tested, "crossbar.media", "normalization_format", "wav")
    bomb = silent_flac(36_000)

    async with asyncio.TaskGroup() as tasks:
        bombs = [tasks.create_task(_uploaded(tested, bomb, "audio/flac")) for _ in range(2)]
        good = [tasks.create_task(_uploaded(tested, tone(3.0))) for _ in range(4)]

    for media, served in (each.result() for each in bombs):
        assert "it wrote more than is allowed" in media.document["normalization_error"]
        assert served == bomb
    for media, served in (each.result() for each in good):
        assert "normalization_error" not in media.document
        assert measure(served).duration_s == pytest.approx(3.0, abs=0.1)


async def test_a_stream_without_end_ends_at_the_limit_of_uploads(tested: CoreUnderTest) -> None:
    await _set(tested, "crossbar", "max_upload_size", 3_000_000)

    async def endless() -> AsyncIterator[bytes]:
        yield with_data_size(tone(1.0), 0xFFFFFFFF)
        while True:
            yield bytes(100_000)

    created = await tested.core.library.create(_SCOPE, {"name": "greeting"})
    with pytest.raises(TooLargeError):
        await replace_content(tested.core, _SCOPE, created.id, Declared("audio/wav"), endless())

    assert not [each for each in psutil.Process().children() if each.name() == "sox"]
    assert (await tested.core.library.get(_SCOPE, created.id)).content is None


async def test_what_the_pool_can_not_convert_is_converted_again_by_sox(
    tmp_path: Path,
) -> None:
    pool = ConverterPool(tmp_path)
    tested = await make_core(pool=pool)
    await _set(tested, "crossbar.media", "normalize_media", value=True)
    await _set(tested, "media", "normalize_preset", "telephony")
    for streaming in (64, 0):
        await _set(tested, "media", "max_streaming_conversions", streaming)

        media, served = await _uploaded(tested, encoded(tone(2.0), "ogg") * 2)

        assert "normalization_error" not in media.document
        assert measure(served, "mp3").duration_s == pytest.approx(4.0, abs=0.2)
    await pool.aclose()
