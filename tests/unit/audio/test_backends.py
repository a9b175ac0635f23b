"""Who converts what, and what is said where nobody can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kazoo_media.audio.backends import Backend, Backends
from kazoo_media.audio.conversion import ConversionOutcome
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.job import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.sox import SoxCommand
from tests.audio_samples import encoded, measure, tone
from tests.unit.audio.sox_runs import run

_TELEPHONY = Job(AudioFormat.WAV, AudioFormat.MP3, "telephony", "linear16", ignore_length=False)
_SPEECH = tone(2.0, rate=44_100, channels=2)


@pytest.fixture
async def backends(tmp_path: Path) -> AsyncIterator[Backends]:
    pool = ConverterPool(tmp_path)
    yield Backends(tmp_path, pool, None)
    await pool.aclose()


async def _made(
    backends: Backends, wanted: Backend, job: Job = _TELEPHONY, audio: bytes = _SPEECH
) -> tuple[bytes, ConversionOutcome]:
    return await run(backends.make(job, wanted, "sox"), audio)


def _was_in_process(outcome: ConversionOutcome) -> bool:
    """Tell who it was: sox measures nothing."""
    assert outcome.error is None
    return outcome.after is not None


@pytest.mark.parametrize("wanted", Backend)
async def test_both_back_ends_make_the_same_audio(backends: Backends, wanted: Backend) -> None:
    out, outcome = await _made(backends, wanted)

    assert _was_in_process(outcome) == (wanted is not Backend.SOX)
    heard = measure(out, "mp3")
    assert (heard.sample_rate_hertz, heard.channel_count) == (8000, 1)
    assert heard.duration_s == pytest.approx(2.0, abs=0.2)
    assert heard.level_db == pytest.approx(-12, abs=1)


async def test_sox_does_what_can_not_be_read_in_process(backends: Backends) -> None:
    audio = encoded(tone(2.0), "amr-nb")
    job = replace(_TELEPHONY, source=AudioFormat.AMR)

    assert not _was_in_process((await _made(backends, Backend.AUTO, job, audio))[1])
    _, outcome = await _made(backends, Backend.INPROCESS, job, audio)
    assert "AMR can not be read in process" in str(outcome.error)


async def test_without_the_packages_sox_does_it_or_the_error_says_what_to_install(
    backends: Backends,
) -> None:
    without = replace(backends, pool=None)

    assert not _was_in_process((await _made(without, Backend.AUTO))[1])
    _, outcome = await _made(without, Backend.INPROCESS)
    assert "pip install 'kazoo-media[audio]'" in str(outcome.error)
    _, outcome = await _made(without, Backend.AUTO, replace(_TELEPHONY, target=AudioFormat.OPUS))
    assert "pip install 'kazoo-media[audio]'" in str(outcome.error)


async def test_opus_is_not_made_by_sox(backends: Backends) -> None:
    job = replace(_TELEPHONY, target=AudioFormat.OPUS)
    _, outcome = await _made(backends, Backend.SOX, job)
    assert "Ogg Opus can not be written by sox, only in process" in str(outcome.error)


async def test_a_command_is_always_run_as_it_is(backends: Backends) -> None:
    command = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))
    out, outcome = await run(backends.run(command), _SPEECH)
    assert not _was_in_process(outcome)
    assert measure(out, "mp3").channel_count == 2
