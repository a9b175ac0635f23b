"""The interface of a running converter: a program or a job of the pool."""

from __future__ import annotations

from typing import Protocol

from kazoo_media.audio.jobs import Report
from kazoo_media.audio.running.pipes import ReadPipe, WritePipe


class RunningConverter(Protocol):
    """A running converter, which a conversion feeds and reads.

    Attributes:
        stdin: The pipe that it reads.
        stdout: The pipe that it writes.
    """

    stdin: WritePipe
    stdout: ReadPipe

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, minus the signal if one ended it; None while it runs."""

    @property
    def report(self) -> Report:
        """Return the report at its end."""

    async def wait(self) -> None:
        """Return when it has ended."""

    def allow_cpu(self, cpu_s: int) -> None:
        """Set the CPU limit of the whole conversion again."""

    def kill(self) -> None:
        """Kill it; `wait` returns a moment later."""

    def close(self) -> None:
        """Close the pipes."""
