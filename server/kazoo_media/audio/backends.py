"""Who converts: the sox program, a process of the pool, or ffmpeg and one of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from pathlib import Path

from kazoo_media.audio.conversion import Conversion, ConversionLimits
from kazoo_media.audio.decoded import DecodedConversion
from kazoo_media.audio.ffmpeg import FfmpegDecoding
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.job import SOURCES, TARGETS, Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.pooled import InProcessConversion
from kazoo_media.audio.presets import PRESETS, Dynamics
from kazoo_media.audio.refused import RefusedConversion
from kazoo_media.audio.sox import SoxCommand, SoxConversion


class Backend(enum.StrEnum):
    """Who is wanted. AUTO: the pool where it can, else sox."""

    AUTO = "auto"
    SOX = "sox"
    INPROCESS = "inprocess"


@dataclass(frozen=True, slots=True)
class Backends:
    """Starts conversions. Their outcomes tell whether they succeed, never an exception. What
    nobody can read is decoded by ffmpeg first.

    Attributes:
        pool: None where the packages of the extra [audio] are not installed.
        ffmpeg: Where it is; None where it is not installed.
    """

    temporary_folder: Path
    pool: ConverterPool | None
    ffmpeg: str | None

    def run(self, command: SoxCommand, *, ignore_length: bool = False) -> Conversion:
        """Return a conversion by exactly this command."""
        if command.source.sox_type is None:
            next_stage = self.run(replace(command, source=AudioFormat.WAV))
            return self._decoded(command.source, next_stage)
        return SoxConversion(
            command, ConversionLimits(), self.temporary_folder, ignore_length=ignore_length
        )

    def make(self, job: Job, wanted: Backend, executable: str) -> Conversion:
        """Return a conversion by a preset.

        Args:
            executable: What sox is called.
        """
        missing = _missing_in_process(job, self.pool)
        if self.pool is not None and missing is None and wanted is not Backend.SOX:
            return InProcessConversion(job, ConversionLimits(), self.pool)
        if job.source.sox_type is None:
            next_stage = self.make(
                replace(job, source=AudioFormat.WAV, ignore_length=False), wanted, executable
            )
            return self._decoded(job.source, next_stage)
        if wanted is Backend.INPROCESS or job.target.sox_type is None:
            by_sox = f"{job.target.title} can not be written by sox, only in process"
            reason = by_sox if wanted is Backend.SOX else missing
            return RefusedConversion(job.source, job.target, reason or by_sox)
        preset = PRESETS[job.preset]
        options, effects = preset.options(job.target, job.wav_encoding), preset.effects()
        command = SoxCommand(executable, job.source, job.target, (), options, effects)
        return self.run(command, ignore_length=job.ignore_length)

    def _decoded(self, source: AudioFormat, next_stage: Conversion) -> Conversion:
        folder = self.temporary_folder
        decoding = FfmpegDecoding(self.ffmpeg, source, ConversionLimits(), folder)
        return DecodedConversion(decoding, next_stage)


def _missing_in_process(job: Job, pool: ConverterPool | None) -> str | None:
    """Return why a process of the pool can not do a job, None if it can."""
    if pool is None:
        return (
            "the in-process converter is not installed:"
            " pip install 'kazoo-media[audio]' and start again"
        )
    if PRESETS[job.preset].dynamics is not Dynamics.NONE:
        return f"the preset {job.preset} is made by sox only"
    if job.source not in SOURCES:
        return f"{job.source.title} can not be read in process"
    if job.target not in TARGETS:
        return f"{job.target.title} can not be written in process"
    return None
