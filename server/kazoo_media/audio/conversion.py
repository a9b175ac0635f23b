"""The interface of a converter: bytes in, bytes out, and the truth at the end."""

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
"""How every error text begins: Kazoo's own words."""


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """What one conversion may use. CPU, waiting time and output grow with the input.

    Attributes:
        cpu_s: Plus `cpu_s_per_mib` for each MiB fed.
        stall_s: How long the converter may do nothing although it could; plus
            `stall_s_per_mib`. Waiting for a slow upload or a slow reader does not count.
        output_bytes: Plus `output_factor` bytes for each byte fed, `most_output_bytes` at most.
        spool_bytes: Temporary file of a conversion that can not stream (`--norm`, `-G`); others
            may write no file at all.
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
    """How a conversion ended, and what came out.

    Attributes:
        report: Its error begins with KAZOO_FAILURE.
        facts: Of the output.
        repaired_head: The first bytes of the output as they should be, to be written over the ones
            that were: a WAV or FLAC that was written into a pipe has no right length. None: they
            are right.
        fallback: Starts a conversion of the same input that may do better; None: none would.
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
        """Return what a report of a conversion would say."""
        return failure_text(self.reason)


def failure_text(reason: str) -> str:
    """Return the text of an error, in Kazoo's words first."""
    return f"{KAZOO_FAILURE}: {reason}"


class Conversion(ABC):
    """One conversion. One task feeds, another one reads; used as a context it is killed at the
    end, which does nothing to one that has ended.
    """

    @abstractmethod
    async def feed(self, data: bytes) -> None:
        """Give the next bytes; returns when the converter has taken them.

        Once the converter has ended, for whatever reason, it returns at once: `outcome` tells why.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Say that there is no more input."""

    @abstractmethod
    def output(self) -> AsyncIterator[bytes]:
        """Yield the converted bytes, at most 256 KiB at once, until the converter ends or is
        killed. Must be read while feeding, to the end, once: a converter that is not read stops
        taking input.
        """

    @abstractmethod
    async def outcome(self) -> ConversionOutcome:
        """Return how it ended. To be called after `finish` and the end of `output`."""

    @abstractmethod
    async def kill(self) -> None:
        """End it now; afterwards no process and no descriptor of it is left. Always safe, also
        repeatedly and while others feed or read.
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
"""Starts a conversion of an input whose head is known."""
