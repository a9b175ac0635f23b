"""One conversion from pipe to pipe, or one measurement, while the input arrives.

The process must have been started with `jobs.ENVIRONMENT`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile

import numpy as np

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.decoders import Decoder, UndecodableError, open_decoder
from kazoo_media.audio.inprocess.downmix import Downmix
from kazoo_media.audio.inprocess.dynamics import Compander, SoftLimiter
from kazoo_media.audio.inprocess.encoders import Encoder, open_encoder, wav_header
from kazoo_media.audio.inprocess.levelling import Leveller
from kazoo_media.audio.inprocess.limiter import Limiter
from kazoo_media.audio.inprocess.sound_meter import SoundMeter
from kazoo_media.audio.inprocess.stages import (
    NOTHING,
    Chain,
    Gain,
    Gather,
    HighPass,
    Mono,
    Resample,
    Stage,
)
from kazoo_media.audio.jobs import Job, Measurement, Report, Sound
from kazoo_media.audio.levels import level_warning
from kazoo_media.audio.presets import CEILING_DB, HEAD_ROOM_DB, PRESETS, Dynamics, Preset

_HIGHEST_16 = 32767 / 32768
_WARM_UP_RATE = 44_100


def convert(job: Job, source_fd: int, sink_fd: int, spool_fd: int) -> Report:
    """Read the source to its end, write the target at the same time, and return the report.

    Args:
        source_fd: A pipe.
        sink_fd: A pipe; a WAV gets the placeholder sizes of a stream in its header.
        spool_fd: An empty file, for presets that read the whole file before choosing a gain.

    Raises:
        BrokenPipeError: the reader of the output is gone.
    """
    preset = PRESETS[job.preset]
    before: SoundMeter | None = None
    try:
        decoder = open_decoder(job.source, source_fd, ignore_length=job.ignore_length)
        before = _meter_of(decoder)
        rate, kilobits_per_s = preset.sample_rate_hertz, preset.kilobits_per_s
        encoder = open_encoder(job.target, sink_fd, rate, kilobits_per_s, job.wav_encoding)
        stages = tuple(_stages(preset, decoder.sample_rate_hertz))
        downmix = Downmix(decoder.sample_rate_hertz, decoder.channel_count)
        passing = _through(decoder, before, downmix, stages)
        # Audio that differs only by a known gain is not measured again.
        heard, gain = before, None if stages or not _is_as_encoded(decoder) else 1.0
        if preset.level is not None:
            leveller = Leveller(preset.level, preset.sample_rate_hertz, encoder, spool_fd)
            for samples in passing:
                leveller.keep(samples)
            passing, heard, gain = leveller.levelled(), leveller.meter, leveller.gain
        output = _Output(encoder)
        if gain is None:
            heard = output.meter = SoundMeter(
                preset.sample_rate_hertz, 1, _HIGHEST_16 * encoder.factor
            )
        for samples in passing:
            output.write(samples)
        encoder.finish()
        after = heard.sound(1.0 if gain is None else gain * encoder.factor)
    except UndecodableError as error:
        return Report(error=str(error), before=before.sound() if before is not None else None)
    heard_before = before.sound()
    warnings = (*output.warnings(), *_level_warnings(preset, downmix, heard_before, after))
    return Report(warnings=warnings, before=heard_before, after=after)


def measure(measurement: Measurement, source_fd: int) -> Report:
    """Read the source, a pipe, to its end; return its measurement.

    The report has an error if only a part could be decoded.
    """
    before: SoundMeter | None = None
    try:
        decoder = open_decoder(measurement.source, source_fd, ignore_length=False)
        before = _meter_of(decoder)
        for block in decoder.blocks():
            before.feed(block)
    except UndecodableError as error:
        return Report(error=str(error), before=before.sound() if before is not None else None)
    return Report(before=before.sound())


def _through(
    decoder: Decoder, before: SoundMeter, downmix: Downmix, stages: Iterable[Stage]
) -> Iterator[Mono]:
    """Measure the input and yield the output of the stages."""
    chain = Chain((*stages, Gather()))
    for block in decoder.blocks():
        before.feed(block)
        yield chain.process(downmix.process(block), last=False)
    yield chain.process(NOTHING, last=True)


def _level_warnings(preset: Preset, downmix: Downmix, before: Sound, after: Sound) -> Iterator[str]:
    if downmix.cancels:
        yield "the channels cancel each other: one of them was used instead of their sum"
    # Presets that set a level may lower it by any amount.
    warning = level_warning(before.loudness_lufs, after.loudness_lufs)
    if preset.level is None and warning is not None:
        yield warning


def _is_as_encoded(decoder: Decoder) -> bool:
    """Return whether encoders take the samples unchanged: mono, 16 bits."""
    return decoder.channel_count == 1 and decoder.highest == _HIGHEST_16


def _stages(preset: Preset, rate: int) -> Iterator[Stage]:
    """Yield the stages for mono audio in their order."""
    if rate != preset.sample_rate_hertz:
        yield Resample(rate, preset.sample_rate_hertz)
    if preset.highpass_hertz:
        yield HighPass(preset.sample_rate_hertz, preset.highpass_hertz)
    if preset.dynamics is Dynamics.SOFT_LIMIT:
        yield Gain(HEAD_ROOM_DB)
        yield SoftLimiter()
    elif preset.dynamics is Dynamics.COMPAND:
        yield Gain(HEAD_ROOM_DB)
        yield Compander(preset.sample_rate_hertz)
        yield Limiter(preset.sample_rate_hertz, CEILING_DB)


class _Output:
    """The input of the encoder.

    Attributes:
        meter: Measures the audio that a decoder will return; None: it is known already.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.meter: SoundMeter | None = None
        self._encoder = encoder
        self._over = 0

    def write(self, samples: Mono) -> None:
        if not len(samples):
            return
        scaled = samples * np.float32(32768)
        np.rint(scaled, out=scaled)
        if scaled.max() > 32767 or scaled.min() < -32768:
            self._over += int(np.count_nonzero(np.abs(scaled) > 32768))
            np.clip(scaled, -32768, 32767, out=scaled)
        self._encoder.encode(scaled.astype(np.int16))
        if self.meter is not None:
            scaled *= np.float32(self._encoder.factor / 32768)
            self.meter.feed(scaled[:, np.newaxis])

    def warnings(self) -> tuple[str, ...]:
        """Return a warning about samples that the conversion, not the input, has clipped."""
        return (f"the conversion clipped {self._over} samples",) if self._over else ()


def _meter_of(decoder: Decoder) -> SoundMeter:
    return SoundMeter(decoder.sample_rate_hertz, decoder.channel_count, decoder.highest)


def warm_up() -> None:
    """Make the first conversion of a forked child as fast as later ones. Starts no thread."""
    telephony = Job(AudioFormat.WAV, AudioFormat.MP3, "telephony", "linear16", ignore_length=True)
    header = wav_header(_WARM_UP_RATE, "linear16")
    coded = _converted(telephony, header + bytes(_WARM_UP_RATE))
    back = dataclasses.replace(telephony, source=AudioFormat.MP3, target=AudioFormat.WAV)
    _converted(back, coded)


def _converted(job: Job, data: bytes) -> bytes:
    """Return the converted audio in one piece, for audio that fits into a pipe."""
    source_fd, feed_fd = os.pipe()
    read_fd, sink_fd = os.pipe()
    try:
        os.write(feed_fd, data)
        os.close(feed_fd)
        with TemporaryFile() as spool:
            convert(job, source_fd, sink_fd, spool.fileno())
        os.close(sink_fd)
        return os.read(read_fd, len(data))
    finally:
        os.close(source_fd)
        os.close(read_fd)
