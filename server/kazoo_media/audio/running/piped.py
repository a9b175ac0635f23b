"""Conversion through an input and an output pipe, by a program or a process of the pool.

Theory of operation:

1. The converter is already running; the head of the input was judged before.
2. `feed` and `output` move bytes; both sides are metered, and the watchdog ends a converter that is
   idle although it could work.
3. The converter ends, or is killed for the reason in `_reason`. `outcome` decides by all evidence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from typing_extensions import override

from kazoo_media.audio.conversion import (
    Conversion,
    ConversionLimits,
    ConversionOutcome,
    Start,
    failure_text,
)
from kazoo_media.audio.formats import BARE_FRAMES, AudioFormat
from kazoo_media.audio.inspect.amr import AmrWalk, AmrWalker, AmrWideWalker
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.inspect.gsm import GsmWalk
from kazoo_media.audio.inspect.wav import repaired_head
from kazoo_media.audio.inspect.wav_walk import WavWalk
from kazoo_media.audio.jobs import NO_AUDIO, Report
from kazoo_media.audio.running.evidence import Evidence, failure_of
from kazoo_media.audio.running.running_converter import RunningConverter
from kazoo_media.audio.running.watchdog import Watchdog

_MIB = 1024 * 1024
CHANGES = "the sample rate or the number of channels changes within the input"
"""The failure of a converter that would play a part of the input at a wrong speed, or not."""

_STOPPED = "it was stopped"
_YIELD_BYTES = 64 * 1024
_HEAD_BYTES = 128  # every WAV header that sox or ffmpeg writes
_CPU_STEP_BYTES = 16 * _MIB


class _Metered:
    """One side of a conversion; counts and measures the bytes.

    Attributes:
        format: Format of the bytes.
        size_bytes: Number of bytes so far.
        head: The first bytes.
        meter: Measures the duration of the audio.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self.size_bytes = 0
        self.head = b""
        self.meter = DurationMeter(audio_format)

    def pass_by(self, data: bytes) -> None:
        """Count and measure the next bytes."""
        self.size_bytes += len(data)
        self.head += data[: _HEAD_BYTES - len(self.head)]
        self.meter.feed(data)

    def repaired_head(self) -> bytes | None:
        """Return the first bytes with the correct length; None: they are correct."""
        repaired = repaired_head(self.head, self.size_bytes)
        return repaired if repaired != self.head else self.meter.repaired_head()


def _walk_over(source: AudioFormat) -> GsmWalk | AmrWalk | None:
    if source is AudioFormat.GSM:
        return GsmWalk()
    walkers = {AudioFormat.AMR: AmrWalker, AudioFormat.AMR_WB: AmrWideWalker}
    return AmrWalk(walkers[source]()) if source in walkers else None


