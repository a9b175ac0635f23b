"""Duration of a WAV."""

from __future__ import annotations

from typing_extensions import override

from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.audio.inspect.mp3_aac import Mp3Walker
from kazoo_media.audio.inspect.wav_walk import WavWalk
from kazoo_media.model import AudioFacts


class WavGauge(Gauge):
    """Counts the bytes of the audio; in MP3 the frames, whose sizes may vary."""

    def __init__(self) -> None:
        self._walk = WavWalk()
        self._frames = Mp3Walker()
        self._bytes = 0

    @override
    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        before = self._walk.audio_bytes
        kept = self._walk.kept(chunk)
        if self._walk.header is not None and self._walk.header.codec == "mp3":
            self._frames.feed(kept[len(kept) - (self._walk.audio_bytes - before) :])

    @override
    def facts(self) -> AudioFacts:
        header = self._walk.header
        if header is None:
            return AudioFacts()
        duration_ms = header.duration_ms(self._walk.audio_bytes)
        if header.codec == "mp3":
            duration_ms = self._frames.facts().duration_ms
        return AudioFacts(
            duration_ms, header.sample_rate_hertz, header.channel_count, codec=header.codec
        )

    @override
    def declared_ms(self) -> int | None:
        header, walk = self._walk.header, self._walk
        if header is None:
            return None
        return header.duration_ms(walk.audio_bytes + walk.missing_bytes)

    @override
    def hides_audio(self) -> bool:
        return self._walk.hides_audio

    @override
    def is_truncated(self) -> bool:
        if self._walk.header is None:
            return self._bytes > 0 and self._walk.problem is None
        return self._walk.missing_bytes > 0

    @override
    def warnings(self) -> tuple[str, ...]:
        return self._walk.warnings()
