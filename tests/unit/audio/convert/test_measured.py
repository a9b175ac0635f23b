"""What a program converts is measured all the same, and no meter is in its way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyloudnorm
import pytest
import soxr
from numpy.typing import NDArray

from kazoo_media.audio.conversion import Conversion, ConversionOutcome
from kazoo_media.audio.convert import measured
from kazoo_media.audio.convert.converters import Backend, Backends
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.audio.programs.sox import SoxCommand
from tests.support.audio_samples import (
    encoded,
    measure,
    noise,
    silence,
    tone,
    wav_bytes,
    with_data_size,
)
from tests.support.processes import programs, zygotes
from tests.unit.audio.convert.damage import silent_flac
from tests.unit.audio.pool.pool_runs import descriptors, stop_at, until
from tests.unit.audio.programs.sox_runs import read_all, run

_FFMPEG = find_ffmpeg()
_RATE = 16_000
_LITTLE_BYTES = 20_000
_TELEPHONY = Job(AudioFormat.WAV, AudioFormat.MP3, "telephony", "linear16", ignore_length=False)
_KAZOO = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))


class Rig:
    """Back ends with a pool of their own, and its processes."""

    def __init__(self, folder: Path) -> None:
        self._of_others = zygotes()  # the session keeps services with pools of their own
        self.pool = ConverterPool(folder)
        self.backends = Backends(folder, self.pool, _FFMPEG)

    def by_sox(self, job: Job = _TELEPHONY) -> Conversion:
        return self.backends.make(job, Backend.SOX, "sox")

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the pool."""
        mine = [each for each in zygotes() if each not in self._of_others]
        return [child for zygote in mine for child in zygote.children()]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.pool.aclose()
    assert not rig.processes()


def _sound(kind: str, rate: int = _RATE) -> bytes:
    times = np.arange(3 * rate) / rate
    if kind == "tone":
        return tone(3.0, rate=rate, channels=2, level_db=-20)
    if kind == "clipped square":
        return wav_bytes(1.2 * np.sign(np.sin(2 * np.pi * 200 * times)), rate, 1, 16)
    if kind == "silence":
        return silence(3.0, rate=rate)
    brown = np.cumsum(np.random.default_rng(3).standard_normal(len(times)))
    brown -= np.convolve(brown, np.ones(400) / 400, "same")
    syllables = np.clip(np.sin(2 * np.pi * 1.5 * times), 0, 1)
    speech: NDArray[np.float64] = brown * syllables
    return wav_bytes(speech * (0.5 / np.abs(speech).max()), rate, 1, 16)


def _decoded(out: bytes, outcome: ConversionOutcome) -> tuple[NDArray[np.float64], int]:
    """Return what a player hears: ffmpeg's decoders are not those of the pool."""
    head = outcome.repaired_head or b""
    argv = [str(_FFMPEG), "-v", "error", "-i", "pipe:0", "-ac", "1", "-f", "f32le", "pipe:1"]
    done = subprocess.run(argv, input=head + out[len(head) :], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).astype(np.float64), 8000


def _independent_loudness(samples: NDArray[np.float64], rate: int) -> float | None:
    """Return the loudness by another meter, which is exact at 48 kHz only."""
    meter = pyloudnorm.Meter(48_000, filter_class="DeMan")
    if not samples.any():
        return None
    found: float = meter.integrated_loudness(soxr.resample(samples, rate, 48_000, "VHQ"))
    return None if found == -np.inf else found


@pytest.mark.parametrize("kind", ["tone", "speech", "clipped square", "silence"])
@pytest.mark.parametrize("target", ["mp3", "wav", "ogg", "flac"])
async def test_a_program_s_conversion_is_described_as_one_in_process(
    rig: Rig, kind: str, target: str
) -> None:
    job = replace(_TELEPHONY, target=AudioFormat[target.upper()])

    out, by_sox = await run(rig.by_sox(job), _sound(kind))
    _, in_process = await run(rig.backends.make(job, Backend.INPROCESS, "sox"), _sound(kind))

    assert by_sox.before == in_process.before
    assert by_sox.before is not None
    assert by_sox.after is not None
    assert in_process.after is not None
    assert by_sox.after.loudness_lufs == pytest.approx(in_process.after.loudness_lufs, abs=0.15)
    if kind == "clipped square":
        assert by_sox.before.clipped_samples == pytest.approx(3 * _RATE, rel=0.01)
    if kind != "silence":  # sox dithers it
        # A lossy decoder's peaks are other ones than those of what was encoded.
        assert by_sox.after.peak_dbfs == pytest.approx(in_process.after.peak_dbfs, abs=1.7)
    samples, rate = _decoded(out, by_sox)
    peak = float(np.abs(samples).max())
    assert by_sox.after.peak_dbfs == (
        pytest.approx(20 * np.log10(peak), abs=0.02) if peak else None
    )
    assert by_sox.after.loudness_lufs == pytest.approx(
        _independent_loudness(samples, rate), abs=0.15
    )
    highest = 1.0 if target in ("mp3", "ogg") else 32767 / 32768
    assert by_sox.after.clipped_samples == np.count_nonzero(np.abs(samples) >= highest)
    assert by_sox.after.duration_ms == by_sox.facts.duration_ms
    assert by_sox.after.duration_ms == pytest.approx(len(samples) * 1000 / rate, abs=10)


