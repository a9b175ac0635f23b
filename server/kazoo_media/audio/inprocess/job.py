"""What a process that converts is told, and what it tells at the end. Needs no audio library."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self

from kazoo_media.audio.formats import AudioFormat

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

    def to_json(self) -> str:
        """Return a line that `from_json` reads."""
        formats = {"source": self.source.name, "target": self.target.name}
        return json.dumps(_fields(self) | formats)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the job that `to_json` wrote."""
        fields = json.loads(text)
        formats = {name: AudioFormat[fields[name]] for name in ("source", "target")}
        return cls(**{**fields, **formats})


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

    def to_json(self) -> str:
        """Return a line that `from_json` reads."""
        return json.dumps(_fields(self), default=_plain)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the report that `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            fields["error"],
            tuple(fields["warnings"]),
            _sound(fields["before"]),
            _sound(fields["after"]),
        )


def _fields(value: Job | Sound | Report) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def _plain(value: Sound | bytes) -> dict[str, Any] | str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else _fields(value)


def _sound(fields: dict[str, Any] | None) -> Sound | None:
    if fields is None:
        return None
    return Sound(**{**fields, "peaks": base64.b64decode(fields["peaks"])})
