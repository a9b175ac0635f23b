"""The head of a piece of audio: what its first bytes show it to be, judged once."""

from __future__ import annotations

from dataclasses import dataclass

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.plausibility import implausible
from kazoo_media.audio.inspect.sniff import SNIFF_BYTES, sniff
from kazoo_media.audio.inspect.stream_facts import DurationMeter
from kazoo_media.audio.inspect.wav import (
    LARGEST_HEADER_BYTES,
    WavHeader,
    ignore_length_needed,
    parse_wav_header,
)

MOST_HEAD_BYTES = LARGEST_HEADER_BYTES + 16
"""A head can be judged when it has so many bytes, whatever they are."""

_RAW = frozenset({AudioFormat.PCMA, AudioFormat.PCMU, AudioFormat.GSM})


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of a piece of audio and what they show.

    Attributes:
        data: As they came; what follows the first MOST_HEAD_BYTES does not matter.
        format: None where nothing is recognised: raw formats have no magic.
        label: What it is instead of audio, with its article: "a PDF document"; None where nothing
            but audio is known of it.
        wav: The header of a WAV; None where there is none, or it is broken or incomplete.
        wav_problem: Why the header of a WAV cannot be read.
    """

    data: bytes
    format: AudioFormat | None
    label: str | None
    wav: WavHeader | None = None
    wav_problem: str | None = None

    @property
    def ignores_length(self) -> bool:
        """Tell whether a converter has to read to the end instead of believing the header."""
        return self.wav is not None and ignore_length_needed(self.wav)

    def problem(self, source: AudioFormat) -> str | None:
        """Say why no converter must see this as `source`; None: it may."""
        if not self.data:
            return "the input is empty"
        if self.label is not None:
            return f"the input is {self.label}, not audio"
        # A frame sync is little evidence against a format that has no magic of its own.
        by_chance = source in _RAW and self.format is AudioFormat.MP3
        if self.format not in (None, source) and not by_chance:
            return f"the input is {self.format.title}, not {source.title}"
        if source is AudioFormat.WAV:
            return self.wav_problem if self.wav is None else self.wav.problem
        meter = DurationMeter(source)
        meter.feed(self.data[:MOST_HEAD_BYTES])
        facts = meter.facts()
        return implausible(facts.sample_rate_hertz, facts.channel_count)


def can_be_judged(data: bytes | bytearray) -> bool:
    """Tell whether these first bytes are enough: of a WAV the whole header, else SNIFF_BYTES."""
    if len(data) < SNIFF_BYTES:
        return False
    if data[:4] not in (b"RIFF", b"RIFX", b"RF64") or len(data) >= MOST_HEAD_BYTES:
        return True
    try:
        return parse_wav_header(data) is not None
    except ValueError:
        return True


def judged(data: bytes) -> Head:
    """Return the head that begins with these bytes: as many as can be judged, or all there are."""
    found = sniff(data)
    try:
        wav = parse_wav_header(data[:MOST_HEAD_BYTES])
    except ValueError as error:
        return Head(data, found.format, found.label, wav_problem=str(error))
    problem = "the input ends within its WAV header" if wav is None else None
    return Head(data, found.format, found.label, wav, problem)