async def test_a_command_of_the_settings_is_measured(rig: Rig) -> None:
    _, outcome = await run(rig.backends.run(_KAZOO), tone(2.0, rate=_RATE, level_db=-20))

    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.before.peak_dbfs == pytest.approx(-17, abs=0.1)
    assert outcome.after.peak_dbfs == pytest.approx(-17.4, abs=0.3)


@pytest.mark.parametrize("source", ["mp3", "ogg", "flac", "au", "al", "ul", "gsm"])
async def test_every_source_of_the_pool_is_measured(rig: Rig, source: str) -> None:
    names = {"al": "PCMA", "ul": "PCMU"}
    job = replace(_TELEPHONY, source=AudioFormat[names.get(source, source.upper())])
    audio = encoded(tone(2.0, level_db=-20), source)  # type: ignore[arg-type]

    _, outcome = await run(rig.by_sox(job), audio)

    assert outcome.error is None
    assert outcome.before is not None
    assert outcome.before.loudness_lufs == pytest.approx(-21, abs=1)
    assert outcome.after is not None


async def test_of_what_the_pool_can_not_decode_only_the_output_is_measured(rig: Rig) -> None:
    job = replace(_TELEPHONY, source=AudioFormat.AMR)

    _, outcome = await run(rig.by_sox(job), encoded(tone(2.0), "amr-nb"))

    assert outcome.error is None
    assert outcome.before is None
    assert outcome.after is not None


async def test_what_ffmpeg_decodes_for_sox_is_measured(rig: Rig) -> None:
    opus = replace(_TELEPHONY, target=AudioFormat.OPUS)
    audio, _ = await run(rig.backends.make(opus, Backend.INPROCESS, "sox"), tone(2.0, level_db=-20))

    _, outcome = await run(rig.by_sox(replace(_TELEPHONY, source=AudioFormat.OPUS)), audio)

    assert outcome.error is None
    assert outcome.before is not None
    assert outcome.before.loudness_lufs == pytest.approx(-20.7, abs=0.5)


async def test_a_wav_whose_header_hides_audio_is_measured_whole(rig: Rig) -> None:
    audio = with_data_size(noise(5.0), 40_000)

    _, first = await run(rig.by_sox(), audio)
    assert first.another is not None
    _, outcome = await run(first.another(), audio)

    assert outcome.before is not None
    assert outcome.before.duration_ms == 5000
    assert outcome.after is not None


async def test_without_the_packages_sox_converts_and_nothing_is_measured(rig: Rig) -> None:
    without = replace(rig.backends, pool=None)

    _, outcome = await run(without.run(_KAZOO), tone(2.0))

    assert (outcome.error, outcome.before, outcome.after) == (None, None, None)
    assert not rig.processes()


async def test_the_meters_of_a_short_conversion_share_a_process(rig: Rig) -> None:
    for _ in range(3):
        await run(rig.by_sox(), tone(2.0))

    assert len(rig.processes()) <= 2


