"""Who converts: the sox program, a process of the pool, or ffmpeg and one of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kazoo_media.audio.conversion import Conversion, ConversionLimits
from kazoo_media.audio.convert.pooled import InProcessConversion, PooledMeasurement
from kazoo_media.audio.convert.refused import RefusedConversion
from kazoo_media.audio.convert.two_stage import DecodedConversion
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import SOURCES, Job
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.presets import PRESETS
from kazoo_media.audio.programs.ffmpeg import FfmpegDecoding
from kazoo_media.audio.programs.sox import SoxCommand, SoxConversion

_NOT_INSTALLED = (
    "{target} by the preset {preset} needs the in-process converter, which is not installed:"
    " pip install 'kazoo-media[audio]', start the service again, and upload it again"
)
_NOT_MEASURED = (
    "audio is measured by the in-process converter, which is not installed:"
    " pip install 'kazoo-media[audio]', start the service again, and ask again"
)
_ONLY_IN_PROCESS = (
    "sox can not make {target} by the preset {preset}:"
    " the setting media.normalize_backend has to be auto or inprocess"
)


class Backend(enum.StrEnum):
    """Which converter makes a preset. AUTO: the pool where it can, else sox."""

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

    def run(self, command: SoxCommand) -> Conversion:
        """Return a conversion by this command."""
        if command.source.sox_type is None:
            decoder = self._decoder(command.source, command.executable)
            return DecodedConversion(decoder, self.run(replace(command, source=AudioFormat.WAV)))
        return self._sox(command)

    @property
    def can_measure(self) -> bool:
        """Tell whether the packages that measure are installed."""
        return self.pool is not None

    def measure(self, source: AudioFormat, executable: str) -> Conversion:
        """Return a conversion to nothing, whose outcome has what the input sounds like.

        Args:
            executable: What sox is called.
        """
        if self.pool is None:
            return RefusedConversion(source, source, _NOT_MEASURED)
        decoded = partial(self._measure_decoded, source, executable)
        if source not in SOURCES:
            return decoded()
        # libsndfile stops at second streams that sox reads past.
        spare = None if source is AudioFormat.WAV else decoded
        return PooledMeasurement(source, ConversionLimits(), self.pool, spare)

    def make(self, job: Job, wanted: Backend, executable: str) -> Conversion:
        """Return a conversion by a preset. Where the wanted back end can not read the source, one
        that can makes WAV of it first.

        Args:
            executable: What sox is called.
        """
        pool = None if wanted is Backend.SOX else self.pool
        is_for_sox = wanted is not Backend.INPROCESS and _sox_can(job)
        # Raw GSM has no header: libsndfile plays as noise what sox refuses.
        is_raw_gsm = is_for_sox and job.source is AudioFormat.GSM
        if pool is not None and job.source in SOURCES and not is_raw_gsm:
            # libsndfile stops at tags, cut frames and second streams that sox reads past.
            by_sox = partial(self.make, job, Backend.SOX, executable)
            spare = by_sox if is_for_sox and job.source.sox_type is not None else None
            return InProcessConversion(job, ConversionLimits(), pool, spare)
        if pool is None and not is_for_sox:
            reason = _ONLY_IN_PROCESS if wanted is Backend.SOX else _NOT_INSTALLED
            refusal = reason.format(preset=job.preset, target=job.target.title)
            return RefusedConversion(job.source, job.target, refusal)
        if not is_for_sox or job.source.sox_type is None:
            next_stage = self.make(replace(job, source=AudioFormat.WAV), wanted, executable)
            return DecodedConversion(self._decoder(job.source, executable), next_stage)
        preset = PRESETS[job.preset]
        options, effects = preset.options(job.target, job.wav_encoding), preset.effects()
        return self.run(SoxCommand(executable, job.source, job.target, (), options, effects))

    def _measure_decoded(self, source: AudioFormat, executable: str) -> Conversion:
        decoder = self._decoder(source, executable)
        return DecodedConversion(decoder, self.measure(AudioFormat.WAV, executable))

    def _decoder(self, source: AudioFormat, executable: str) -> Conversion:
        """Return a conversion to WAV by whoever can read the source."""
        if source.sox_type is not None:
            return self._sox(SoxCommand(executable, source, AudioFormat.WAV))
        limits, folder = ConversionLimits(), self.temporary_folder
        return FfmpegDecoding(self.ffmpeg, source, limits, folder)

    def _sox(self, command: SoxCommand) -> Conversion:
        return SoxConversion(command, ConversionLimits(), self.temporary_folder)


def _sox_can(job: Job) -> bool:
    """Tell whether sox can make the target by the preset."""
    return job.target.sox_type is not None and PRESETS[job.preset].sox_can
