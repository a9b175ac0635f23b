"""Conversion and measurement by a process of the pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits, Start
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.inspect.plausibility import covers
from kazoo_media.audio.jobs import Job, Measurement, Report
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.running.piped import PipedConversion


class PooledConversion(PipedConversion):
    """One conversion by the pool."""

    @classmethod
    async def start(
        cls,
        pool: ConverterPool,
        job: Job,
        head: Head,
        limits: ConversionLimits,
        fallback: Start | None = None,
        following: Start | None = None,
    ) -> Self:
        """Return a conversion that waits for its input.

        Raises:
            OSError: no process can be started.
        """
        ignores = head.wav is not None and head.ignores_length
        run = await pool.start(replace(job, ignore_length=ignores), limits)
        return cls(run, job.source, job.target, limits, fallback, following)

    @property
    @override
    def backend(self) -> str:
        return "inprocess"

    @override
    def _fallback_after(self, reason: str | None) -> Start | None:
        is_helpless = reason is not None and self._process.report.before is None
        return super()._fallback_after(reason) or (self._following if is_helpless else None)


class PooledMeasuring(PipedConversion):
    """One measurement. It has no output; its report has the measurement of the input."""

    @classmethod
    async def start(
        cls,
        pool: ConverterPool,
        source: AudioFormat,
        limits: ConversionLimits,
        fallback: Start | None = None,
    ) -> Self:
        """Return a measurement that waits for its input.

        Raises:
            OSError: no process can be started.
        """
        run = await pool.start(Measurement(source), limits)
        return cls(run, source, source, limits, fallback, fallback)

    @property
    @override
    def backend(self) -> str:
        return "inprocess"

    @override
    def _judge(self, report: Report) -> str | None:
        if report.before is None or self._is_confused:
            return report.error or super()._judge(report)
        if not covers(report.before.duration_ms, self._input.meter.facts().duration_ms):
            return "only a part of the input can be decoded"
        return None
