"""Text-to-speech by a program: text on stdin, audio on stdout, with the limits of a converter."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.program import Program
from kazoo_media.errors import SpeechFailedError

_KILLED_BY_LIMIT = {-signal.SIGXCPU, -signal.SIGKILL}
_SHELL_SIGNAL = 128
"""A shell reports the signal that ended its program as this plus the signal."""


@dataclass(frozen=True, slots=True)
class SpeechProgram:
    """A program and how to run it.

    Attributes:
        title: Its name in error messages.
        program: `stall_s` of its limits is the longest pause in its output.
        confinement: Of the program.
    """

    title: str
    program: Program
    confinement: Confinement

    async def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield the audio that the program writes.

        Raises:
            SpeechFailedError: the program cannot be started, stalled or failed.
        """
        limits = self.program.limits
        try:
            process = await ConverterProcess.start(self.program, self.confinement)
        except OSError as error:
            message = f"{self.title} is not available to create TTS media: {error.strerror}"
            raise SpeechFailedError(message) from error
        try:
            # The text fits into the pipe, so a program that does not read all of it cannot block
            # this.
            async with asyncio.timeout(limits.stall_s):
                await process.stdin.write(text.encode())
            process.stdin.close()
            while data := await self._read(process):
                yield data
            async with asyncio.timeout(limits.stall_s):
                await process.wait()
        except TimeoutError:
            message = f"{self.title} sent nothing for {limits.stall_s:.0f} s"
            raise SpeechFailedError(message) from None
        finally:
            process.kill()
            process.close()
            await process.wait()
        self._check(process)

    async def _read(self, process: ConverterProcess) -> bytes:
        async with asyncio.timeout(self.program.limits.stall_s):
            return await process.stdout.read()

    def _check(self, process: ConverterProcess) -> None:
        code = process.exit_code
        if not code:
            return
        lines = process.complaints.strip().splitlines()
        reason = f"it ended with exit code {code}"
        if code in _KILLED_BY_LIMIT or _SHELL_SIGNAL - code in _KILLED_BY_LIMIT:
            reason = "it exceeded its limits"
        elif lines:
            reason = lines[-1][:200]
        raise SpeechFailedError(f"{self.title} failed: {reason}")