class TestMetersThatFail:
    """Whatever becomes of a meter, the conversion is as good as without."""

    @pytest.fixture
    def little_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kazoo_media.audio.convert.measured._PATIENCE_S", 0.2)

    async def _begun(self, rig: Rig, audio: bytes) -> tuple[Conversion, asyncio.Future[bytes]]:
        """Return a conversion that has a little of its input, and what will come out."""
        conversion = rig.by_sox()
        reading = asyncio.ensure_future(read_all(conversion))
        await conversion.feed(audio[:_LITTLE_BYTES])
        await until(lambda: bool(rig.processes()))
        return conversion, reading

    async def _checked(
        self, conversion: Conversion, reading: asyncio.Future[bytes], audio: bytes
    ) -> ConversionOutcome:
        """Feed the rest; return the outcome of a good conversion."""
        async with conversion:
            for at in range(_LITTLE_BYTES, len(audio), 1 << 20):
                await conversion.feed(audio[at : at + (1 << 20)])
            await conversion.finish()
            out = await reading
            outcome = await conversion.outcome()
        assert outcome.error is None
        seconds = (len(audio) - 44) / 2 / _RATE
        assert measure(out, "mp3").duration_s == pytest.approx(seconds, abs=0.2)
        return outcome

    @pytest.mark.parametrize("seconds", [2.0, 120.0])
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
    async def test_one_that_dies_takes_only_its_figures_with_it(
        self, rig: Rig, number: signal.Signals, seconds: float
    ) -> None:
        audio = noise(seconds, rate=_RATE)
        begun = await self._begun(rig, audio)

        rig.processes()[0].send_signal(number)

        outcome = await self._checked(*begun, audio)
        assert outcome.before is None
        assert outcome.after is not None
        assert (await run(rig.by_sox(), audio))[1].before is not None

    @pytest.mark.usefixtures("little_patience")
    @pytest.mark.parametrize("seconds", [2.0, 120.0])
    async def test_one_that_hangs_holds_up_the_conversion_only_for_a_while(
        self, rig: Rig, seconds: float
    ) -> None:
        audio = noise(seconds, rate=_RATE)
        begun = await self._begun(rig, audio)
        [meter] = rig.processes()

        meter.suspend()

        assert (await self._checked(*begun, audio)).before is None
        await until(lambda: meter not in rig.processes())

    async def test_where_none_can_be_started_there_are_no_figures(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refused(pool: ConverterPool) -> None:
            raise OSError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(ConverterPool, "_fork", refused)
        audio = noise(60.0, rate=_RATE)

        out, outcome = await run(rig.by_sox(), audio, chunk_bytes=10_000)

        assert (outcome.error, outcome.before, outcome.after) == (None, None, None)
        assert measure(out, "mp3").duration_s == pytest.approx(60, abs=0.2)

    @pytest.mark.parametrize("data", [b"x", b"", tone(0.1)[:40], tone(0.1)[:1000]])
    async def test_what_is_refused_at_its_head_waits_for_none(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, data: bytes
    ) -> None:
        monkeypatch.setattr(measured, "_PATIENCE_S", 1e6)
        _, outcome = await run(rig.backends.run(_KAZOO), data)
        assert outcome.error is not None

    async def test_one_that_gives_up_early_takes_what_it_is_given(self, rig: Rig) -> None:
        # libsndfile ends at the second stream, sox goes on.
        audio = encoded(noise(30.0), "ogg") * 20

        _, outcome = await run(rig.by_sox(replace(_TELEPHONY, source=AudioFormat.OGG)), audio)

        assert outcome.error is None
        assert outcome.facts.duration_ms == pytest.approx(600_000, abs=2000)
        assert outcome.after is not None

    @pytest.mark.parametrize("moment", ["starting", "running", "finished"])
    async def test_a_conversion_that_is_stopped_leaves_no_process_and_no_descriptor(
        self, rig: Rig, moment: str
    ) -> None:
        audio = noise(20.0, rate=_RATE)
        await run(rig.by_sox(), audio)
        for each in rig.processes():
            each.kill()
        await until(lambda: not rig.processes())
        before = descriptors()
        for _ in range(3):
            await stop_at(moment, rig.by_sox(), audio)
        # What had ended before it was stopped is idle: it and its channel stay.
        idle = 2 if moment == "finished" else 0
        await until(lambda: len(rig.processes()) <= idle)
        await until(lambda: descriptors() <= before + len(rig.processes()))
        assert not programs()

    async def test_a_bomb_ends_at_the_limit_of_the_program_and_its_meters_with_it(
        self, rig: Rig
    ) -> None:
        bomb = silent_flac(36_000)
        untold = bomb[:21] + bytes([bomb[21] & 0xF0]) + bytes(4) + bomb[26:]
        command = replace(_KAZOO, source=AudioFormat.FLAC, target=AudioFormat.WAV)

        out, outcome = await run(rig.backends.run(command), untold)

        assert "it wrote more than is allowed" in str(outcome.error)
        assert len(out) < 64 << 20
        assert (outcome.before, outcome.after) == (None, None)
        assert all(each.status() == psutil.STATUS_SLEEPING for each in rig.processes())
