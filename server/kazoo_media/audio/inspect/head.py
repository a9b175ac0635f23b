"""The head of a piece of audio: its first bytes, judged once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kazoo_media.audio.formats import BARE_FRAMES, RAW, AudioFormat, format_of
from kazoo_media.audio.inspect.duration_meter import DurationMeter
from kazoo_media.audio.inspect.mpeg import tags_length
from kazoo_media.audio.inspect.plausibility import implausible
from kazoo_media.audio.inspect.raw_pcm import raw_pcm
from kazoo_media.audio.inspect.sniff import SNIFF_BYTES, sniff
from kazoo_media.audio.inspect.wav import (
    RIFF_NAMES,
    WavHeader,
    ignore_length_needed,
    parse_wav_header,
)

MOST_HEAD_BYTES = 64 * 1024
"""A head of this size can always be judged, unless tags are before it. Longer headers are walked
over while they stream."""

MOST_TAG_BYTES = 2 * 1024 * 1024
"""ID3v2 tags up to this size are skipped to see what follows them; they are held in memory."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of a piece of audio and the judgement of them.

    Attributes:
        data: The bytes after `tag_bytes`; only the first MOST_HEAD_BYTES matter.
        format: The recognised format; None also for raw formats, which have no magic.
        label: What the bytes are instead of audio, with an article: "a PDF document"; else None.
        wav: The header of a WAV; None if there is none, or if it is broken or longer than the head.
        wav_problem: Why the header of a WAV cannot be read.
        tag_bytes: Size of the ID3v2 tags before the audio, which its decoders do not expect.
        lead: A header to be passed to decoders before the audio, which has none.
    """

    data: bytes
    format: AudioFormat | None
    label: str | None
    wav: WavHeader | None = None
    wav_problem: str | None = None
    tag_bytes: int = 0
    lead: bytes = b""

    def audible(self, chunk: bytes, offset: int) -> bytes:
        """Return the part of a chunk at this offset that decoders should read."""
        rest = chunk[max(0, self.tag_bytes - offset) :] if offset < self.tag_bytes else chunk
        return self.lead + rest if offset == 0 else rest

    @property
    def ignores_length(self) -> bool:
        """Return whether a converter must ignore the length in the header of a WAV."""
        if self.wav is None:
            return self.wav_problem is None  # not known yet
        return ignore_length_needed(self.wav)

    @property
    def is_for_ffmpeg(self) -> bool:
        """Return whether neither sox nor libsndfile reads the encoding in this WAV."""
        return self.wav is not None and not self.wav.is_common

    def title(self, source: AudioFormat) -> str:
        """Return the name of the source for people, with an encoding that is not common."""
        if self.wav is None or self.wav.is_common:
            return source.title
        code = f"encoding 0x{self.wav.format_code:04x}"
        return f"{source.title} with {(self.wav.codec or code).upper()}"

    def problem(self, source: AudioFormat) -> str | None:
        """Return why this must not be converted as `source`, or None."""
        if not self.data:
            return "the input is empty"
        if self.label is not None:
            return f"the input is {self.label}, not audio"
        # A frame sync is little evidence against a format that has no magic of its own.
        by_chance = source in RAW and self.format is AudioFormat.MP3
        if self.format not in (None, source) and not by_chance:
            return f"the input is {self.format.title}, not {source.title}"
        if source is AudioFormat.WAV:
            return self.wav_problem if self.wav is None else self.wav.problem
        meter = DurationMeter(source)
        meter.feed(self.data[:MOST_HEAD_BYTES])
        facts = meter.facts()
        return implausible(facts.sample_rate_hertz, facts.channel_count)


def can_be_judged(data: bytes | bytearray) -> bool:
    """Return whether these bytes can be judged: a WAV header or MOST_HEAD_BYTES of it, otherwise
    SNIFF_BYTES.

    They are counted after ID3v2 tags, if those are not too large.
    """
    tag_bytes = tags_length(data)
    if tag_bytes > MOST_TAG_BYTES:
        return True
    if tag_bytes:
        data = data[tag_bytes : tag_bytes + MOST_HEAD_BYTES]
    if len(data) < SNIFF_BYTES:
        return False
    if data[:4] not in RIFF_NAMES or len(data) >= MOST_HEAD_BYTES:
        return True
    try:
        return parse_wav_header(data) is not None
    except ValueError:
        return True


def judged(data: bytes) -> Head:
    """Return the judged head: enough bytes to be judged, or the whole input."""
    found = sniff(data)
    # Decoders and meters of bare frames expect tags.
    tag_bytes = 0 if found.format in BARE_FRAMES else min(tags_length(data), len(data))
    data = data[tag_bytes:]
    try:
        wav = parse_wav_header(data[:MOST_HEAD_BYTES])
    except ValueError as error:
        return Head(data, found.format, found.label, None, str(error), tag_bytes)
    is_cut = wav is None and len(data) < MOST_HEAD_BYTES
    problem = "the input ends within its WAV header" if is_cut else None
    return Head(data, found.format, found.label, wav, problem, tag_bytes)


def as_typed(head: Head, content_type: str) -> tuple[AudioFormat | None, Head]:
    """Return the format in which audio of this type is decoded, and its head for decoders.

    None: the format is unknown. The bytes decide, unless the type is that of raw PCM.

    Raises:
        ValueError: the type lacks a parameter, or has an unsupported one.
    """
    raw = raw_pcm(content_type)
    if raw is None:
        return head.format or format_of(content_type), head
    return AudioFormat.WAV, replace(judged(raw.wav_head + head.data), lead=raw.wav_head)
