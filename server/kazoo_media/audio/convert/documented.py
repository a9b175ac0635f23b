"""Conversion by Kazoo's documented command: by a process of the pool where that is known to write,
byte for byte, what the command writes; by the command itself everywhere else.

Theory of operation
1. The head of the input decides. Of mono audio of 8 kHz, in samples that sox takes as they are, the
   command makes an mp3 without any effect: it reads samples and gives them to LAME, which a process
   of the pool does as well, with the same library.
2. The proof decides. It runs in the background, once in the life of a worker, when the first such
   head has come: the command and the pool both convert a clip. Until it is given, and if it can not
   be given, the command runs.
3. What fails in the pool is converted again by the command, whose word on an input is the last.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionLimits, ConversionOutcome
from kazoo_media.audio.convert.pooled import InProcessConversion
from kazoo_media.audio.convert.proof import Proof
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.presets import KAZOO
from kazoo_media.audio.programs.sox import SoxCommand, SoxConversion

DOCUMENTED = SoxCommand("sox", AudioFormat.WAV, AudioFormat.MP3, (), ("-r", "8000"))
"""What the settings say of a WAV unless somebody changes them."""

_JOB = Job(DOCUMENTED.source, DOCUMENTED.target, KAZOO, "linear16", ignore_length=False)

# No chunk stands before the audio that sox might read more out of: from a LIST it takes comments.
_SHAPE_16 = rb"\x01\x00\x01\x00\x40\x1f\x00\x00....\x02\x00\x10\x00"  # PCM
_SHAPE_8 = rb"[\x01\x06\x07]\x00\x01\x00\x40\x1f\x00\x00....\x01\x00\x08\x00"  # PCM and G.711
_SHAPE = b"(?:%b|%b)" % (_SHAPE_16, _SHAPE_8)
_PLAIN_WAV = re.compile(
    rb"RIFF....WAVEfmt (?:\x10\x00\x00\x00%b|\x12\x00\x00\x00%b\x00\x00)"
    rb"(?:fact\x04\x00\x00\x00....)?data" % (_SHAPE, _SHAPE),
    re.DOTALL,
)
_HEAD_BYTES = 54  # of the longest of these


class Documented:
    """Converts as the documented command does."""

    def __init__(self, pool: ConverterPool, temporary_folder: Path) -> None:
        self._pool = pool
        self._folder = temporary_folder
        self._proof = Proof(self._by_sox, self._in_process)

    def conversion(self, by_command: Callable[[], Conversion]) -> Conversion:
        """Return a conversion of a WAV; `by_command` starts one by the command."""
        return _ChosenConversion(lambda head: self._chosen(head, by_command))

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        await self._proof.aclose()

    def _chosen(self, head: bytes, by_command: Callable[[], Conversion]) -> Conversion:
        if _PLAIN_WAV.match(head) and self._proof.is_given():
            return self._in_process(by_command)
        return by_command()

    def _by_sox(self) -> Conversion:
        return SoxConversion(DOCUMENTED, ConversionLimits(), self._folder)

    def _in_process(self, spare: Callable[[], Conversion] | None = None) -> Conversion:
        return InProcessConversion(_JOB, ConversionLimits(), self._pool, spare)


class _ChosenConversion(Conversion):
    """Another conversion, which is chosen when the head of the input has come."""

    def __init__(self, choose: Callable[[bytes], Conversion]) -> None:
        self._choose = choose
        self._held = b""
        self._conversion: Conversion | None = None
        self._begun = asyncio.Event()

    @override
    async def feed(self, data: bytes) -> None:
        if self._conversion is not None:
            await self._conversion.feed(data)
            return
        self._held += data
        if len(self._held) >= _HEAD_BYTES:
            await self._feed_held()

    @override
    async def finish(self) -> None:
        if self._conversion is None:
            await self._feed_held()
        await self._begin().finish()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        await self._begun.wait()
        async for chunk in self._begin().output():
            yield chunk

    @override
    async def outcome(self) -> ConversionOutcome:
        await self._begun.wait()
        return await self._begin().outcome()

    @override
    async def kill(self) -> None:
        await self._begin().kill()

    async def _feed_held(self) -> None:
        conversion = self._begin()
        held, self._held = self._held, b""
        await conversion.feed(held)

    def _begin(self) -> Conversion:
        """Return the conversion; nobody chooses again."""
        if self._conversion is None:
            self._conversion = self._choose(self._held)
            self._begun.set()
        return self._conversion
