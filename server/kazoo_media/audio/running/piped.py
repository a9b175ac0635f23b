"""Conversion by something with an input and an output pipe: a program, or a worker of the pool.

Theory of operation
1. What is fed first is held back until it can be judged: 512 bytes, of a WAV the whole header.
2. Then the converter starts, or nothing does: the head may be no audio at all, another format, or
   a bomb.
3. `feed` and `output` move bytes; both are metered. The watchdog counts only time in which the
   converter could work: there is input for it, or the input has ended, and somebody reads its
   output.
4. It ends, or is killed for a reason that `_reason` keeps. `outcome` weighs everything.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from typing_extensions import override

from kazoo_media.audio.conversion import (
    KAZOO_FAILURE,
    Conversion,
    ConversionLimits,
    ConversionOutcome,
)
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.plausibility import implausible
from kazoo_media.audio.inspect.sniff import SNIFF_BYTES, Verdict, sniff
from kazoo_media.audio.inspect.stream_facts import DurationMeter
from kazoo_media.audio.inspect.wav import ignore_length_needed, parse_wav_header, repaired_head
from kazoo_media.audio.running.pipes import ReadPipe, WritePipe
from kazoo_media.audio.running.verdict import Account, Evidence, failure_of
from kazoo_media.model import AudioFacts

_MIB = 1024 * 1024
_STOPPED = "it was stopped"
_YIELD_BYTES = 64 * 1024
_HEAD_BYTES = 128  # every WAV header that sox or ffmpeg writes
_CPU_STEP_BYTES = 16 * _MIB
_RAW = frozenset({AudioFormat.PCMA, AudioFormat.PCMU, AudioFormat.GSM})
_BARE_FRAMES = frozenset({AudioFormat.MP3, AudioFormat.AAC})


class Converter(Protocol):
    """What runs.

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
    def account(self) -> Account:
        """Return what it told by its end."""

    async def wait(self) -> None:
        """Return when it has ended."""

    def allow_cpu(self, cpu_s: int) -> None:
        """Set the CPU limit of the whole conversion anew."""

    def kill(self) -> None:
        """End it; `wait` returns in a moment."""

    def close(self) -> None:
        """Close the pipes."""


