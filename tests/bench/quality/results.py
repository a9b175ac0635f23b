"""Converts every input by every preset and back end of the product, and measures the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.http_load import MeasurementError, content
from tests.bench.presets import (
    BACKENDS,
    COMMAND,
    PRESETS,
    choose_backend,
    converted,
    converter_cpu_s,
)
from tests.bench.quality.inputs import Inputs, Source
from tests.bench.quality.measures import (
    Audio,
    Levels,
    band_db,
    bandwidth_hertz,
    decoded,
    levels,
    pesq_of,
)
from tests.bench.services import Running

_NARROWBAND, _WIDEBAND = 8000, 16_000


@dataclass(frozen=True, slots=True)
class Way:
    """One preset made by one back end."""

    preset: str
    backend: str

    @property
    def title(self) -> str:
        """Return its name in the tables."""
        return self.preset if self.preset == COMMAND else f"{self.preset}, {self.backend}"


@dataclass(frozen=True, slots=True)
class SpeechQuality:
    """The result for one prompt.

    Attributes:
        band_db: Energy at 3-3.4 kHz relative to the original.
        pesq: Narrowband PESQ; None: it could not be computed.
    """

    audio: Audio
    levels: Levels
    band_db: float
    bandwidth_hertz: float
    pesq: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The results of one preset and back end.

    Attributes:
        missing: Why there are no results, or None.
        wideband_pesq: PESQ of speech at 16 kHz; empty if the output has a lower rate.
        hostile: Results by the input's name; a text says why it could not be converted.
        cpu_ms_per_s: CPU time of the converter per second of audio, over all inputs.
    """

    way: Way
    missing: str | None = None
    speech: Sequence[SpeechQuality] = ()
    wideband_pesq: Sequence[float | None] = ()
    hostile: Mapping[str, Levels | str] = field(default_factory=dict)
    cpu_ms_per_s: float = 0.0


def ways() -> list[Way]:
    """Return all presets and back ends to be measured."""
    return [
        Way(preset, backend)
        for preset in PRESETS
        for backend in (BACKENDS[:1] if preset == COMMAND else BACKENDS)
    ]


def measure(running: Running, way: Way, inputs: Inputs) -> Quality:
    """Return the quality of one preset and back end, or why the product lacks it."""
    try:
        if way.preset != COMMAND:
            choose_backend(running, way.backend)
        _convert(running, way, inputs.speech[0])  # one-time work is not a cost of a conversion
    except MeasurementError as error:
        return Quality(way, missing=str(error))
    before = converter_cpu_s(running)
    made = [(source, _convert(running, way, source)) for source in inputs.speech]
    hostile = dict(_hostile(running, way, inputs))
    cpu_s = converter_cpu_s(running) - before
    seconds = sum(each.audio.duration_s for each in (*inputs.speech, *inputs.hostile))
    speech = [_speech(source, data) for source, data in made]
    levels_of = {
        name: levels(decoded(data)) if isinstance(data, bytes) else data
        for name, data in hostile.items()
    }
    wideband: tuple[float | None, ...] = ()
    if speech[0].audio.rate_hertz >= _WIDEBAND:
        wideband = tuple(
            pesq_of(source.audio, decoded(_convert(running, way, source)), _WIDEBAND)
            for source in inputs.wideband
        )
    return Quality(way, None, speech, wideband, levels_of, cpu_s * 1000 / seconds)


def _convert(running: Running, way: Way, source: Source) -> bytes:
    path, _ = converted(running, way.preset, source.path)
    return content(running.endpoint, path, "audio/mpeg")


def _hostile(running: Running, way: Way, inputs: Inputs) -> Iterator[tuple[str, bytes | str]]:
    for source in inputs.hostile:
        try:
            yield source.name, _convert(running, way, source)
        except MeasurementError as error:
            yield source.name, str(error)


def _speech(source: Source, data: bytes) -> SpeechQuality:
    audio = decoded(data)
    return SpeechQuality(
        audio=audio,
        levels=levels(audio),
        band_db=band_db(audio) - band_db(source.audio),
        bandwidth_hertz=bandwidth_hertz(audio),
        pesq=pesq_of(source.audio, audio, _NARROWBAND),
        size_bytes=len(data),
    )
