"""Conversion in two stages: a decoder converts the input to WAV, another converter that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionOutcome, Refusal, Started
from kazoo_media.audio.inspect.head import Head, can_be_judged, judged
from kazoo_media.audio.jobs import Report


class TwoStageConversion(Conversion):
    """Feeds the output of a decoder to a second conversion.

    The second one starts when the head of that output can be judged. Both run during the upload.
    """

    def __init__(
        self, decoder: Conversion, start_second: Callable[[Head], Awaitable[Started]]
    ) -> None:
        self._decoder = decoder
        self._start_second = start_second
        self._second: Conversion | None = None
        self._begun = asyncio.Event()
        self._ended: ConversionOutcome | None = None  # why there is no second stage, or no longer
        self._decoded = ConversionOutcome()

    @property
    @override
    def backend(self) -> str:
        stages = [self._decoder] if self._second is None else [self._decoder, self._second]
        return "+".join(each.backend for each in stages)

    @override
    async def feed(self, data: bytes) -> None:
        await self._decoder.feed(data)

    @override
    async def finish(self) -> None:
        await self._decoder.finish()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        moving = asyncio.ensure_future(self._move())
        moving.add_done_callback(lambda _: self._begun.set())
        try:
            await self._begun.wait()
            if self._second is not None:
                async for chunk in self._second.output():
                    yield chunk
            await moving
        finally:
            moving.cancel()
            await asyncio.wait([moving])

    @override
    async def outcome(self) -> ConversionOutcome:
        outcome = ConversionOutcome() if self._second is None else await self._second.outcome()
        refused = self._ended or outcome
        warnings = (*self._decoded.report.warnings, *outcome.report.warnings)
        # If the decoder failed, the second stage was killed: the decoder's reason counts.
        error = self._decoded.report.error or refused.report.error
        report = replace(outcome.report, error=error, warnings=tuple(dict.fromkeys(warnings)))
        return replace(outcome, report=report, fallback=None)

    @override
    async def kill(self) -> None:
        await self._decoder.kill()
        if self._second is not None:
            await self._second.kill()

    async def _move(self) -> None:
        """Feed the output of the first stage to the second, and end the second like the first."""
        held = b""
        async for chunk in self._decoder.output():
            if self._second is not None:
                await self._second.feed(chunk)
                continue
            held += chunk
            if self._ended is None and can_be_judged(held):
                await self._begin(held)
        self._decoded = await self._decoder.outcome()
        if self._decoded.report.error is None and self._second is None and self._ended is None:
            await self._begin(held)
        if self._second is None:
            return
        if self._decoded.report.error is None:
            await self._second.finish()
        else:
            await self._second.kill()

    async def _begin(self, held: bytes) -> None:
        started = await self._start_second(judged(held))
        if isinstance(started, Refusal):
            self._ended = ConversionOutcome(Report(started.error))
            await self._decoder.kill()
            return
        self._second = started
        self._begun.set()
        await started.feed(held)
