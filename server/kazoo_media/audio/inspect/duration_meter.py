"""Duration of audio, counted while it streams."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from typing_extensions import override

from kazoo_media.audio.formats import MP4_FAMILY, AudioFormat
from kazoo_media.audio.inspect.amr import AmrWalker, AmrWideWalker
from kazoo_media.audio.inspect.asf import AsfWalker
from kazoo_media.audio.inspect.flac import FlacGauge
from kazoo_media.audio.inspect.flv import FlvWalker
from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.audio.inspect.gsm import GsmGauge
from kazoo_media.audio.inspect.iff import AiffWalker, CafWalker, Wave64Walker
from kazoo_media.audio.inspect.mp3_aac import AacWalker, Mp3Walker
from kazoo_media.audio.inspect.mp4 import Mp4Walker
from kazoo_media.audio.inspect.ogg import OggWalker
from kazoo_media.audio.inspect.wav_gauge import WavGauge
from kazoo_media.audio.inspect.webm import WebmWalker
from kazoo_media.model import AudioFacts

_MOST_CREDIBLE = (1 << 31) - 1  # ms, 24 days; and the largest rate that protobuf can hold


class DurationMeter:
    """Measures one stream of a known format, in constant memory, without decoding it.

    Exact for WAV and Wave64 with PCM, float, G.711, G.722, G.726, GSM, ADPCM or MP3, for AIFF, AU,
    raw G.711, G.722 and GSM, MP3, AAC, audio in Ogg, and AMR. CAF is exact except for packets of
    various sizes, which its table tells. FLAC is measured by its header or its last frames, MP4 by
    its index, WebM and FLV without their last frame. Other formats remain unknown.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._gauge = _GAUGES.get(audio_format, _Unknown)()
        self._codec = _CODECS.get(audio_format)

    def feed(self, chunk: bytes) -> None:
        """Count the next bytes. Never raises; the cost is independent of the length of PCM."""
        self._gauge.feed(chunk)

    def facts(self) -> AudioFacts:
        """Return the known facts so far; unknown and implausible values are None."""
        facts = self._gauge.facts()
        values = (facts.duration_ms, facts.sample_rate_hertz, facts.channel_count)
        if any(value is not None and value > _MOST_CREDIBLE for value in values):
            return AudioFacts()
        if self._codec is None or facts.sample_rate_hertz is None:
            return facts
        return replace(facts, codec=self._codec)

    def expected_ms(self) -> int | None:
        """Return the expected duration: the declared one if that is longer than the counted one."""
        counted, declared = self._gauge.facts().duration_ms, self._gauge.declared_ms()
        known = [value for value in (counted, declared) if value is not None]
        return max(known) if known else None

    def least_ms(self) -> int | None:
        """Return the expected duration without the padding that decoders may leave out."""
        expected_ms = self.expected_ms()
        return None if expected_ms is None else max(0, expected_ms - self._gauge.padding_ms())

    def changes_format(self) -> bool:
        """Return whether the sample rate or the number of channels has changed."""
        return self._gauge.changes_format()

    def hides_audio(self) -> bool:
        """Return whether there is more audio than its headers declare."""
        return self._gauge.hides_audio()

    def warnings(self) -> tuple[str, ...]:
        """Return remarks for a person about what the headers say wrongly."""
        return self._gauge.warnings()

    def is_truncated(self) -> bool:
        """Return whether the stream would be truncated if it ended here; False if unknown."""
        return self._gauge.is_truncated()

    def repaired_head(self) -> bytes | None:
        """Return the first bytes with the length of a stream that ends here.

        None: they are right, have no length, or belong to a WAV; for those see wav.repaired_head.
        """
        return self._gauge.repaired_head()


class _Unknown(Gauge):
    @override
    def feed(self, chunk: bytes) -> None:
        pass

    @override
    def facts(self) -> AudioFacts:
        return AudioFacts()


