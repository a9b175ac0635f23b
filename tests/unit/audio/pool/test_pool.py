"""Conversions by the pool: side by side, reused, and in the hands of whoever kills."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import measure, noise, tone, with_data_size
from tests.unit.audio.pool.pool_runs import (
    SPEECH,
    TELEPHONY,
    PoolUnderTest,
    descriptors,
    stop_at,
    until,
)
from tests.unit.audio.programs.sox_runs import read_all


async def test_a_conversion_gives_the_audio_of_its_preset_and_tells_what_it_measured(
    pool: PoolUnderTest,
) -> None:
    out, outcome = await pool.convert(tone(2.0, rate=44_100, channels=2, level_db=-20))

    heard = measure(out, "mp3")
    assert (heard.sample_rate_hertz, heard.channel_count) == (8000, 1)
    assert heard.frequency_hertz == pytest.approx(440, abs=2)
    assert outcome.report.error is None
    assert outcome.facts.duration_ms == pytest.approx(2000, abs=200)
    assert outcome.report.before is not None
    assert outcome.report.before.sample_rate_hertz == 44_100
    assert outcome.report.after is not None
    assert outcome.report.after.sample_rate_hertz == 8000
    assert outcome.report.after.peak_dbfs == pytest.approx(-17, abs=0.5)


async def test_a_wav_comes_out_with_true_sizes(pool: PoolUnderTest) -> None:
    out, outcome = await pool.convert(job=replace(TELEPHONY, target=AudioFormat.WAV))

    assert outcome.repaired_head is not None
    repaired = outcome.repaired_head + out[len(outcome.repaired_head) :]
    assert int.from_bytes(repaired[40:44], "little") == len(repaired) - 44 == 2 * 8000 * 2.4


async def test_an_input_that_is_broken_fails_with_a_reason_and_the_process_goes_on(
    pool: PoolUnderTest,
) -> None:
    await pool.convert()
    before = pool.processes()

    _, outcome = await pool.convert(SPEECH[: len(SPEECH) // 2])

    assert "the input is shorter than its header says" in str(outcome.report.error)
    assert (await pool.convert())[1].report.error is None
    assert pool.processes() == before


async def test_output_comes_while_input_arrives(pool: PoolUnderTest) -> None:
    audio = noise(120, rate=8000)
    conversion = pool.new()
    async with conversion:
        await conversion.feed(audio[: len(audio) // 2])
        first = await anext(aiter(conversion.output()))
    assert measure(first, "mp3").duration_s > 1


async def test_long_audio_is_levelled_and_nothing_is_left_of_one_that_is_stopped(
    pool: PoolUnderTest,
) -> None:
    audio, job = noise(45, rate=8000, level_db=-30), replace(TELEPHONY, preset="loudness")
    await pool.convert()
    before = descriptors()
    stopped = pool.new(job)
    async with stopped:
        await stopped.feed(audio[: -len(audio) // 8])
        await stopped.kill()

    out, outcome = await pool.convert(audio, job)

    assert outcome.report.error is None
    assert outcome.report.after is not None
    assert outcome.report.after.loudness_lufs == pytest.approx(-19, abs=0.4)
    assert measure(out, "mp3").duration_s == pytest.approx(45, abs=0.25)
    assert descriptors() == before


async def test_one_after_the_other_they_share_a_process(pool: PoolUnderTest) -> None:
    for _ in range(3):
        await pool.convert()

    assert len(pool.processes()) == 1


async def test_a_process_is_replaced_after_some_hundred_conversions(pool: PoolUnderTest) -> None:
    audio = tone(0.05)
    await pool.convert(audio)
    [first] = pool.processes()

    for _ in range(500):
        assert (await pool.convert(audio))[1].report.error is None

    assert first not in pool.processes()
    assert len(pool.processes()) == 1


async def test_sessions_that_wait_for_slow_uploads_take_little_memory_and_hold_up_nobody(
    pool: PoolUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.audio.pool.pool._LINGER_S", 0.5)
    slow = [await pool.begin() for _ in range(64)]
    private = [each.memory_full_info().uss for each in pool.processes()]
    assert len(private) == 64
    assert sum(private) < 64 * 8 * 1024 * 1024

    _, fast = await pool.convert()
    outcomes = [outcome for _, outcome in [await each.finish() for each in slow]]

    assert fast.report.error is None
    assert [each.report.error for each in outcomes] == [None] * 64
    await until(lambda: len(pool.processes()) <= 8)  # a few idle ones stay


async def test_bursts_of_conversions_fork_no_process_anew(pool: PoolUnderTest) -> None:
    async def burst() -> set[int]:
        held = [await pool.begin() for _ in range(16)]
        used = {each.pid for each in pool.processes()}
        for each in held:
            await each.finish()
        return used

    first = await burst()

    assert len(first) == 16
    assert await burst() == first


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "it crashed")]
)
async def test_a_process_that_dies_fails_its_conversion_and_no_other(
    pool: PoolUnderTest, number: signal.Signals, reason: str
) -> None:
    held = [await pool.begin() for _ in range(3)]

    pool.processes()[1].send_signal(number)

    assert reason in await held[1].reason()
    assert [(await each.finish())[1].report.error for each in (held[0], held[2])] == [None, None]
    assert (await pool.convert())[1].report.error is None


async def test_a_process_that_dies_idle_is_not_missed(pool: PoolUnderTest) -> None:
    await pool.convert()
    [idle] = pool.processes()

    idle.kill()
    await until(lambda: not pool.processes())

    assert (await pool.convert())[1].report.error is None


async def test_after_the_zygote_died_the_next_upload_is_converted(pool: PoolUnderTest) -> None:
    held = await pool.begin()
    [zygote] = pool.zygotes()

    zygote.kill()

    assert "killed" in await held.reason()
    assert (await pool.convert())[1].report.error is None
    assert pool.zygotes() != [zygote]


async def test_a_process_that_hangs_is_killed(pool: PoolUnderTest) -> None:
    held = await pool.begin(ConversionLimits(stall_s=0.2, stall_s_per_mib=0.0))
    [process] = pool.processes()

    process.suspend()

    assert "it did nothing for" in await held.reason()
    assert not process.is_running()
    assert (await pool.convert())[1].report.error is None


async def test_a_conversion_that_takes_too_much_cpu_is_killed(pool: PoolUnderTest) -> None:
    limits = ConversionLimits(cpu_s=1, cpu_s_per_mib=0)

    conversion = pool.new(replace(TELEPHONY, preset="wideband"), limits)
    more = noise(60, rate=8000)
    async with conversion:
        reading = asyncio.ensure_future(read_all(conversion))
        await conversion.feed(with_data_size(more, 0xFFFFFFFF))
        for _ in range(1000):  # returns at once when the process has ended
            await conversion.feed(more)
        await conversion.finish()
        await reading
        outcome = await conversion.outcome()

    assert "more CPU time" in str(outcome.report.error)


async def test_a_conversion_nobody_reads_takes_no_more_input(pool: PoolUnderTest) -> None:
    audio = noise(600, rate=8000)
    conversion = pool.new(replace(TELEPHONY, target=AudioFormat.WAV))
    fed = 0

    async def feed() -> None:
        nonlocal fed
        for at in range(0, len(audio), 65536):
            await conversion.feed(audio[at : at + 65536])
            fed += 65536
        await conversion.finish()

    async with conversion, asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        before = -1
        while before != fed:
            before = fed
            await asyncio.sleep(0.5)
        assert fed < len(audio) / 2
        out = await read_all(conversion)
        outcome = await conversion.outcome()
    assert outcome.report.error is None
    assert len(out) == pytest.approx(len(audio), abs=100)


@pytest.mark.parametrize("moment", ["starting", "running", "finished"])
async def test_a_conversion_that_is_stopped_leaves_nothing(
    pool: PoolUnderTest, moment: str
) -> None:
    await pool.convert()
    pool.processes()[0].kill()
    await until(lambda: not pool.processes())
    before = descriptors()
    for _ in range(3):
        await stop_at(moment, pool.new(), SPEECH)

    # One that was done before it was stopped is idle: it and its channel stay.
    idle = 1 if moment == "finished" else 0
    await until(lambda: len(pool.processes()) <= idle)
    await until(lambda: descriptors() == before + len(pool.processes()))


async def test_the_pool_starts_nothing_before_it_is_needed(pool: PoolUnderTest) -> None:
    async with pool.new() as conversion:
        await conversion.feed(b"<html>" + bytes(600))
        await conversion.finish()
        assert "not audio" in str((await conversion.outcome()).report.error)

    assert not pool.zygotes()


@pytest.mark.parametrize("pauses", [0, 5, 50])
async def test_a_pool_that_is_closed_while_it_starts_leaves_nothing(
    pool: PoolUnderTest, pauses: int
) -> None:
    conversion = pool.new()
    feeding = asyncio.ensure_future(conversion.feed(SPEECH))
    for _ in range(pauses):
        await asyncio.sleep(0.001)

    await pool.aclose()

    async with conversion:
        await feeding
    assert not pool.zygotes()
