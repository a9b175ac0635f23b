"""A pool of converters, and conversions by it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
    Started,
)
from kazoo_media.audio.convert.converters import start_or_refuse
from kazoo_media.audio.convert.pooled import PooledConversion
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.pool.pool import ConverterPool
from tests.support.audio_samples import tone
from tests.support.processes import zygotes
from tests.unit.audio.programs.sox_runs import Starting, Uploading, feed_all, read_all, run

TELEPHONY = Job(AudioFormat.WAV, AudioFormat.MP3, "telephony", "linear16", ignore_length=False)
SPEECH = tone(2.4, rate=16_000)


class PoolUnderTest:
    """A pool, and what a test does with it and its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_others = zygotes()  # the session keeps services with pools of their own
        self._pool = ConverterPool(folder)

    def new(self, job: Job = TELEPHONY, limits: ConversionLimits | None = None) -> Uploading:
        return Uploading(starting(self._pool, job, limits or ConversionLimits()))

    async def convert(
        self,
        data: bytes = SPEECH,
        job: Job = TELEPHONY,
        limits: ConversionLimits | None = None,
    ) -> tuple[bytes, ConversionOutcome]:
        return await run(self.new(job, limits), data)

    async def begin(self, limits: ConversionLimits | None = None) -> Held:
        """Return a conversion that has half of its input."""
        held = Held(self.new(limits=limits))
        await held.conversion.feed(SPEECH[: len(SPEECH) // 2])
        return held

    def processes(self) -> list[psutil.Process]:
        """Return the converters that run, the oldest first."""
        running = [child for zygote in self.zygotes() for child in zygote.children()]
        return sorted(running, key=psutil.Process.create_time)

    def zygotes(self) -> list[psutil.Process]:
        """Return what forks them."""
        return [each for each in zygotes() if each not in self._of_others]

    async def aclose(self) -> None:
        """Close it; check that nothing is left."""
        await self._pool.aclose()
        assert not self.zygotes()
        assert not list(self._folder.iterdir())


def starting(pool: ConverterPool, job: Job, limits: ConversionLimits) -> Starting:
    """Return what starts a job of a pool."""

    async def start(head: Head) -> Started:
        conversion = PooledConversion.start(pool, job, head, limits)
        return await start_or_refuse(head, job.source, "the converter process", conversion)

    return start


class Held:
    """A conversion that waits for the second half of its input."""

    def __init__(self, conversion: Conversion) -> None:
        self.conversion = conversion
        self._reading = asyncio.ensure_future(read_all(conversion))

    async def finish(self) -> tuple[bytes, ConversionOutcome]:
        """Give the rest and return what comes of it."""
        async with self.conversion:
            await feed_all(self.conversion, SPEECH[len(SPEECH) // 2 :])
            return await self._reading, await self.conversion.outcome()

    async def reason(self) -> str:
        """Finish, and return why it failed."""
        _, outcome = await self.finish()
        assert outcome.report.error is not None
        assert outcome.report.error.startswith(KAZOO_FAILURE + ": ")
        return outcome.report.error.removeprefix(KAZOO_FAILURE + ": ")


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; the test's time limit ends a wait for nothing."""
    while not condition():  # noqa: ASYNC110 - it is the kernel's, nothing signals it
        await asyncio.sleep(0.01)


async def stop_at(moment: str, conversion: Conversion, data: bytes) -> None:
    """Stop a conversion that is `starting`, `running` or `finished`: it has all its input."""
    reading = asyncio.ensure_future(read_all(conversion))
    feeding = asyncio.ensure_future(conversion.feed(data))
    if moment == "starting":
        await asyncio.sleep(0)
    else:
        await feeding
    if moment == "finished":
        await conversion.finish()
    feeding.cancel()
    await conversion.kill()
    await reading


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
