"""A pool of processes that convert or measure, one job at a time each.

Theory of operation:

1. The first job starts the zygote (`zygote.py`), a fresh interpreter that imports the audio
   packages once, locks itself down and then forks converters, which share its memory.
2. A job takes an idle converter or a new one. It is sent as one message with the ends of two pipes,
   or of one pipe for a measurement; the pool never sees the audio.
3. The report returns as one message. The converter is then idle again, or dismissed after many
   jobs. A converter that dies closes its channel: its run ends with its exit code, and other runs
   are not affected.
4. Idle converters form a stack. Those at the bottom that were not needed for a while are dismissed,
   except for a few: a burst of small uploads reuses the processes that it forked.
5. When a zygote ends, its converters end; the next job starts a new zygote.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.jobs import Job, Measurement
from kazoo_media.audio.pool.converter import Converter, Run
from kazoo_media.audio.pool.zygote_client import ZygoteClient
from kazoo_media.audio.running.pipes import (
    MEASURED_PIPE_BYTES,
    ReadPipe,
    WritePipe,
    input_pipe,
    output_pipe,
)

_ALWAYS_IDLE = 8
_LINGER_S = 10.0
"""Forking a converter and its first access to shared memory cost as much as three small jobs."""
_PACKAGES = ("numpy", "soundfile", "soxr", "lameenc")


def can_convert() -> bool:
    """Return whether the packages of the extra [audio] are installed, without importing them."""
    return all(importlib.util.find_spec(each) for each in _PACKAGES)


class ConverterPool:
    """The converters of one worker. No process runs before the first job."""

    def __init__(self, temporary_folder: Path) -> None:
        """Keep the folder of the zygote and of temporary files."""
        self._folder = temporary_folder
        self._zygote: ZygoteClient | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._converters: set[Converter] = set()
        self._idle: list[Converter] = []
        self._fewest_idle = 0  # since the last look at them
        self._next_look: asyncio.TimerHandle | None = None

    async def start(self, job: Job | Measurement, limits: ConversionLimits) -> Run:
        """Return the run of a job, which waits for its input.

        Raises:
            OSError: no converter can be started.
        """
        starting = asyncio.ensure_future(self._start(job, limits))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)
            raise

    async def aclose(self) -> None:
        """End all processes. No job can be started afterwards."""
        self._is_closed = True
        if self._next_look is not None:
            self._next_look.cancel()
        async with self._opening:  # also ends a zygote that is being started
            if self._zygote is not None:
                await self._zygote.aclose()
        for converter in list(self._converters):
            converter.dismiss()
            await converter.wait()

    async def _start(self, job: Job | Measurement, limits: ConversionLimits) -> Run:
        with ExitStack() as service_side, ExitStack() as converter_side:
            only_measures = isinstance(job, Measurement)
            feeding, source = input_pipe(MEASURED_PIPE_BYTES) if only_measures else input_pipe()
            stdin = WritePipe(feeding)
            service_side.callback(stdin.close)
            converter_side.callback(os.close, source)
            descriptors, reading = [source], None
            if isinstance(job, Job):
                reading, sink = output_pipe()
                converter_side.callback(os.close, sink)
                descriptors.append(sink)
            stdout = ReadPipe(reading)
            service_side.callback(stdout.close)
            if isinstance(job, Job) and job.hears_all_first:
                spool = await asyncio.to_thread(tempfile.TemporaryFile, dir=self._folder)
                descriptors.append(converter_side.enter_context(spool).fileno())
            run = (await self._give(job, descriptors)).begin(stdin, stdout)
            run.allow_cpu(limits.cpu_s)  # there is nothing to read yet
            service_side.pop_all()
            return run

    async def _give(self, job: Job | Measurement, descriptors: Sequence[int]) -> Converter:
        """Send the job to a converter and return that."""
        while self._idle:
            converter = self._idle.pop()
            self._fewest_idle = min(self._fewest_idle, len(self._idle))
            with suppress(OSError):  # it has died, which its channel reports a moment later
                return converter.take(job, descriptors)
        return (await self._fork()).take(job, descriptors)

    async def _fork(self) -> Converter:
        zygote = await self._running_zygote()
        pid, channel = await zygote.fork()
        converter = Converter(pid, channel, zygote, self._when_idle, self._when_gone)
        self._converters.add(converter)
        return converter

    async def _running_zygote(self) -> ZygoteClient:
        async with self._opening:
            if self._is_closed:
                raise OSError(errno.ESHUTDOWN, "the pool is closed")
            if self._zygote is not None and not self._zygote.is_alive:
                await self._zygote.aclose()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await ZygoteClient.open(self._folder)
            return self._zygote

    def _when_idle(self, converter: Converter) -> None:
        self._idle.append(converter)
        if self._next_look is None and len(self._idle) > _ALWAYS_IDLE:
            self._look_later()

    def _look_later(self) -> None:
        self._fewest_idle = len(self._idle)
        self._next_look = asyncio.get_running_loop().call_later(_LINGER_S, self._dismiss_unneeded)

    def _dismiss_unneeded(self) -> None:
        self._next_look = None
        unneeded = min(self._fewest_idle, len(self._idle)) - _ALWAYS_IDLE
        for converter in self._idle[: max(0, unneeded)]:
            self._idle.remove(converter)
            converter.dismiss()
        if len(self._idle) > _ALWAYS_IDLE:
            self._look_later()

    def _when_gone(self, converter: Converter) -> None:
        self._converters.discard(converter)
        if converter in self._idle:
            self._idle.remove(converter)


def _abandon(starting: asyncio.Future[Run]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        run = starting.result()
        run.kill()
        run.close()
