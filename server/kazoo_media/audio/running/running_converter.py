"""What runs: a program, or a job of the pool."""

from __future__ import annotations

from typing import Protocol

from kazoo_media.audio.jobs import Report
from kazoo_media.audio.running.pipes import ReadPipe, WritePipe


class RunningConverter(Protocol):
    """What a conversion feeds and reads.

    Attributes:
        stdin: What it reads.
        stdout: What it writes.
    """

    stdin: WritePipe
    stdout: ReadPipe

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, minus the signal if one ended it; None while it runs."""

    @property
    def report(self) -> Report:
        """Return what it reported by its end."""

    async def wait(self) -> None:
        """Return when it has ended."""

    def allow_cpu(self, cpu_s: int) -> None:
        """Set the CPU limit of the whole conversion again."""

    def kill(self) -> None:
        """End it; `wait` returns in a moment."""

    def close(self) -> None:
        """Close the pipes."""
