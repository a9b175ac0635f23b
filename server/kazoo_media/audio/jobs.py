"""Jobs and reports of converter processes. Needs no audio library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.presets import PRESETS

SOURCES = frozenset(
    {
        AudioFormat.WAV,
        AudioFormat.MP3,
        AudioFormat.OGG,
        AudioFormat.OPUS,
        AudioFormat.FLAC,
        AudioFormat.AU,
        AudioFormat.AIFF,
        AudioFormat.CAF,
        AudioFormat.PCMA,
        AudioFormat.PCMU,
        AudioFormat.GSM,
    }
)
"""Formats that converter processes decode."""

TARGETS = frozenset(
    {AudioFormat.MP3, AudioFormat.WAV, AudioFormat.OGG, AudioFormat.OPUS, AudioFormat.FLAC}
)
"""Formats that converter processes encode."""

NO_AUDIO = "no audio in the input"
"""The error about an input without samples, from every converter."""

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
"""Environment in which the audio libraries are imported. Without it numpy starts threads, which a
fork does not copy, and each conversion returns memory that costs the next one half its time."""


SHORTEST_STRETCH = 8
"""Samples of one channel in a stretch of a waveform that has the best resolution."""

MOST_STRETCHES = 20_480
"""So many that a bucket of 8, 16, 32, ... samples is exact if at most 20,000 are asked for."""


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion.

    Attributes:
        source: Format of the input, as sniffed.
        preset: A name in PRESETS.
        wav_encoding: A name in WAV_ENCODINGS.
        ignore_length: Whether to ignore the size in a WAV header.
    """

    source: AudioFormat
    target: AudioFormat
    preset: str
    wav_encoding: str
    ignore_length: bool

    @property
    def hears_all_first(self) -> bool:
        """Return whether the conversion reads all input before it writes."""
        return PRESETS[self.preset].level is not None

    def to_fields(self) -> dict[str, Any]:
        """Return what `from_fields` reads, for JSON."""
        return _fields(self) | {"source": self.source.name, "target": self.target.name}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the job that `to_fields` wrote."""
        formats = {name: AudioFormat[fields[name]] for name in ("source", "target")}
        return cls(**{**fields, **formats})


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement of audio by decoding it, without output.

    Attributes:
        source: Format of the input, as sniffed.
    """

    source: AudioFormat

    def to_fields(self) -> dict[str, Any]:
        """Return what `from_fields` reads, for JSON."""
        return {"source": self.source.name}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the measurement that `to_fields` wrote."""
        return cls(AudioFormat[fields["source"]])


@dataclass(frozen=True, slots=True)
class Sound:
    """The measurement of a piece of audio over all of its channels.

    Attributes:
        loudness_lufs: Integrated loudness; None: nothing is loud enough to be measured.
        peak_dbfs: Level of the largest sample; None: digital silence.
        clipped_samples: Number of samples at full scale or beyond.
        peaks: The waveform: lowest and highest sample of at most MOST_STRETCHES stretches as pairs
            of int8; full scale is 127. All but the last are equally long: SHORTEST_STRETCH times
            a power of two.
    """

    loudness_lufs: float | None
    peak_dbfs: float | None
    clipped_samples: int
    duration_ms: int
    sample_rate_hertz: int
    channel_count: int
    peaks: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a conversion or a measurement.

    Attributes:
        error: Why the output must not be used, for a person; None: it is good.
        warnings: Remarks for a person about a successful conversion.
        before: Measurement of the input; None if it could not be decoded.
        after: Measurement of the encoder's input; None if nothing was encoded.
    """

    error: str | None = None
    warnings: tuple[str, ...] = ()
    before: Sound | None = None
    after: Sound | None = None

    def to_fields(self) -> tuple[dict[str, Any], bytes]:
        """Return what `from_fields` reads: fields for JSON, and the peaks of both sounds."""
        sounds = {"before": self.before, "after": self.after}
        lengths = {
            name: sound and _fields(sound) | {"peaks": len(sound.peaks)}
            for name, sound in sounds.items()
        }
        return _fields(self) | lengths, b"".join(each.peaks for each in sounds.values() if each)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], peaks: bytes) -> Self:
        """Return the report that `to_fields` wrote.

        Raises:
            LookupError, TypeError, ValueError: the fields are invalid.
        """
        before, after = fields["before"], fields["after"]
        first_bytes = before["peaks"] if before else 0
        return cls(
            fields["error"],
            tuple(fields["warnings"]),
            _sound(before, peaks[:first_bytes]),
            _sound(after, peaks[first_bytes:]),
        )


def _fields(value: Job | Sound | Report) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _sound(fields: Mapping[str, Any] | None, peaks: bytes) -> Sound | None:
    if fields is None:
        return None
    if fields["peaks"] != len(peaks):
        raise ValueError("the peaks are not as long as they should be")
    return Sound(**{**fields, "peaks": peaks})
