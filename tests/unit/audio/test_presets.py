from __future__ import annotations

from typing import get_args

import pytest

from kazoo_media.audio.conversion import ConversionOutcome
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.presets import PRESETS, WAV_ENCODINGS
from kazoo_media.audio.programs.sox import SoxCommand, sox_argv
from tests.support.audio_samples import CodedFormat, Measured, encoded, measure, tone
from tests.unit.audio.programs.sox_runs import Convert

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC


def command(
    preset: str,
    source: AudioFormat = WAV,
    target: AudioFormat = MP3,
    wav_encoding: str = "linear16",
) -> SoxCommand:
    chosen = PRESETS[preset]
    options = chosen.options(target, wav_encoding)
    return SoxCommand("sox", source, target, (), options, chosen.effects())


def heard(out: bytes, outcome: ConversionOutcome, target: AudioFormat = MP3) -> Measured:
    assert outcome.report.error is None
    if outcome.repaired_head is not None:
        out = outcome.repaired_head + out[len(outcome.repaired_head) :]
    assert target.sox_type in get_args(CodedFormat)
    return measure(out, target.sox_type)  # type: ignore[arg-type]


def test_telephony_is_this_chain() -> None:
    argv = sox_argv(command("telephony"))

    expected = ["sox", "-t", "wav", "-", "-r", "8000", "-c", "1", "-C", "32.7", "-t", "mp3", "-"]
    assert argv == [*expected, "trim", "0", "10800"]


@pytest.mark.parametrize("preset", [name for name in PRESETS if PRESETS[name].sox_can])
@pytest.mark.parametrize("target", [MP3, WAV, OGG, FLAC])
async def test_every_preset_keeps_length_and_pitch_in_every_format(
    convert: Convert, preset: str, target: AudioFormat
) -> None:
    audio = tone(3.0, rate=44_100, channels=2, frequency_hertz=700.0, level_db=-20.0)

    out, outcome = await convert(audio, command(preset, target=target))

    measured = heard(out, outcome, target)
    assert measured.duration_s == pytest.approx(3.0, abs=0.2)
    assert measured.frequency_hertz == pytest.approx(700.0, abs=5)
    assert measured.sample_rate_hertz == PRESETS[preset].sample_rate_hertz
    assert measured.channel_count == 1
    assert outcome.report.warnings == ()


@pytest.mark.parametrize("wav_encoding", WAV_ENCODINGS)
async def test_a_wav_holds_the_samples_that_were_asked_for(
    convert: Convert, wav_encoding: str
) -> None:
    wanted = command("telephony", target=WAV, wav_encoding=wav_encoding)

    out, outcome = await convert(tone(1.0, rate=16_000), wanted)

    format_code = int.from_bytes(out[20:22], "little")
    assert format_code == {"linear16": 1, "alaw": 6, "mulaw": 7}[wav_encoding]
    assert heard(out, outcome, WAV).level_db == pytest.approx(-12.0, abs=0.3)


@pytest.mark.parametrize("source", [MP3, OGG, FLAC, AudioFormat.PCMU, AudioFormat.AMR])
async def test_telephony_reads_what_can_be_uploaded(convert: Convert, source: AudioFormat) -> None:
    assert source.sox_type in get_args(CodedFormat)
    audio = encoded(tone(2.0), source.sox_type)

    out, outcome = await convert(audio, command("telephony", source))

    assert heard(out, outcome).duration_s == pytest.approx(2.0, abs=0.2)


def test_sox_has_no_chain_for_a_level_that_only_the_end_of_the_audio_tells() -> None:
    for preset in ("loudness", "rfc7874"):
        with pytest.raises(ValueError, match="sox cannot"):
            PRESETS[preset].effects()


async def test_telephony_leaves_the_level_alone(convert: Convert) -> None:
    out, outcome = await convert(tone(3.0, level_db=-30.0), command("telephony"))

    assert heard(out, outcome).level_db == pytest.approx(-30.0, abs=0.7)


async def test_a_mono_preset_keeps_a_voice_that_is_on_one_side(convert: Convert) -> None:
    stereo = bytearray(tone(2.0, channels=2, level_db=-20.0))
    for at in range(46, len(stereo), 4):  # the right channel
        stereo[at : at + 2] = b"\0\0"

    out, outcome = await convert(bytes(stereo), command("telephony"))

    assert heard(out, outcome).level_db == pytest.approx(-26.0, abs=1.0)


@pytest.mark.parametrize("preset", ["guard", "voicemail"])
async def test_a_clipped_source_comes_out_with_head_room(convert: Convert, preset: str) -> None:
    square = tone(3.0, rate=44_100, frequency_hertz=300.0, level_db=12.0)

    out, outcome = await convert(square, command(preset))

    assert heard(out, outcome).peak_db < 0.0
    assert not any("clipped" in each for each in outcome.report.warnings)


async def test_voicemail_brings_levels_together(convert: Convert) -> None:
    levels = []
    for level_db in (-45.0, -15.0):
        audio = tone(4.0, frequency_hertz=500.0, level_db=level_db)
        levels.append(heard(*await convert(audio, command("voicemail"))).level_db)

    assert levels[0] > -45.0
    assert levels[1] - levels[0] < 20.0