class PipedConversion(Conversion):
    """One run of a converter."""

    def __init__(
        self,
        process: RunningConverter,
        source: AudioFormat,
        target: AudioFormat,
        limits: ConversionLimits,
        fallback: Start | None = None,
        following: Start | None = None,
    ) -> None:
        """Take over a process that waits for its input.

        Args:
            fallback: Starts another conversion if this one fails.
            following: Starts one that follows changes of the format, if there are any.
        """
        self._process = process
        self._limits = limits
        self._fallback = fallback
        self._following = following
        self._input = _Metered(source)
        self._output = _Metered(target)
        self._walk: WavWalk | GsmWalk | AmrWalk | None = _walk_over(source)
        self._reason: str | None = None
        self._watchdog = Watchdog(process, limits, self._give_up)

    @override
    async def feed(self, data: bytes) -> None:
        if self._reason is not None:
            return
        before = self._input.size_bytes
        self._input.pass_by(data)
        if self._process.stdin.closed:
            return
        fed_bytes = self._input.size_bytes
        if before // _CPU_STEP_BYTES != fed_bytes // _CPU_STEP_BYTES:
            grown = fed_bytes * self._limits.cpu_s_per_mib // _MIB
            self._process.allow_cpu(self._limits.cpu_s + grown)
        self._watchdog.fed(len(data))
        try:
            await self._process.stdin.write(self._audible(data))
        finally:
            self._watchdog.taken()

    @override
    async def finish(self) -> None:
        self._watchdog.finished()
        self._process.stdin.close()

    @override
    async def output(self) -> AsyncIterator[bytes]:
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
        await self._process.wait()
        report = self._process.report
        self._close()
        reason = self._reason or self._judge(report)
        warnings = (*report.warnings, *self._input.meter.warnings())
        if self._input.format in BARE_FRAMES and self._input.meter.is_truncated():
            warnings = (*warnings, "the input ends within a frame")
        return ConversionOutcome(
            Report(failure_text(reason) if reason else None, warnings, report.before, report.after),
            facts=self._output.meter.facts(),
            repaired_head=self._output.repaired_head(),
            fallback=self._fallback_after(reason) if self._reason != _STOPPED else None,
        )

    @override
    async def kill(self) -> None:
        self._give_up(_STOPPED)
        self._close()
        await self._process.wait()

    def _audible(self, data: bytes) -> bytes:
        """Return the part of the next bytes of the input that the converter should read."""
        if self._walk is None:
            return data
        kept = self._walk.kept(data)
        if self._walk.problem is not None:
            self._give_up(self._walk.problem)
        return kept

    @property
    def _length_is_known(self) -> bool:
        """Return whether the output is as long as the input."""
        return True

    @property
    def _length_misleads(self) -> bool:
        """Return whether the converter ignored audio after the declared length."""
        return False

    @property
    def _is_confused(self) -> bool:
        """Return whether the input changes its format, which the converter does not follow."""
        return self._input.meter.changes_format()

    def _fallback_after(self, reason: str | None) -> Start | None:
        """Return a start of another conversion that may succeed after this result, or None."""
        if self._is_confused:
            return self._following
        return None if reason is None else self._fallback

    async def _read(self) -> bytes:
        """Return the next bytes; empty at the end or beyond the limit."""
        stdout = self._process.stdout
        self._watchdog.reading(is_read=True)
        data = await stdout.read()
        if not data:  # reading continues: now the converter only has to end
            stdout.close()
            return b""
        self._watchdog.reading(is_read=False)
        if self._output.size_bytes + len(data) > self._most_output_bytes():
            self._give_up("it wrote more than is allowed")
            return b""
        self._output.pass_by(data)
        return data

    def _most_output_bytes(self) -> int:
        grown = self._limits.output_bytes + self._limits.output_factor * self._input.size_bytes
        return min(grown, self._limits.most_output_bytes)

    def _judge(self, report: Report) -> str | None:
        """Return why the output of a process that has ended must not be used."""
        meter, is_bare = self._input.meter, self._input.format in BARE_FRAMES
        if self._process.exit_code is None:
            return "it did not run"
        if meter.facts().duration_ms == 0:
            return NO_AUDIO  # an encoder makes a little silence of nothing
        if self._input.format is AudioFormat.MP3 and meter.facts().duration_ms is None:
            # Any bytes contain frame syncs by chance, which the converter plays as noise.
            return f"{NO_AUDIO}: it has no MP3 frames"
        if self._is_confused:
            return CHANGES
        if self._length_misleads:
            return "the input has more audio than its header says"
        return failure_of(
            Evidence(
                exit_code=self._process.exit_code,
                failure=report.error,
                target=self._output.format,
                head=self._output.head,
                facts=self._output.meter.facts(),
                least_ms=meter.least_ms() if self._length_is_known else None,
                most_ms=meter.expected_ms() if self._length_is_known else None,
                # Players are used to files that end within a frame: a warning.
                input_truncated=meter.is_truncated() and not is_bare,
            )
        )

    def _give_up(self, reason: str) -> None:
        """Kill the converter; the first of several reasons counts."""
        if self._reason is None:
            self._reason = reason
        self._process.kill()

    def _close(self) -> None:
        self._process.close()
        self._watchdog.stop()
