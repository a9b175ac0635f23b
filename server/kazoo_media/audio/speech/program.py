"""Text-to-speech by a program: text on stdin, audio on stdout, with the limits of a converter."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.process import ConverterProcess
from kazoo_media.audio.running.tethered import tethered_program
from kazoo_media.errors import SpeechFailedError

_KILLED_BY_LIMIT = {-signal.SIGXCPU, -signal.SIGKILL}
_SHELL_SIGNAL = 128
"""A shell reports the signal that ended its program as this plus the signal."""


@dataclass(frozen=True, slots=True)
class SpeechProgram:
    """A program and how to run it.

    Attributes:
        title: Its name in error messages.
        limits: Limits of CPU, memory and files; `stall_s` is the longest pause in its output.
        folder: Its working folder, for temporary files.
        ends_with_pipes: Whether it is known to end when its pipes close. Other programs are tied
            to this process.
    """

    title: str
    argv: tuple[str, ...]
    limits: ConversionLimits
    folder: Path
    ends_with_pipes: bool = False

    async def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield the audio that the program writes.

        Raises:
            SpeechFailedError: the program cannot be started, stalled or failed.
        """
        limits = self.limits
        try:
            process = await ConverterProcess.start(
                await asyncio.to_thread(self._command), limits, limits.spool_bytes, self.folder
            )
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

    def _command(self) -> Sequence[str]:
        return self.argv if self.ends_with_pipes else tethered_program(self.argv, self.folder)

    async def _read(self, process: ConverterProcess) -> bytes:
        async with asyncio.timeout(self.limits.stall_s):
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
