"""Conversion, and measurement, by a process of the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from typing_extensions import override

from kazoo_media.audio.conversion import Conversion, ConversionLimits
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import Job, Measurement
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.running.piped import Converter, PipedConversion
from kazoo_media.audio.running.verdict import Account, is_too_short


class InProcessConversion(PipedConversion):
    """One job of the pool. Nothing runs before the first bytes are fed."""

    def __init__(
        self,
        job: Job,
        limits: ConversionLimits,
        pool: ConverterPool,
        spare: Callable[[], Conversion] | None = None,
    ) -> None:
        """Prepare a job; `spare` starts what may be tried where this fails."""
        super().__init__(job.source, job.target, limits)
        self._job = job
        self._pool = pool
        self._spare = spare

    @property
    @override
    def _program(self) -> str:
        return "the converter process"

    @override
    async def _launch(self, head: bytes, *, ignore_length: bool) -> Converter:
        del head
        job = replace(self._job, ignore_length=ignore_length)
        return await self._pool.start(job, self._limits)

    @override
    def _another(self, reason: str | None) -> Callable[[], Conversion] | None:
        return None if reason is None else self._spare


class PooledMeasurement(PipedConversion):
    """One measurement. Nothing comes out; its outcome has what the input sounds like."""

    def __init__(
        self,
        source: AudioFormat,
        limits: ConversionLimits,
        pool: ConverterPool,
        spare: Callable[[], Conversion] | None = None,
    ) -> None:
        """Prepare a job; `spare` starts what may be tried where this hears only a part."""
        super().__init__(source, source, limits)
        self._pool = pool
        self._spare = spare

    @property
    @override
    def _program(self) -> str:
        return "the measuring process"

    @override
    async def _launch(self, head: bytes, *, ignore_length: bool) -> Converter:
        del head, ignore_length
        return await self._pool.start(Measurement(self._source), self._limits)

    @override
    def _judge(self, process: Converter | None, account: Account) -> str | None:
        if account.before is None:
            return account.failure or super()._judge(process, account)
        if is_too_short(account.before.duration_ms, self._input_meter.facts().duration_ms):
            return "only a part of it can be decoded"
        return None

    @override
    def _another(self, reason: str | None) -> Callable[[], Conversion] | None:
        return None if reason is None else self._spare
