"""A conversion by a program, which measures nothing: what goes in and what comes out is measured by
the pool meanwhile.

Theory of operation
1. Input and output go to a meter each, a job of the pool that makes nothing. The program has its
   bytes first, and whoever reads its output has them first.
2. A meter holds two chunks, the next one waits: so a meter that is behind, as one may be among many
   on few cores, holds up the conversion; but both together, the wait for their reports included,
   only as long as there is patience. Then they are killed. Most programs are slower anyway: they
   encode.
3. A meter that can not start, dies or knows nothing of the format takes what it is given at once.
4. Whatever becomes of its meters, a conversion ends as it would without them: what they would have
   told is not there. One that fails waits for no meter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionLimits, ConversionOutcome
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import SOURCES, Measurement, Sound
from kazoo_media.audio.pool.pool import ConverterPool

_PATIENCE_S = 10.0  # in all; sixty conversions that begin at once need three where others work, too


class MeasuredConversion(Conversion):
    """Another conversion, whose outcome has what the pool measured, as far as it could."""

    def __init__(
        self,
        conversion: Conversion,
        source: AudioFormat,
        target: AudioFormat,
        pool: ConverterPool,
    ) -> None:
        self._conversion = conversion
        self._source = source
        self._target = target
        self._pool = pool
        self._patience = _Patience()
        self._before: _Meter | None = None
        self._after: _Meter | None = None
        self._finished = asyncio.Event()

    @override
    async def feed(self, data: bytes) -> None:
        if self._before is None:
            self._before = _Meter(self._pool, self._source, self._patience)
        await self._conversion.feed(data)
        await self._before.feed(data)

    @override
    async def finish(self) -> None:
        await self._conversion.finish()
        if self._before is not None:
            await self._before.finish()
        self._finished.set()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        async for chunk in self._conversion.output():
            if self._after is None:
                self._after = _Meter(self._pool, self._target, self._patience)
            yield chunk
            await self._after.feed(chunk)
        if self._after is not None:
            await self._after.finish()

    @override
    async def outcome(self) -> ConversionOutcome:
        outcome = await self._conversion.outcome()
        another = outcome.another
        if another is not None:
            outcome = replace(
                outcome,
                another=lambda: MeasuredConversion(
                    another(), self._source, self._target, self._pool
                ),
            )
        if outcome.error is not None:
            await self._kill_meters()
            return outcome
        await self._finished.wait()  # a program may leave what follows the audio unread
        before = None if self._before is None else await self._before.sound()
        after = None if self._after is None else await self._after.sound()
        return replace(outcome, before=before, after=after)

    @override
    async def kill(self) -> None:
        await self._conversion.kill()
        await self._kill_meters()
        self._finished.set()

    async def _kill_meters(self) -> None:
        for meter in (self._before, self._after):
            if meter is not None:
                await meter.kill()


class _Patience:
    """How long the meters of a conversion may still be waited for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._left_s = _PATIENCE_S

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Let the block wait for as long.

        Raises:
            TimeoutError: it was not enough.
        """
        began = self._loop.time()
        try:
            async with asyncio.timeout(self._left_s):
                yield
        finally:
            self._left_s -= self._loop.time() - began


class _Meter:
    """One measurement by the pool. No method raises."""

    def __init__(self, pool: ConverterPool, audio_format: AudioFormat, patience: _Patience) -> None:
        """Start; nothing is waited for."""
        self._patience = patience
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._sound: Sound | None = None
        self._measuring = asyncio.ensure_future(self._measure(pool, audio_format))
        # Not in its own `finally`: a task that is cancelled before its first step has none.
        self._measuring.add_done_callback(self._let_go)

    async def feed(self, data: bytes | None) -> None:
        """Take the next bytes; waits while there is no room, as long as there is patience."""
        if self._measuring.done():
            return
        try:
            async with self._patience.limit():
                await self._chunks.put(data)
        except TimeoutError:
            self._measuring.cancel()

    async def finish(self) -> None:
        """Say that there is no more audio."""
        await self.feed(None)

    async def sound(self) -> Sound | None:
        """Return what was measured of everything; None: nothing, or not as long as there is
        patience. It has ended then.
        """
        with suppress(TimeoutError):
            async with self._patience.limit():
                await asyncio.wait([self._measuring])
        await self.kill()
        return self._sound

    async def kill(self) -> None:
        """End it now, and what runs for it."""
        self._measuring.cancel()
        await asyncio.wait([self._measuring])

    async def _measure(self, pool: ConverterPool, audio_format: AudioFormat) -> None:
        if audio_format in SOURCES:
            with suppress(OSError):
                await self._run(pool, Measurement(audio_format))

    def _let_go(self, _: asyncio.Future[None]) -> None:
        """Let who waits for room go on."""
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _run(self, pool: ConverterPool, measurement: Measurement) -> None:
        run = await pool.start(measurement, ConversionLimits())
        try:
            while (chunk := await self._chunks.get()) is not None:
                await run.stdin.write(chunk)
            run.stdin.close()
            await run.wait()
            self._sound = run.account.before
        finally:
            run.kill()
            run.close()
            await run.wait()
