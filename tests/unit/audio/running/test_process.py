from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import uvloop

from kazoo_media.audio.conversion import KAZOO_FAILURE, ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import noise, tone
from tests.unit.audio.programs.sox_runs import KAZOO, Convert, feed_all, read_all

WAV, MP3, OGG, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OGG, AudioFormat.FLAC


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]


class TestBadConverter:
    async def test_a_missing_program_is_an_error(self, convert: Convert) -> None:
        command = replace(KAZOO, executable="/nowhere/sox")

        reason = await convert.reason(tone(), command)

        assert reason == "sox cannot be started: No such file or directory"

    async def test_a_program_that_may_not_run_is_an_error(
        self, convert: Convert, tmp_path: Path
    ) -> None:
        (tmp_path / "sox").write_text("")

        reason = await convert.reason(tone(), replace(KAZOO, executable=str(tmp_path / "sox")))

        assert reason == "sox cannot be started: Permission denied"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cat >/dev/null; exit 3", "exit status 3"),
            ("cat >/dev/null; echo 'sox FAIL formats: a  reason' >&2; exit 2", "formats: a reason"),
            ("cat >/dev/null; echo '/usr/bin/sox FAIL x: No space left' >&2", "x: No space left"),
            ("cat >/dev/null", "no audio came out"),
            ("cat >/dev/null; echo something", "the output is not MP3"),
            ("kill -9 $$", "killed"),
            ("kill -XCPU $$", "more CPU time than is allowed"),
            ("kill -XFSZ $$", "larger temporary file"),
            ("kill -PIPE $$", "output was closed"),
            ("kill -SEGV $$", "it crashed, perhaps because the input is broken"),
            ("kill -36 $$", "ended by signal 36"),
        ],
    )
    async def test_its_failure_is_reported_by_name(
        self, convert: Convert, text: str, expected: str
    ) -> None:
        command = replace(KAZOO, executable=convert.script(text))

        assert expected in await convert.reason(noise(30.0), command)

    async def test_one_that_ends_early_lets_all_input_pass(self, convert: Convert) -> None:
        command = replace(KAZOO, executable=convert.script("exit 0"))

        assert await convert.reason(noise(60.0, rate=48_000), command) == "no audio came out"

    @pytest.mark.parametrize(
        "text", ["sleep 1000", "cat >/dev/null; sleep 1000", "exec >&-; sleep 1000"]
    )
    async def test_one_that_does_nothing_is_killed(self, convert: Convert, text: str) -> None:
        command = replace(KAZOO, executable=convert.script(text))
        limits = ConversionLimits(stall_s=0.2, stall_s_per_mib=0.01)

        assert "it did nothing for" in await convert.reason(
            noise(60.0, rate=48_000), command, limits
        )

    async def test_its_children_die_with_it(self, convert: Convert) -> None:
        command = replace(KAZOO, executable=convert.script("sleep 4242 & exit 1"))

        await convert.reason(tone(), command)

        left = [
            each
            for each in psutil.process_iter(["cmdline"])
            if each.info["cmdline"] == ["sleep", "4242"]
        ]
        assert left == []

    async def test_one_that_writes_without_end_is_killed(self, convert: Convert) -> None:
        command = replace(KAZOO, executable=convert.script("exec cat /dev/zero"))

        out, outcome = await convert(tone(), command, ConversionLimits(output_factor=1))

        assert outcome.report.error == f"{KAZOO_FAILURE}: it wrote more than is allowed"
        assert len(out) <= 17 * 1024 * 1024

    async def test_one_that_uses_the_cpu_without_end_is_killed(self, convert: Convert) -> None:
        command = replace(KAZOO, executable=convert.script("while :; do :; done"))

        reason = await convert.reason(tone(), command, ConversionLimits(cpu_s=1))

        assert "more CPU time" in reason

    async def test_one_that_writes_a_file_is_killed(self, convert: Convert) -> None:
        command = replace(
            KAZOO, executable=convert.script("cat >/dev/null; exec head -c 100 /dev/zero > file")
        )

        assert "larger temporary file" in await convert.reason(tone(), command)

    async def test_it_gets_no_environment_but_the_needed_one(
        self, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOX_OPTS", "--norm")
        command = replace(KAZOO, executable=convert.script("env >&2; echo sox FAIL $(env) >&2"))

        reason = await convert.reason(tone(), command)

        words = {each.partition("=")[0] for each in reason.split()} - {
            "PWD",
            "SHLVL",
            "_",
            "OLDPWD",
        }
        assert words <= {"PATH", "LC_ALL", "TMPDIR"}
        assert f"TMPDIR={tmp_path}" in reason

    async def test_it_runs_under_limits(self, convert: Convert) -> None:
        text = 'cat >/dev/null; echo "sox FAIL $(ulimit -v) $(ulimit -n) $(ulimit -c) $(nice)" >&2'

        reason = await convert.reason(tone(), replace(KAZOO, executable=convert.script(text)))

        assert reason == f"{256 * 1024} 32 0 10"

    async def test_more_input_allows_more_cpu_time(self, convert: Convert) -> None:
        text = 'cat >/dev/null; echo "sox FAIL $(ulimit -t)" >&2'
        command = replace(KAZOO, executable=convert.script(text))

        assert await convert.reason(tone(), command) == "60"
        assert int(await convert.reason(noise(200.0, rate=48_000), command)) > 60


def _resources() -> tuple[int, int]:
    me = psutil.Process()
    return me.num_fds(), len(me.children(recursive=True))


@pytest.mark.parametrize("loop_factory", LOOPS, ids=["asyncio", "uvloop"])
class TestResources:
    """Every way a conversion ends leaves neither a descriptor nor a process."""

    def left_over(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop],
        scenario: Callable[[], Awaitable[None]],
    ) -> list[tuple[int, int]]:
        async def main() -> list[tuple[int, int]]:
            await scenario()
            before = _resources()
            for _ in range(5):
                await scenario()
            return [before, _resources()]

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    def check(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop],
        scenario: Callable[[], Awaitable[None]],
    ) -> None:
        before, after = self.left_over(loop_factory, scenario)
        assert after == before

    def test_after_success(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        async def scenario() -> None:
            _, outcome = await convert(noise(20.0, rate=48_000))
            assert outcome.report.error is None

        self.check(loop_factory, scenario)

    def test_after_failure(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        executable = convert.script("exit 1")

        async def scenario() -> None:
            await convert.reason(noise(5.0), replace(KAZOO, executable=executable))
            await convert.reason(tone(), replace(KAZOO, executable="/nowhere"))
            await convert.reason(b"text, not audio")

        self.check(loop_factory, scenario)

    def test_after_a_kill_while_it_is_fed_and_read(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        executable = convert.script("sleep 1000")

        async def scenario() -> None:
            conversion = convert.new(replace(KAZOO, executable=executable))
            async with asyncio.TaskGroup() as tasks:
                feeding = tasks.create_task(feed_all(conversion, noise(60.0, rate=48_000)))
                reading = tasks.create_task(read_all(conversion))
                await asyncio.sleep(0.05)
                assert not feeding.done()
                await conversion.kill()
                await conversion.kill()
            assert reading.result() == b""
            assert (await conversion.outcome()).report.error == f"{KAZOO_FAILURE}: it was stopped"
            await conversion.feed(tone())
            await conversion.finish()

        self.check(loop_factory, scenario)

    def test_after_a_kill_before_anything_was_fed(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        async def scenario() -> None:
            conversion = convert.new()
            await conversion.kill()
            await conversion.feed(tone())
            await conversion.finish()
            assert await read_all(conversion) == b""

        self.check(loop_factory, scenario)

    def test_after_a_kill_while_it_starts(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        async def scenario() -> None:
            conversion = convert.new()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed_all(conversion, noise(10.0)))
                await asyncio.sleep(0)
                await conversion.kill()
            assert (await conversion.outcome()).report.error is not None

        self.check(loop_factory, scenario)

    def test_after_a_cancellation_at_any_moment(
        self, convert: Convert, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        audio = noise(10.0, rate=48_000)

        async def scenario() -> None:
            for delay_s in (0, 0.0005, 0.001, 0.002, 0.004, 0.01, 0.03):
                with suppress(TimeoutError):
                    await asyncio.wait_for(convert(audio), delay_s)
            await _settled()

        self.check(loop_factory, scenario)


async def _settled() -> None:
    """Wait for what a cancelled start still has to clear away."""
    for _ in range(1000):
        with suppress(psutil.NoSuchProcess):  # it ended between the two questions
            if not any(child.name() == "sox" for child in psutil.Process().children()):
                break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
