"""The choice of the converter: sox, a process of the pool, or ffmpeg followed by one of them."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

from kazoo_media.audio.conversion import Conversion, ConversionLimits, Refusal, Start, Started
from kazoo_media.audio.convert.pooled import PooledConversion, PooledMeasuring
from kazoo_media.audio.convert.two_stage import TwoStageConversion
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.jobs import SOURCES, Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.presets import PRESETS
from kazoo_media.audio.programs.ffmpeg import FfmpegDecoding, is_decodable
from kazoo_media.audio.programs.sox import SoxCommand, SoxConversion
from kazoo_media.audio.running.confinement import Confinement

_CHAINED = frozenset({AudioFormat.MP3, AudioFormat.OGG, AudioFormat.OPUS})
"""Formats whose streams are often joined; libsndfile stops at the second one."""

_NOT_INSTALLED = (
    "{target} by the preset {preset} needs the in-process converter, which is not installed:"
    " pip install 'kazoo-media[audio]', start the service again, and upload it again"
)
_NOT_MEASURED = (
    "audio is measured by the in-process converter, which is not installed:"
    " pip install 'kazoo-media[audio]', start the service again, and ask again"
)
_ONLY_IN_PROCESS = (
    "sox cannot make {target} by the preset {preset}:"
    " the setting media.normalize_backend has to be auto or inprocess"
)


class Backend(enum.StrEnum):
    """The converter that makes a preset. AUTO: the pool if possible, otherwise sox."""

    AUTO = "auto"
    SOX = "sox"
    INPROCESS = "inprocess"


@dataclass(frozen=True, slots=True)
class Converters:
    """Starts conversions or refuses them. ffmpeg decodes input that no other converter can read.

    Attributes:
        confinement: Of the programs.
        pool: None if the packages of the extra [audio] are not installed.
        ffmpeg: Path of the program; None if it is not installed.
    """

    confinement: Confinement
    pool: ConverterPool | None
    ffmpeg: str | None

    @property
    def can_measure(self) -> bool:
        """Return whether the packages that measure are installed."""
        return self.pool is not None

    async def by_command(self, command: SoxCommand, head: Head) -> Started:
        """Return a conversion by this command."""
        second = partial(self.by_command, replace(command, source=AudioFormat.WAV))
        if command.source.sox_type is None or head.is_for_ffmpeg:
            return await self._decoded(command.source, head, command.executable, second)
        following = self._following(command.source, head, command.executable, second)
        return await self._by_sox(command, head, following)

    async def of_first_channel(
        self, source: AudioFormat, head: Head, second: Callable[[Head], Awaitable[Started]]
    ) -> Started:
        """Return a conversion whose second stage gets the first channel alone."""
        return _followed_by(second, await self._by_ffmpeg(source, head, first_channel=True))

    async def measuring(self, source: AudioFormat, executable: str, head: Head) -> Started:
        """Return a conversion without output; its report has the measurement of the input.

        Args:
            executable: Name or path of sox.
        """
        pool = self.pool
        if pool is None:
            return Refusal(head.problem(source) or _NOT_MEASURED)
        second = partial(self.measuring, AudioFormat.WAV, executable)
        decoded = partial(self._decoded, source, head, executable, second)
        if source not in SOURCES or head.is_for_ffmpeg:
            return await decoded()
        # libsndfile stops at second streams, which sox reads.
        fallback = self._following(source, head, executable, second)
        fallback = fallback or (None if source is AudioFormat.WAV else decoded)
        start = PooledMeasuring.start(pool, source, ConversionLimits(), fallback)
        return await start_or_refuse(head, source, "the measuring process", start)

    async def by_preset(self, job: Job, wanted: Backend, executable: str, head: Head) -> Started:
        """Return a conversion by a preset.

        If the chosen back end cannot read the source, another one converts it to WAV first.

        Args:
            executable: Name or path of sox.
        """
        pool = None if wanted is Backend.SOX else self.pool
        is_for_sox = wanted is not Backend.INPROCESS and _sox_can(job)
        after_decoding = replace(job, source=AudioFormat.WAV)
        decoded = partial(self.by_preset, after_decoding, wanted, executable)
        if pool is not None and job.source in SOURCES and not head.is_for_ffmpeg:
            # libsndfile stops at tags, cut frames and second streams, which sox reads past.
            by_sox = partial(self.by_preset, job, Backend.SOX, executable, head)
            fallback: Start | None = (
                by_sox if is_for_sox and job.source.sox_type is not None else None
            )
            following = self._following(job.source, head, executable, decoded)
            if fallback is None and (wanted is Backend.AUTO or job.source.sox_type is None):
                fallback = following if job.source in _CHAINED else None
            return await self._in_process(pool, job, head, fallback, following)
        if pool is None and not is_for_sox:
            reason = _ONLY_IN_PROCESS if wanted is Backend.SOX else _NOT_INSTALLED
            refusal = reason.format(preset=job.preset, target=job.target.title)
            return Refusal(head.problem(job.source) or refusal)
        if not is_for_sox or job.source.sox_type is None or head.is_for_ffmpeg:
            return await self._decoded(job.source, head, executable, decoded)
        preset = PRESETS[job.preset]
        options, effects = preset.options(job.target, job.wav_encoding), preset.effects()
        command = SoxCommand(executable, job.source, job.target, (), options, effects)
        return await self.by_command(command, head)

    async def _in_process(
        self,
        pool: ConverterPool,
        job: Job,
        head: Head,
        fallback: Start | None,
        following: Start | None,
    ) -> Started:
        start = PooledConversion.start(pool, job, head, ConversionLimits(), fallback, following)
        started = await start_or_refuse(head, job.source, "the converter process", start)
        if isinstance(started, Refusal) and fallback is not None:
            return await fallback()
        return started

    async def _decoded(
        self,
        source: AudioFormat,
        head: Head,
        executable: str,
        second: Callable[[Head], Awaitable[Started]],
        *,
        by_ffmpeg: bool = False,
    ) -> Started:
        """Return a conversion that first decodes the source to WAV.

        Args:
            by_ffmpeg: Whether ffmpeg decodes the source even if sox can.
        """
        if source.sox_type is not None and not by_ffmpeg and not head.is_for_ffmpeg:
            decoder = await self._by_sox(SoxCommand(executable, source, AudioFormat.WAV), head)
        else:
            decoder = await self._by_ffmpeg(source, head)
        return _followed_by(second, decoder)

    def _following(
        self,
        source: AudioFormat,
        head: Head,
        executable: str,
        second: Callable[[Head], Awaitable[Started]],
    ) -> Start | None:
        """Return a start of a conversion that ffmpeg decodes for, or None if it cannot.

        It follows changes of the format, and reads much that sox and libsndfile do not.
        """
        if self.ffmpeg is None or not is_decodable(source):
            return None
        return partial(self._decoded, source, head, executable, second, by_ffmpeg=True)

    async def _by_ffmpeg(
        self, source: AudioFormat, head: Head, *, first_channel: bool = False
    ) -> Started:
        limits, confinement = ConversionLimits(), self.confinement
        start = FfmpegDecoding.start(
            self.ffmpeg, source, head, limits, confinement, first_channel=first_channel
        )
        return await start_or_refuse(head, source, "ffmpeg", start)

    async def _by_sox(
        self, command: SoxCommand, head: Head, following: Start | None = None
    ) -> Started:
        if head.ignores_length:
            command = command.ignoring_length()
        again = partial(self._by_sox, command.ignoring_length(), head)
        limits, confinement = ConversionLimits(), self.confinement
        start = SoxConversion.start(command, limits, confinement, again, following)
        program = PurePath(command.executable).name
        return await start_or_refuse(head, command.source, program, start)


def _followed_by(second: Callable[[Head], Awaitable[Started]], decoder: Started) -> Started:
    return decoder if isinstance(decoder, Refusal) else TwoStageConversion(decoder, second)


async def start_or_refuse(
    head: Head, source: AudioFormat, program: str, start: Coroutine[Any, Any, Conversion]
) -> Started:
    """Return the started conversion, or a refusal of the input or of a failed start."""
    problem = head.problem(source)
    if problem is not None:
        start.close()
        return Refusal(problem)
    try:
        return await start
    except ValueError as refusal:
        return Refusal(str(refusal))
    except OSError as error:
        return Refusal(f"{program} cannot be started: {error.strerror}")


def _sox_can(job: Job) -> bool:
    """Return whether sox can make the target by the preset."""
    return job.target.sox_type is not None and PRESETS[job.preset].sox_can
