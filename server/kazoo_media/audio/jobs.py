"""What a process that converts is told, and what it tells at the end. Needs no audio library."""

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
        AudioFormat.PCMA,
        AudioFormat.PCMU,
        AudioFormat.GSM,
    }
)
"""What can be decoded here."""

TARGETS = frozenset(
    {AudioFormat.MP3, AudioFormat.WAV, AudioFormat.OGG, AudioFormat.OPUS, AudioFormat.FLAC}
)
"""What can be encoded here."""

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
"""What a process needs before it imports the libraries: without, numpy starts threads, which
a fork does not copy, and memory that each conversion gives back costs the next one half its time.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion.

    Attributes:
        source: Of the bytes that will come, as sniffed.
        preset: A name in PRESETS.
        wav_encoding: A name in WAV_ENCODINGS.
        ignore_length: Whether the size in a WAV header is not to be believed.
    """

    source: AudioFormat
    target: AudioFormat
    preset: str
    wav_encoding: str
    ignore_length: bool

    @property
    def hears_all_first(self) -> bool:
        """Tell whether nothing is written before all has been read."""
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
    """Audio that is decoded and measured, and nothing made of it.

    Attributes:
        source: Of the bytes that will come, as sniffed.
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
    """What was measured of a piece of audio while it passed, over all of its channels.

    Attributes:
        loudness_lufs: Integrated; None: nothing is loud enough to be measured.
        peak_dbfs: Of the largest sample; None: digital silence.
        clipped_samples: Those at full scale or beyond.
        peaks: The waveform: lowest and highest sample of each of at most 4096 stretches of equal
            length, but for the last, as pairs of int8; full scale is 127.
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
    """How a conversion, or a measurement, ended.

    Attributes:
        error: Why its output must not be used, for a person; None: it is good.
        warnings: What a person may want to know though it went well.
        before: Of the input; None where it could not be decoded.
        after: Of what the encoder got; None where nothing was encoded.
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
            LookupError, TypeError, ValueError: it was something else.
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
