"""Small files that claim to be days of audio, and streams without end: they end at a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from kazoo_media.audio.conversion import ConversionLimits, ConversionOutcome, Started
from kazoo_media.audio.convert.converters import Converters
from kazoo_media.audio.convert.two_stage import TwoStageConversion
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.presets import LONGEST_S, PRESETS
from kazoo_media.audio.programs.ffmpeg import FfmpegDecoding, find_ffmpeg
from kazoo_media.audio.programs.sox import SoxCommand
from kazoo_media.audio.running.confinement import Confinement
from tests.support.audio_samples import contained, encoded, measure, silence, tone
from tests.unit.audio.convert.damage import silent_flac
from tests.unit.audio.pool.pool_runs import starting
from tests.unit.audio.programs.sox_runs import Convert, Starting, run

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC

_TEN_HOURS_S = 36_000
_FFMPEG = find_ffmpeg()
_LITTLE_CPU = ConversionLimits(cpu_s=1, cpu_s_per_mib=0)


def _kazoo(source: AudioFormat, target: AudioFormat) -> SoxCommand:
    return SoxCommand("sox", source, target, (), ("-r", "8000"))


async def _converted(
    data: bytes, command: SoxCommand, folder: Path, limits: ConversionLimits
) -> tuple[int, ConversionOutcome]:
    out, outcome = await Convert(folder)(data, command, limits)
    assert outcome.report.error is not None
    return len(out), outcome


async def test_ten_hours_of_silence_in_60_kb_end_at_the_output_limit(tmp_path: Path) -> None:
    bomb, limits = silent_flac(_TEN_HOURS_S), ConversionLimits()
    assert len(bomb) < 80_000

    size, outcome = await _converted(bomb, _kazoo(FLAC, WAV), tmp_path, limits)

    assert "it wrote more than is allowed" in str(outcome.report.error)
    assert size <= limits.output_bytes + limits.output_factor * len(bomb)


async def test_ten_hours_of_silence_end_at_the_cpu_limit(tmp_path: Path) -> None:
    _, outcome = await _converted(
        silent_flac(_TEN_HOURS_S), _kazoo(FLAC, MP3), tmp_path, _LITTLE_CPU
    )

    assert "it used more CPU time than is allowed" in str(outcome.report.error)


async def test_a_preset_converts_three_hours_at_most_and_says_so(tmp_path: Path) -> None:
    telephony = PRESETS["telephony"]
    options = telephony.options(WAV, "mulaw")
    command = SoxCommand("sox", FLAC, WAV, (), options, telephony.effects())
    limits = ConversionLimits(output_factor=10_000)

    size, outcome = await _converted(silent_flac(_TEN_HOURS_S), command, tmp_path, limits)

    assert "10800.0 s came out of 3600" in str(outcome.report.error)
    assert size <= LONGEST_S * 8000 + 100


async def test_hours_of_silence_in_chained_ogg_files_end_at_a_limit(tmp_path: Path) -> None:
    bomb = encoded(silence(300.0), "ogg") * 120

    _, outcome = await _converted(bomb, _kazoo(OGG, MP3), tmp_path, _LITTLE_CPU)

    assert "it used more CPU time than is allowed" in str(outcome.report.error)


async def test_a_decoder_in_front_has_the_same_limits(tmp_path: Path) -> None:
    aac = contained(silence(1.0), "a.aac", "-c:a", "aac")
    bomb = aac * 20_000
    by_sox = partial(Converters(Confinement(tmp_path), None, None).by_command, _kazoo(WAV, WAV))

    async def start(head: Head) -> Started:
        confinement = Confinement(tmp_path)
        decoding = FfmpegDecoding.start(_FFMPEG, AudioFormat.AAC, head, _LITTLE_CPU, confinement)
        return TwoStageConversion(await decoding, by_sox)

    _, outcome = await run(start, bomb)

    assert "it used more CPU time than is allowed" in str(outcome.report.error)


class TestInProcess:
    async def test_what_claims_ten_hours_is_refused(self, pool: ConverterPool) -> None:
        out, outcome = await run(_in_process(pool, ConversionLimits()), silent_flac(_TEN_HOURS_S))

        assert "the limit is 10800 s" in str(outcome.report.error)
        assert len(out) < 10_000

    async def test_what_does_not_say_so_ends_at_the_cpu_limit_and_others_do_not_notice(
        self, pool: ConverterPool
    ) -> None:
        bomb = silent_flac(_TEN_HOURS_S)
        untold = bomb[:21] + bytes([bomb[21] & 0xF0]) + bytes(4) + bomb[26:]
        flac = encoded(tone(2.0), "flac")

        ended, *good = await asyncio.gather(
            run(_in_process(pool, _LITTLE_CPU), untold),
            *(run(_in_process(pool, ConversionLimits()), flac) for _ in range(4)),
        )

        assert "it used more CPU time than is allowed" in str(ended[1].report.error)
        for out, outcome in good:
            assert outcome.report.error is None
            assert measure(out, "mp3").duration_s == pytest.approx(2.0, abs=0.2)


@pytest.fixture(scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConverterPool]:
    pool = ConverterPool(tmp_path_factory.mktemp("pool"))
    yield pool
    await pool.aclose()


def _in_process(pool: ConverterPool, limits: ConversionLimits) -> Starting:
    job = Job(FLAC, MP3, "telephony", "linear16", ignore_length=False)
    return starting(pool, job, limits)
