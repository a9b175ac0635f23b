"""Who converts what, and what is said where nobody can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import soundfile

from kazoo_media.audio.conversion import ConversionOutcome
from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.sniff import sniff
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.sox import SoxCommand
from kazoo_media.audio.running.confinement import Confinement
from tests.support.audio_samples import encoded, measure, shown_duration_s, tone, with_data_size
from tests.unit.audio.programs.sox_runs import run, run_fallback

_TELEPHONY = Job(AudioFormat.WAV, AudioFormat.MP3, "telephony", "linear16", ignore_length=False)
_SPEECH = tone(2.0, rate=44_100, channels=2)


@pytest.fixture(scope="module")
async def backends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Converters]:
    folder = tmp_path_factory.mktemp("backends")
    pool = ConverterPool(folder)
    yield Converters(Confinement(folder), pool, None)
    await pool.aclose()


async def _made(
    backends: Converters, wanted: Backend, job: Job = _TELEPHONY, audio: bytes = _SPEECH
) -> tuple[bytes, ConversionOutcome]:
    return await run(partial(backends.by_preset, job, wanted, "sox"), audio)


def _was_in_process(outcome: ConversionOutcome) -> bool:
    """Tell who it was: sox itself measures nothing."""
    assert outcome.report.error is None
    return outcome.report.after is not None


@pytest.mark.parametrize("wanted", Backend)
async def test_both_back_ends_make_the_same_audio(backends: Converters, wanted: Backend) -> None:
    out, outcome = await _made(backends, wanted)

    assert _was_in_process(outcome) == (wanted is not Backend.SOX)
    heard = measure(out, "mp3")
    assert (heard.sample_rate_hertz, heard.channel_count) == (8000, 1)
    assert heard.duration_s == pytest.approx(2.0, abs=0.2)
    assert heard.level_db == pytest.approx(-12, abs=1)


@pytest.mark.parametrize("wanted", [Backend.AUTO, Backend.INPROCESS])
@pytest.mark.parametrize("target", [AudioFormat.MP3, AudioFormat.OPUS])
@pytest.mark.parametrize("preset", ["telephony", "loudness"])
async def test_what_only_sox_reads_is_made_by_every_preset(
    backends: Converters, wanted: Backend, target: AudioFormat, preset: str
) -> None:
    job = replace(_TELEPHONY, source=AudioFormat.AMR, target=target, preset=preset)

    _, outcome = await _made(backends, wanted, job, encoded(tone(2.0), "amr-nb"))

    sox_can = wanted is Backend.AUTO and target is AudioFormat.MP3 and preset == "telephony"
    assert _was_in_process(outcome) != sox_can
    assert outcome.facts.duration_ms == pytest.approx(2000, abs=250)


_ONLY_IN_PROCESS = [
    replace(_TELEPHONY, target=AudioFormat.OPUS),
    replace(_TELEPHONY, preset="loudness"),
    replace(_TELEPHONY, preset="rfc7874"),
]


async def test_without_the_packages_sox_makes_what_it_can(backends: Converters) -> None:
    without = replace(backends, pool=None)
    assert not _was_in_process((await _made(without, Backend.AUTO))[1])


@pytest.mark.parametrize(
    ("wanted", "job"),
    [(Backend.INPROCESS, _TELEPHONY), *((Backend.AUTO, each) for each in _ONLY_IN_PROCESS)],
)
async def test_without_the_packages_the_error_says_what_to_install(
    backends: Converters, wanted: Backend, job: Job
) -> None:
    _, outcome = await _made(replace(backends, pool=None), wanted, job)
    assert "pip install 'kazoo-media[audio]'" in str(outcome.report.error)


@pytest.mark.parametrize("job", _ONLY_IN_PROCESS)
async def test_what_sox_can_not_make_it_is_not_forced_to(backends: Converters, job: Job) -> None:
    _, outcome = await _made(backends, Backend.SOX, job)
    assert f"by the preset {job.preset}: the setting media.normalize_backend" in str(
        outcome.report.error
    )


@pytest.mark.parametrize("target", ["wav", "ogg", "flac", "opus"])
async def test_every_target_is_made_in_process(backends: Converters, target: str) -> None:
    job = replace(_TELEPHONY, target=AudioFormat[target.upper()])

    out, outcome = await _made(backends, Backend.INPROCESS, job)

    assert _was_in_process(outcome)
    assert sniff(out).format is job.target
    assert outcome.facts.duration_ms == pytest.approx(2000, abs=50)


@pytest.mark.parametrize("wanted", [Backend.SOX, Backend.INPROCESS])
@pytest.mark.parametrize("seconds", [0.1, 20.0])
async def test_the_header_of_a_flac_says_how_long_it_is(
    backends: Converters, wanted: Backend, seconds: float, tmp_path: Path
) -> None:
    audio = with_data_size(tone(seconds, rate=16_000), 0xFFFFFFFF)  # of a stream: nobody knows

    out, outcome = await _made(
        backends, wanted, replace(_TELEPHONY, target=AudioFormat.FLAC), audio
    )

    head = outcome.repaired_head
    assert head is not None
    path = tmp_path / "made.flac"
    path.write_bytes(head + out[len(head) :])
    assert soundfile.info(path).frames == len(soundfile.read(path)[0]) == round(seconds * 8000)
    assert shown_duration_s(path) == pytest.approx(seconds, abs=0.01)


async def test_kazoo_s_command_is_run_and_keeps_stereo(backends: Converters) -> None:
    command = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))

    out, outcome = await run(partial(backends.by_command, command), _SPEECH)

    assert not _was_in_process(outcome)
    assert out == encoded(_SPEECH, "mp3", "-r", "8000")
    assert measure(out, "mp3").channel_count == 2


async def test_what_fails_in_process_may_be_tried_by_sox(backends: Converters) -> None:
    job = replace(_TELEPHONY, source=AudioFormat.OGG)
    audio = encoded(tone(2.0), "ogg") * 2  # libsndfile ends at the second stream

    _, outcome = await _made(backends, Backend.AUTO, job, audio)
    _, forced = await _made(backends, Backend.INPROCESS, job, audio)

    assert outcome.report.error is not None
    assert forced.fallback is None
    out, outcome = await run_fallback(outcome, audio)
    assert not _was_in_process(outcome)
    assert measure(out, "mp3").duration_s == pytest.approx(4.0, abs=0.2)
