"""Running conversions in tests."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
)
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.programs.sox import SoxCommand, SoxConversion

KAZOO = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))


async def run(
    conversion: Conversion, data: bytes, chunk_bytes: int = 1 << 20
) -> tuple[bytes, ConversionOutcome]:
    async def feed() -> None:
        for at in range(0, len(data), chunk_bytes):
            await conversion.feed(data[at : at + chunk_bytes])
        await conversion.finish()

    async with conversion, asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        out = await read_all(conversion)
        outcome = await conversion.outcome()
    return out, outcome


class Convert:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(
        self,
        command: SoxCommand = KAZOO,
        limits: ConversionLimits | None = None,
        *,
        ignore_length: bool = False,
    ) -> SoxConversion:
        limits = limits or ConversionLimits()
        return SoxConversion(command, limits, self._folder, ignore_length=ignore_length)

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
        assert outcome.error is not None
        assert outcome.error.startswith(KAZOO_FAILURE + ": ")
        return outcome.error.removeprefix(KAZOO_FAILURE + ": ")

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
