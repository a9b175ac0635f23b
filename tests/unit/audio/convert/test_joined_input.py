"""Files of one format joined as bytes, of one rate and one number of channels or of several."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from tests.support.audio_samples import contained, encoded, measure, tone
from tests.unit.audio.convert import damage, every
from tests.unit.audio.programs.sox_runs import Uploading

MP3, OGG, OPUS, AAC = AudioFormat.MP3, AudioFormat.OGG, AudioFormat.OPUS, AudioFormat.AAC
_MADE = {
    MP3: ("a.mp3", ("-c:a", "mp3")),
    OGG: ("a.ogg", ("-c:a", "libvorbis")),
    OPUS: ("a.opus", ("-c:a", "libopus")),
    AAC: ("a.aac", ("-c:a", "aac")),
}
_CHANGES = {
    "a higher rate": ((24_000, 1), (44_100, 1)),
    "a lower rate": ((44_100, 1), (8000, 1)),
    "stereo": ((22_050, 1), (22_050, 2)),
    "mono at another rate": ((44_100, 2), (24_000, 1)),
}
_REASON = "the sample rate or the number of channels changes within the input"


@cache
def _part(source: AudioFormat, rate: int, channels: int) -> bytes:
    name, options = _MADE[source]
    return contained(tone(2.0, rate=rate, channels=channels), name, *options)


def _joined(source: AudioFormat, change: str) -> bytes:
    return b"".join(_part(source, *each) for each in _CHANGES[change])


@pytest.mark.parametrize("source", _MADE)
@pytest.mark.parametrize("change", _CHANGES)
async def test_every_stream_counts_at_its_own_rate(source: AudioFormat, change: str) -> None:
    meter = DurationMeter(source)
    meter.feed(_joined(source, change))

    # Both parts begin and end with silence of their encoder: up to 2 frames at 8 kHz.
    assert meter.facts().duration_ms == pytest.approx(4000, abs=250)
    assert meter.changes_format() == (
        source is not OPUS or "rate" not in change or "mono" in change
    )


@pytest.mark.parametrize("source", [MP3, AAC])
@pytest.mark.parametrize("change", _CHANGES)
async def test_frames_that_change_are_converted_with_their_length_and_pitch(
    start: every.Start, source: AudioFormat, change: str
) -> None:
    out, outcome = await every.run_all(start(source), _joined(source, change))

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(4.15, abs=0.25)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("change", _CHANGES)
async def test_an_ogg_that_changes_is_an_error_that_says_so(
    start: every.Start, change: str
) -> None:
    _, outcome = await every.run_all(start(OGG), _joined(OGG, change))

    assert every.reason(outcome) == _REASON


async def test_opus_that_changes_its_channels_is_an_error_that_says_so(start: every.Start) -> None:
    _, outcome = await every.run_all(start(OPUS), _joined(OPUS, "stereo"))

    assert every.reason(outcome) == _REASON


async def test_opus_of_several_streams_is_converted_whole(start: every.Start) -> None:
    data = _joined(OPUS, "a higher rate")  # its decoders run at 48 kHz

    out, outcome = await every.run_all(start(OPUS), data)

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(4.0, abs=0.25)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("by", every.EVERY)
async def test_without_ffmpeg_frames_that_change_are_an_error(
    backends: Converters, by: str
) -> None:
    start = every.starting(replace(backends, ffmpeg=None), by)

    _, outcome = await every.run_all(start(MP3), _joined(MP3, "a higher rate"))

    assert every.reason(outcome) == _REASON


async def test_the_measurement_covers_all_streams(backends: Converters) -> None:
    measuring = Uploading(lambda head: backends.measuring(MP3, "sox", head))

    _, outcome = await every.run_all(measuring, _joined(MP3, "stereo"))

    assert outcome.report.before is not None
    assert outcome.report.before.duration_ms == pytest.approx(4050, abs=100)


async def test_a_preset_that_sox_cannot_make_reads_joined_files(backends: Converters) -> None:
    data = _part(OGG, 22_050, 1) * 2
    conversion = every.telephony(backends, OGG, Backend.AUTO, preset="loudness")

    out, outcome = await every.run_all(conversion, data)

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize("source", [OGG, OPUS])
@pytest.mark.parametrize("count", [1, 2])
async def test_an_ogg_that_no_page_ends_is_converted_with_a_warning(
    start: every.Start, source: AudioFormat, count: int
) -> None:
    data = damage.ogg_unmarked(_part(source, 22_050, 1)) * count
    by_libsndfile_only = source is OGG and count == 2

    out, outcome = await every.run_all(start(source), data)

    assert any("is not marked as the last" in each for each in outcome.report.warnings)
    if outcome.report.error is None:
        assert measure(out, "mp3").duration_s == pytest.approx(2.0 * count, abs=0.25)
        assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)
    else:
        assert by_libsndfile_only
        assert "came out of 4.0 s" in every.reason(outcome)


_FIRST, _SECOND = tone(1.0), tone(2.0)
_FIRST_ONLY: dict[str, tuple[bytes, AudioFormat, str]] = {
    "FLAC": (
        encoded(_FIRST, "flac") + encoded(_SECOND, "flac"),
        AudioFormat.FLAC,
        "the input is 2 FLAC files in one: only the first was read",
    ),
    "AU": (
        encoded(_FIRST, "au") + encoded(_SECOND, "au"),
        AudioFormat.AU,
        "bytes after the declared end of the AU were left out",
    ),
    "M4A": (
        contained(_FIRST, "a.m4a") + contained(_SECOND, "a.m4a"),
        AudioFormat.M4A,
        "the input is 2 MP4 files in one: only the first was read",
    ),
}


@pytest.mark.parametrize("name", _FIRST_ONLY)
async def test_a_second_file_that_no_decoder_reads_is_a_warning(
    start: every.Start, name: str
) -> None:
    data, source, expected = _FIRST_ONLY[name]

    out, outcome = await every.run_all(start(source), data)

    assert any(expected in each for each in outcome.report.warnings)
    if outcome.report.error is None:
        assert measure(out, "mp3").duration_s == pytest.approx(1.0, abs=0.2)
    else:
        assert name == "FLAC"  # libsndfile refuses what follows


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (AudioFormat.FLAC, "a.flac"),
        (OGG, "a.ogg"),
        (AudioFormat.WEBM, "a.webm"),
        (AudioFormat.WMA, "a.wma"),
        (AudioFormat.CAF, "a.caf"),
    ],
)
@pytest.mark.parametrize("what", [b"rubbish!" * 16, _SECOND], ids=["rubbish", "a WAV"])
async def test_what_follows_the_end_of_a_file_is_a_warning(
    backends: Converters, source: AudioFormat, name: str, what: bytes
) -> None:
    data = contained(tone(1.0, rate=48_000), name)
    start = every.starting(backends, every.KAZOO)

    _, alone = await every.run_all(start(source), data)
    out, outcome = await every.run_all(start(source), data + what)

    assert alone.report.warnings == ()
    assert any("were left out" in each for each in outcome.report.warnings)
    assert measure(out, "mp3").duration_s == pytest.approx(1.0, abs=0.2)


async def test_joined_webm_files_are_converted_whole(start: every.Start) -> None:
    data = contained(_FIRST, "a.webm") + contained(_SECOND, "a.webm")

    out, outcome = await every.run_all(start(AudioFormat.WEBM), data)

    assert outcome.report.error is None
    assert measure(out, "mp3").duration_s == pytest.approx(3.0, abs=0.2)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)


async def test_joined_amr_files_are_converted_whole(start: every.Start) -> None:
    data = encoded(_FIRST, "amr-nb") + encoded(_SECOND, "amr-nb")

    out, outcome = await every.run_all(start(AudioFormat.AMR), data)

    assert outcome.report.error is None
    assert outcome.report.warnings == ("the input is 2 AMR files in one: all were read",)
    assert measure(out, "mp3").duration_s == pytest.approx(3.0, abs=0.2)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("preset", ["telephony", "loudness"])
async def test_rubbish_after_raw_gsm_is_left_out_with_a_warning(
    backends: Converters, preset: str
) -> None:
    data = encoded(_SECOND, "gsm") + b"rubbish!" * 4000
    conversion = every.telephony(backends, AudioFormat.GSM, Backend.AUTO, preset=preset)

    out, outcome = await every.run_all(conversion, data)

    assert outcome.report.error is None
    assert outcome.report.warnings == ("32000 bytes after the last GSM frame were left out",)
    assert measure(out, "mp3").duration_s == pytest.approx(2.0, abs=0.2)
    assert measure(out, "mp3").frequency_hertz == pytest.approx(440, rel=0.01)
