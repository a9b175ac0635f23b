"""The interface of a converter: bytes in, bytes out, and an outcome at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

from kazoo_media.audio.jobs import Report
from kazoo_media.model import AudioFacts

_MIB = 1024 * 1024

KAZOO_FAILURE = "failed to communicate with conversion utility"
"""Start of every error text, in Kazoo's words."""


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """The limits of one conversion. CPU time, idle time and output grow with the input.

    Attributes:
        cpu_s: CPU time, plus `cpu_s_per_mib` for each MiB fed.
        stall_s: How long the converter may be idle although it could work, plus `stall_s_per_mib`
            for each MiB fed. Waiting for a slow upload or a slow reader does not count.
        output_bytes: Size of the output, plus `output_factor` bytes for each byte fed, at most
            `most_output_bytes`.
        spool_bytes: Size of the temporary file if the conversion cannot stream (`--norm`, `-G`);
            other conversions may not write files.
    """

    cpu_s: int = 60
    cpu_s_per_mib: int = 2
    stall_s: float = 30.0
    stall_s_per_mib: float = 0.5
    memory_bytes: int = 256 * _MIB
    open_files: int = 32
    output_bytes: int = 16 * _MIB
    output_factor: int = 512
    most_output_bytes: int = 2048 * _MIB
    spool_bytes: int = 1024 * _MIB


@dataclass(frozen=True, slots=True)
class ConversionOutcome:
    """How a conversion ended, and facts of its output.

    Attributes:
        report: Its error begins with KAZOO_FAILURE.
        facts: Facts of the output.
        repaired_head: Replaces the first bytes of the output: a WAV or FLAC that was written into a
            pipe has a wrong length in its header. None: the bytes are correct.
        fallback: Starts another conversion of the same input that may succeed, or None.
    """

    report: Report = field(default_factory=Report)
    facts: AudioFacts = field(default_factory=AudioFacts)
    repaired_head: bytes | None = None
    fallback: Start | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A conversion that was not started.

    Attributes:
        reason: For a person.
    """

    reason: str

    @property
    def error(self) -> str:
        """Return the error text that a report would have."""
        return failure_text(self.reason)


def failure_text(reason: str) -> str:
    """Return an error text that begins with Kazoo's words."""
    return f"{KAZOO_FAILURE}: {reason}"


class Conversion(ABC):
    """One conversion: one task feeds it while another one reads it.

    As a context manager it is killed on exit, which has no effect on one that has ended.
    """

    @property
    @abstractmethod
    def backend(self) -> str:
        """Return which program converts: sox, inprocess or ffmpeg, or two of them with a plus."""

    @abstractmethod
    async def feed(self, data: bytes) -> None:
        """Feed the next bytes; returns when the converter has taken them.

        If the converter has ended, it returns at once; `outcome` has the reason.
        """

    @abstractmethod
    async def finish(self) -> None:
        """End the input."""

    @abstractmethod
    def output(self) -> AsyncIterator[bytes]:
        """Yield the converted bytes, at most 256 KiB at once, until the converter ends.

        The output must be read once, to its end, while feeding: a converter whose output is not
        read stops taking input.
        """

    @abstractmethod
    async def outcome(self) -> ConversionOutcome:
        """Return the outcome. To be called after `finish` and the end of `output`."""

    @abstractmethod
    async def kill(self) -> None:
        """Stop the conversion now; afterwards none of its processes and descriptors is left.

        May be called at any time, repeatedly, and while other tasks feed or read.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()


Started: TypeAlias = Conversion | Refusal
Start: TypeAlias = Callable[[], Awaitable[Started]]
"""Starts a conversion of an input with a known head."""