class PipedConversion(Conversion):
    """One run of a converter. Nothing runs before the first bytes are fed."""

    def __init__(
        self,
        source: AudioFormat,
        target: AudioFormat,
        limits: ConversionLimits,
        *,
        ignore_length: bool = False,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._ignores_length = ignore_length
        self._loop = asyncio.get_running_loop()
        self._input_meter = DurationMeter(source)
        self._output_meter = DurationMeter(target)
        self._held = b""
        self._fed_bytes = 0
        self._output_bytes = 0
        self._output_head = b""
        self._process: Converter | None = None
        self._starting = False
        self._started = asyncio.Event()
        self._reason: str | None = None
        self._has_work = False  # there is input that the converter has not taken, or all of it
        self._is_read = False
        self._could_work_since = 0.0
        self._watchdog: asyncio.TimerHandle | None = None

    @override
    async def feed(self, data: bytes) -> None:
        if self._reason is not None:
            return
        self._fed_bytes += len(data)
        self._input_meter.feed(data)
        if self._started.is_set():
            await self._write(data)
            return
        self._held = self._held + data if self._held else data
        if _can_be_judged(self._held, self._source):
            await self._start()

    @override
    async def finish(self) -> None:
        if not self._started.is_set() and self._reason is None:
            await self._start()
        if self._process is not None:
            self._has_work = True
            self._could_work_since = self._loop.time()
            self._process.stdin.close()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        await self._started.wait()
        gathered: list[bytes] = []
        gathered_bytes = 0
        while data := await self._read():
            gathered.append(data)
            gathered_bytes += len(data)
            if gathered_bytes >= _YIELD_BYTES:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
        if gathered:
            yield b"".join(gathered)

    @override
    async def outcome(self) -> ConversionOutcome:
        await self._started.wait()
        account = Account()
        if self._process is not None:
            await self._process.wait()
            account = self._process.account
            self._close(self._process)
        reason = self._reason or self._judge(self._process, account)
        warnings = account.warnings
        if self._source in _BARE_FRAMES and self._input_meter.is_truncated():
            warnings = (*warnings, "the input ends within a frame")
        return ConversionOutcome(
            error=f"{KAZOO_FAILURE}: {reason}" if reason else None,
            warnings=warnings,
            facts=self._output_meter.facts(),
            before=account.before,
            after=account.after,
            repaired_head=self._repaired_head(),
            another=self._another(reason) if self._reason != _STOPPED else None,
        )

    @override
    async def kill(self) -> None:
        self._give_up(_STOPPED)
        if not self._starting:
            self._started.set()
        await self._started.wait()
        process = self._process
        if process is not None:
            process.kill()
            self._close(process)
            await process.wait()

    @abstractmethod
    async def _launch(self, head: bytes, *, ignore_length: bool) -> Converter:
        """Start the converter; `head`, what the input begins with, is written by the caller.

        Raises:
            ValueError: this can not be converted; the text says why.
            OSError: what converts can not be started.
        """

    @property
    @abstractmethod
    def _program(self) -> str:
        """Name what converts, for an error text."""

    @property
    def _length_is_known(self) -> bool:
        """Tell whether the output is as long as the input is."""
        return True

    @property
    def _length_misleads(self) -> bool:
        """Tell whether the converter believed a length that hides audio."""
        return False

    def _another(self, reason: str | None) -> Callable[[], Conversion] | None:
        """Return what starts a conversion that may do better than this one, which ended so."""
        del reason
        return None

    async def _start(self) -> None:
        """Start the converter and give it what was held back, or keep the reason why not."""
        self._starting = True
        held, self._held = self._held, b""
        try:
            ignore_length = _checked(held, self._source, self._input_meter.facts())
            ignore_length = ignore_length or self._ignores_length
            self._process = await self._launch(held, ignore_length=ignore_length)
            self._could_work_since = self._loop.time()
            self._watch()
        except ValueError as refusal:
            self._give_up(str(refusal))
        except OSError as error:
            self._give_up(f"{self._program} can not be started: {error.strerror}")
        finally:
            self._started.set()
        if self._process is not None and self._reason is not None:
            self._process.kill()  # `kill` came while it started
        await self._write(held)

    async def _write(self, data: bytes) -> None:
        process = self._process
        if process is None or process.stdin.closed:
            return
        if (self._fed_bytes - len(data)) // _CPU_STEP_BYTES != self._fed_bytes // _CPU_STEP_BYTES:
            grown = self._fed_bytes * self._limits.cpu_s_per_mib // _MIB
            process.allow_cpu(self._limits.cpu_s + grown)
        self._has_work = True
        self._could_work_since = self._loop.time()
        try:
            await process.stdin.write(data)
        finally:
            self._has_work = False

    async def _read(self) -> bytes:
        """Return the next bytes, nothing at their end or when they become too many."""
        process = self._process
        if process is None:
            return b""
        self._could_work_since = self._loop.time()
        self._is_read = True
        data = await process.stdout.read()
        if not data:  # `_is_read` stays: from now on the converter has only to end
            process.stdout.close()
            return b""
        self._is_read = False
        self._output_bytes += len(data)
        if self._output_bytes > self._most_output_bytes():
            self._give_up("it wrote more than is allowed")
            process.kill()
            return b""
        self._output_meter.feed(data)
        self._output_head += data[: _HEAD_BYTES - len(self._output_head)]
        return data

    def _repaired_head(self) -> bytes | None:
        repaired = repaired_head(self._output_head, self._output_bytes)
        if repaired != self._output_head:
            return repaired
        return self._output_meter.repaired_head()

    def _most_output_bytes(self) -> int:
        grown = self._limits.output_bytes + self._limits.output_factor * self._fed_bytes
        return min(grown, self._limits.most_output_bytes)

    def _judge(self, process: Converter | None, account: Account) -> str | None:
        if process is None or process.exit_code is None:
            return "it did not run"
        if self._source is AudioFormat.MP3 and self._input_meter.facts().duration_ms is None:
            # Any bytes hold frame syncs by chance, and the converter plays those as noise.
            return "there are no MP3 frames in the input"
        if self._length_misleads:
            return "there is more audio than the header of the input says"
        return failure_of(
            Evidence(
                exit_code=process.exit_code,
                failure=account.failure,
                target=self._target,
                head=self._output_head,
                facts=self._output_meter.facts(),
                expected_ms=self._input_meter.expected_ms() if self._length_is_known else None,
                # Players are used to files that end within a frame: a warning.
                input_truncated=(
                    self._input_meter.is_truncated() and self._source not in _BARE_FRAMES
                ),
            )
        )

    def _watch(self) -> None:
        """Kill the converter if it could have worked for long and did not; look again later."""
        process = self._process
        if process is None or process.exit_code is not None:
            return
        now = self._loop.time()
        allowed = self._limits.stall_s + self._fed_bytes / _MIB * self._limits.stall_s_per_mib
        if not (self._has_work and self._is_read):
            self._could_work_since = now
        moved_at = max(process.stdin.moved_at, process.stdout.moved_at, self._could_work_since)
        if now - moved_at >= allowed:
            self._give_up(f"it did nothing for {allowed:.0f} s")
            process.kill()
            return
        self._watchdog = self._loop.call_later(moved_at + allowed - now, self._watch)

    def _give_up(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason

    def _close(self, process: Converter) -> None:
        process.close()
        if self._watchdog is not None:
            self._watchdog.cancel()


def _can_be_judged(head: bytes, source: AudioFormat) -> bool:
    if len(head) < SNIFF_BYTES:
        return False
    try:
        return source is not AudioFormat.WAV or parse_wav_header(head) is not None
    except ValueError:
        return True


def _checked(head: bytes, source: AudioFormat, facts: AudioFacts) -> bool:
    """Return whether the converter has to ignore the length in the header.

    Raises:
        ValueError: the converter must not see this; the text says why.
    """
    if not head:
        raise ValueError("the input is empty")
    found = sniff(head)
    if found.verdict is Verdict.NOT_AUDIO:
        raise ValueError(f"the input is {found.label}, not audio")
    # A frame sync is little evidence against a format that has no magic of its own.
    by_chance = source in _RAW and found.format is AudioFormat.MP3
    if found.format not in (None, source) and not by_chance:
        raise ValueError(f"the input is {found.format.title}, not {source.title}")
    header = parse_wav_header(head) if source is AudioFormat.WAV else None
    if source is AudioFormat.WAV and header is None:
        raise ValueError("the input ends within its WAV header")
    shape = (facts.sample_rate_hertz, facts.channel_count)
    problem = implausible(*shape) if header is None else header.problem
    if problem is not None:
        raise ValueError(problem)
    return header is not None and ignore_length_needed(header)