class _Raw(Gauge):
    """Mono without a header."""

    def __init__(self, samples_per_byte: int = 1, rate: int = 8000) -> None:
        self._samples_per_byte = samples_per_byte
        self._rate = rate
        self._bytes = 0

    @override
    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)

    @override
    def facts(self) -> AudioFacts:
        samples = self._bytes * self._samples_per_byte
        return AudioFacts(samples * 1000 // self._rate, self._rate, 1)


class _Au(Gauge):
    """Source: the audio(5) manual of SunOS; libsndfile's list of encodings."""

    _SAMPLE_BYTES: Mapping[int, int] = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
    _CODECS: Mapping[int, str] = {1: "mulaw", 3: "linear16", 27: "alaw"}
    _HEADER = struct.Struct(">4sIIIII")

    def __init__(self) -> None:
        self._head = b""
        self._bytes = 0

    @override
    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        self._head += chunk[: self._HEADER.size - len(self._head)]

    def _layout(self) -> tuple[int, int, int, int, int] | None:
        """Return offset, declared size, encoding, rate and channels."""
        if len(self._head) < self._HEADER.size or not self._head.startswith(b".snd"):
            return None
        _, offset, declared, encoding, rate, channels = self._HEADER.unpack(self._head)
        if not rate or not channels or encoding not in self._SAMPLE_BYTES:
            return None
        return offset, declared, encoding, rate, channels

    @override
    def facts(self) -> AudioFacts:
        layout = self._layout()
        if layout is None:
            return AudioFacts()
        offset, declared, encoding, rate, channels = layout
        received = min(max(0, self._bytes - offset), declared or 0xFFFFFFFF)
        samples = received // (self._SAMPLE_BYTES[encoding] * channels)
        duration_ms = round(samples * 1000 / rate)
        return AudioFacts(duration_ms, rate, channels, codec=self._CODECS.get(encoding))

    @override
    def warnings(self) -> tuple[str, ...]:
        layout = self._layout()
        if layout is None or layout[1] in (0, 0xFFFFFFFF):
            return ()
        surplus = self._bytes - layout[0] - layout[1]
        if surplus < self._HEADER.size:
            return ()
        return (f"{surplus} bytes after the declared end of the AU were left out",)

    @override
    def is_truncated(self) -> bool:
        layout = self._layout()
        if layout is None:
            return 0 < self._bytes < self._HEADER.size
        offset, declared, *_ = layout
        return declared != 0xFFFFFFFF and self._bytes < offset + declared


_GAUGES: Mapping[AudioFormat, Callable[[], Gauge]] = {
    AudioFormat.WAV: WavGauge,
    AudioFormat.MP3: Mp3Walker,
    AudioFormat.OGG: OggWalker,
    AudioFormat.OPUS: OggWalker,
    AudioFormat.OGG_FLAC: OggWalker,
    AudioFormat.FLAC: FlacGauge,
    AudioFormat.AMR: AmrWalker,
    AudioFormat.AMR_WB: AmrWideWalker,
    AudioFormat.AAC: AacWalker,
    **dict.fromkeys(MP4_FAMILY, Mp4Walker),
    AudioFormat.WEBM: WebmWalker,
    AudioFormat.WMA: AsfWalker,
    AudioFormat.FLV: FlvWalker,
    AudioFormat.AU: _Au,
    AudioFormat.AIFF: AiffWalker,
    AudioFormat.CAF: CafWalker,
    AudioFormat.WAVE64: Wave64Walker,
    AudioFormat.PCMA: _Raw,
    AudioFormat.PCMU: _Raw,
    AudioFormat.G722: partial(_Raw, 2, 16_000),
    AudioFormat.GSM: GsmGauge,
}
_CODECS: Mapping[AudioFormat, str] = {
    AudioFormat.MP3: "mp3",
    AudioFormat.OGG: "vorbis",
    AudioFormat.OPUS: "opus",
    AudioFormat.FLAC: "flac",
    AudioFormat.OGG_FLAC: "flac",
    AudioFormat.AMR: "amr-nb",
    AudioFormat.AMR_WB: "amr-wb",
    AudioFormat.AAC: "aac",
    AudioFormat.WMA: "wma",
    AudioFormat.PCMA: "alaw",
    AudioFormat.PCMU: "mulaw",
    AudioFormat.GSM: "gsm",
    AudioFormat.G722: "g722",
}
"""Codecs of formats with one kind of samples."""
