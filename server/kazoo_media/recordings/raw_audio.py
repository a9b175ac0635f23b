"""Raw samples: their sizes, their silence, and the WAV header that makes a file of them.

Source: ITU-T G.711 for silence; Microsoft, Multiple Channel Audio Data and WAVE Files, and RFC 2361
for the header.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass


class RawEncoding(enum.StrEnum):
    """How raw samples are coded; LINEAR16 is little endian."""

    LINEAR16 = "linear16"
    MULAW = "mulaw"
    ALAW = "alaw"


_SAMPLE_BYTES: Mapping[RawEncoding, int] = {
    RawEncoding.LINEAR16: 2,
    RawEncoding.MULAW: 1,
    RawEncoding.ALAW: 1,
}
_SILENCE: Mapping[RawEncoding, bytes] = {
    RawEncoding.LINEAR16: b"\x00",
    RawEncoding.MULAW: b"\xff",
    RawEncoding.ALAW: b"\xd5",
}
_FORMAT_CODES: Mapping[RawEncoding, int] = {
    RawEncoding.LINEAR16: 0x0001,
    RawEncoding.MULAW: 0x0007,
    RawEncoding.ALAW: 0x0006,
}
_UNKNOWN_BYTES = 0x7FFFF000
"""The size that sox writes, and understands, where the size is not known yet."""


@dataclass(frozen=True, slots=True)
class RawAudio:
    """Interleaved samples without a container.

    Attributes:
        channel_roles: Who speaks in each channel; empty, or one a channel.
    """

    encoding: RawEncoding
    sample_rate_hertz: int
    channel_count: int
    channel_roles: tuple[str, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """Return the size of one sample of all channels."""
        return _SAMPLE_BYTES[self.encoding] * self.channel_count

    @property
    def silence(self) -> bytes:
        """Return the byte that silence consists of."""
        return _SILENCE[self.encoding]

    def duration_ms(self, size_bytes: int) -> int:
        """Return the duration of whole frames, rounded to milliseconds."""
        return round(size_bytes // self.frame_bytes * 1000 / self.sample_rate_hertz)

    def bytes_of(self, duration_ms: int) -> int:
        """Return the size of this duration, rounded to whole frames."""
        return round(duration_ms * self.sample_rate_hertz / 1000) * self.frame_bytes

    def whole(self, size_bytes: int) -> int:
        """Return the size without an incomplete frame at the end."""
        return size_bytes - size_bytes % self.frame_bytes

    def wav_header(self, data_bytes: int | None) -> bytes:
        """Return the header of a WAV file with this much audio; None: not known yet."""
        sample_bytes = _SAMPLE_BYTES[self.encoding]
        size = _UNKNOWN_BYTES if data_bytes is None else data_bytes
        form = struct.pack(
            "<HHIIHH",
            _FORMAT_CODES[self.encoding],
            self.channel_count,
            self.sample_rate_hertz,
            self.sample_rate_hertz * self.frame_bytes,
            self.frame_bytes,
            sample_bytes * 8,
        )
        chunks = struct.pack("<4sI", b"fmt ", len(form)) + form
        if self.encoding is not RawEncoding.LINEAR16:
            # Formats other than PCM have the size of an extension, and a fact chunk.
            form += struct.pack("<H", 0)
            chunks = struct.pack("<4sI", b"fmt ", len(form)) + form
            chunks += struct.pack("<4sII", b"fact", 4, size // self.frame_bytes)
        chunks += struct.pack("<4sI", b"data", size)
        file_bytes = size + size % 2 + 4 + len(chunks)
        return struct.pack("<4sI4s", b"RIFF", file_bytes, b"WAVE") + chunks


_MAGIC = ((b"RIFF", "a WAV"), (b"ID3", "an MP3"), (b"OggS", "an OGG"))
LONGEST_MAGIC = 4
"""Bytes after which `looks_like_a_container` does not change its answer."""


def looks_like_a_container(data: bytes) -> str | None:
    """Return the name of the container that begins with these bytes, None if none does."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    return None
