"""Conversion in two stages: a decoder makes WAV of the input, another conversion takes that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionOutcome


class DecodedConversion(Conversion):
    """Feeds what a decoder puts out to another conversion. Both run while the input comes in."""

    def __init__(self, decoder: Conversion, conversion: Conversion) -> None:
        self._decoder = decoder
        self._conversion = conversion
        self._decoded = ConversionOutcome()

    @override
    async def feed(self, data: bytes) -> None:
        await self._decoder.feed(data)

    @override
    async def finish(self) -> None:
        await self._decoder.finish()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        moving = asyncio.ensure_future(self._move())
        try:
            async for chunk in self._conversion.output():
                yield chunk
            await moving
        finally:
            moving.cancel()

    @override
    async def outcome(self) -> ConversionOutcome:
        outcome = await self._conversion.outcome()
        warnings = (*self._decoded.warnings, *outcome.warnings)
        # A decoder that failed had its successor killed: its own reason is the one.
        error = self._decoded.error or outcome.error
        return replace(outcome, error=error, warnings=tuple(dict.fromkeys(warnings)), another=None)

    @override
    async def kill(self) -> None:
        await self._decoder.kill()
        await self._conversion.kill()

    async def _move(self) -> None:
        """Bring everything from one stage to the next; end the next one as the first one ended."""
        async for chunk in self._decoder.output():
            await self._conversion.feed(chunk)
        self._decoded = await self._decoder.outcome()
        if self._decoded.error is None:
            await self._conversion.finish()
        else:
            await self._conversion.kill()
