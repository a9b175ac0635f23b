"""The proof that a process of the pool makes, byte for byte, what the documented command makes."""

from __future__ import annotations

import asyncio
import io
import math
import random
import wave
from array import array
from collections.abc import Callable, Iterator

import structlog

from kazoo_media.audio.conversion import Conversion

_log = structlog.get_logger()

_RATE = 8000
_HIGHEST = 32_767


class Proof:
    """Given once for the life of a worker, or not: whoever updates sox or LAME starts the service
    anew.
    """

    def __init__(
        self, by_command: Callable[[], Conversion], in_process: Callable[[], Conversion]
    ) -> None:
        """Keep what starts a conversion of a WAV."""
        self._ways = (by_command, in_process)
        self._is_given = False
        self._running: asyncio.Future[None] | None = None

    def is_given(self) -> bool:
        """Tell whether both are known to make the same. Never waits: who asks first starts it."""
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        return self._is_given

    async def aclose(self) -> None:
        """Stop it; afterwards nothing of it runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        problem = await self._problem()
        self._is_given = problem is None
        if problem is None:
            _log.info("the documented command is made in process")
        else:
            _log.warning("the documented command is not made in process", reason=problem)

    async def _problem(self) -> str | None:
        clip = await asyncio.to_thread(_clip)
        made = []
        for way in self._ways:
            coded, error = await _converted(way(), clip)
            if error is not None:
                return error
            made.append(coded)
        return None if made[0] == made[1] else "what came out differs"


async def _converted(conversion: Conversion, data: bytes) -> tuple[bytes, str | None]:
    """Return what came out, and why it must not be used."""

    async def feed() -> None:
        await conversion.feed(data)
        await conversion.finish()

    async with conversion, asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        coded = b"".join([chunk async for chunk in conversion.output()])
        return coded, (await conversion.outcome()).error


def _clip() -> bytes:
    """Return a WAV with a little of all that makes an encoder take another way."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(_RATE)
        writer.writeframes(array("h", map(round, _samples())).tobytes())
    return buffer.getvalue()


def _samples() -> Iterator[float]:
    chance = random.Random(1)  # noqa: S311 - noise, not a secret
    phase = 0.0
    for at in range(_RATE * 2 // 5):  # something like a vowel, whose pitch rises
        phase += 2 * math.pi * (110 + at / 100) / _RATE
        yield 3000 * sum(math.sin(phase * each) / each for each in range(1, 12))
    for level in (8000, 3, 0, 25_000):  # hiss, the last bits, silence, and what is too loud
        for _ in range(_RATE // 7):
            yield max(-_HIGHEST, min(_HIGHEST, chance.gauss(0, level)))
    for at in range(_RATE // 7):  # a full-scale square
        yield _HIGHEST if at // 19 % 2 else -_HIGHEST - 1
