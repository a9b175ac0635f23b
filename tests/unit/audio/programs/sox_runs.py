"""Running conversions in tests."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from typing_extensions import override

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
    Refusal,
    Started,
    failure_text,
)
from kazoo_media.audio.convert.converters import start_or_refuse
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head, can_be_judged, judged
from kazoo_media.audio.jobs import Report
from kazoo_media.audio.programs.sox import SoxCommand, SoxConversion
from kazoo_media.audio.running.confinement import Confinement

KAZOO = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))


Starting = Callable[[Head], Awaitable[Started]]
"""Starts a conversion of what begins with a head."""


class Uploading(Conversion):
    """A conversion as an upload makes it: it starts when the head of the input can be judged."""

    def __init__(self, start: Starting) -> None:
        self._start = start
        self._held = b""
        self._conversion: Conversion | None = None
        self._refused: ConversionOutcome | None = None
        self._starting = False
        self._begun = asyncio.Event()

    @property
    @override
    def backend(self) -> str:
        return "" if self._conversion is None else self._conversion.backend

    @override
    async def feed(self, data: bytes) -> None:
        if self._conversion is not None:
            await self._conversion.feed(data)
        elif self._refused is None:
            self._held += data
            if can_be_judged(self._held):
                await self._begin()

    @override
    async def finish(self) -> None:
        if self._conversion is None and self._refused is None:
            await self._begin()
        if self._conversion is not None:
            await self._conversion.finish()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        await self._begun.wait()
        if self._conversion is not None:
            async for chunk in self._conversion.output():
                yield chunk

    @override
    async def outcome(self) -> ConversionOutcome:
        await self._begun.wait()
        if self._conversion is not None:
            return await self._conversion.outcome()
        return self._refused or ConversionOutcome()

    @override
    async def kill(self) -> None:
        if self._conversion is None and self._refused is None:
            self._refused = ConversionOutcome(Report(failure_text("it was stopped")))
            if not self._starting:
                self._begun.set()
        await self._begun.wait()
        if self._conversion is not None:
            await self._conversion.kill()

    async def _begin(self) -> None:
        self._starting = True
        held, self._held = self._held, b""
        try:
            started = await self._start(judged(held))
            if isinstance(started, Refusal):
                self._refused = ConversionOutcome(Report(started.error))
                return
            self._conversion = started
            if self._refused is not None:  # `kill` came while it started
                await started.kill()
        finally:
            self._begun.set()
        await started.feed(held)


async def run(
    conversion: Conversion | Starting, data: bytes, chunk_bytes: int = 1 << 20
) -> tuple[bytes, ConversionOutcome]:
    uploading = conversion if isinstance(conversion, Conversion) else Uploading(conversion)

    async def feed() -> None:
        for at in range(0, len(data), chunk_bytes):
            await uploading.feed(data[at : at + chunk_bytes])
        await uploading.finish()

    async with uploading, asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        out = await read_all(uploading)
        outcome = await uploading.outcome()
    return out, outcome


async def run_fallback(outcome: ConversionOutcome, data: bytes) -> tuple[bytes, ConversionOutcome]:
    """Convert the same input by what the outcome offers."""
    fallback = outcome.fallback
    assert fallback is not None
    return await run(lambda _: fallback(), data)


class Convert:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, command: SoxCommand = KAZOO, limits: ConversionLimits | None = None) -> Uploading:
        limits = limits or ConversionLimits()
        program = Path(command.executable).name

        async def start(head: Head, given: SoxCommand = command) -> Started:
            ignoring = given.ignoring_length()
            now = ignoring if head.ignores_length else given
            again = partial(start, head, ignoring)
            conversion = SoxConversion.start(now, limits, Confinement(self._folder), again)
            return await start_or_refuse(head, command.source, program, conversion)

        return Uploading(start)

    async def __call__(
        self,
        data: bytes,
        command: SoxCommand = KAZOO,
        limits: ConversionLimits | None = None,
        chunk_bytes: int = 1 << 20,
    ) -> tuple[bytes, ConversionOutcome]:
        return await run(self.new(command, limits), data, chunk_bytes)

    async def reason(
        self, data: bytes, command: SoxCommand = KAZOO, limits: ConversionLimits | None = None
    ) -> str:
        _, outcome = await self(data, command, limits)
        assert outcome.report.error is not None
        assert outcome.report.error.startswith(KAZOO_FAILURE + ": ")
        return outcome.report.error.removeprefix(KAZOO_FAILURE + ": ")

    def script(self, text: str) -> str:
        path = self._folder / "sox"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)


async def read_all(conversion: Conversion) -> bytes:
    return b"".join([chunk async for chunk in conversion.output()])


async def feed_all(conversion: Conversion, data: bytes) -> None:
    await conversion.feed(data)
    await conversion.finish()
