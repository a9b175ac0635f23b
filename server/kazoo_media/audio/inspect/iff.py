"""Duration of files that consist of chunks: AIFF, CAF and Wave64.

Theory of operation. One chunk has the format, one has the samples. The walker notes where the
samples begin and end, and so knows how many have arrived. What follows the declared end of the
file, or is not a chunk, is not walked over.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.inspect.containers import (
    CODECS,
    REST,
    ContainerWalker,
    Element,
    element_name,
)
from kazoo_media.audio.inspect.wav import WavHeader, header_of_fmt
from kazoo_media.model import AudioFacts

_LARGEST_SANE_SIZE = 1 << 40
_LARGEST_SANE_AIFF = 0x7F000000  # sox writes this into a pipe
_LEAST_LEFT_OUT_BYTES = 8


class _ChunkWalker(ContainerWalker):
    """Walks over chunks, and counts the bytes of the one that has the samples.

    Attributes:
        _title: Name of the format for people.
        _samples: Name of the chunk that has the samples.
        _most_padding_bytes: Padding that tools leave out at the end of a file.
    """

    _title: str
    _samples: int
    _most_padding_bytes = 0

    def __init__(self) -> None:
        super().__init__()
        self._audio_at: int | None = None
        self._audio_bytes: int | None = None
        self._file_end: int | None = None

    @property
    def _received_audio(self) -> int:
        """Return the number of bytes of samples so far."""
        if self._audio_at is None:
            return 0
        received = max(0, self._received - self._audio_at)
        return received if self._audio_bytes is None else min(received, self._audio_bytes)

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        place = self._offset + at
        if self._file_end is not None and place >= self._file_end:
            return REST
        element = self._chunk(data, at)
        if element is None:
            return None
        if element.name in self._masters and element.content_bytes is not None:
            self._file_end = place + element.header_bytes + element.content_bytes
        elif element.name == self._samples and self._audio_at is None:
            self._audio_at = place + element.header_bytes
            self._audio_bytes = element.content_bytes
        return element

    @override
    def is_truncated(self) -> bool:
        if self._is_broken:
            return True
        return not self._gave_up and 0 < self._received < self._end - self._most_padding_bytes

    @override
    def warnings(self) -> tuple[str, ...]:
        left_out = 0 if self._file_end is None else self._received - self._file_end
        if left_out < _LEAST_LEFT_OUT_BYTES:
            return ()
        return (f"{left_out} bytes after the declared end of the {self._title} were left out",)

    @abstractmethod
    def _chunk(self, data: bytes, at: int) -> Element | None:
        """Read the header of the chunk there; None: more bytes are needed.

        The padding after a chunk is a part of its content.
        """


class AiffWalker(_ChunkWalker):
    """Source: Apple, Audio Interchange File Format 1.3 and AIFF-C (draft of 1991)."""

    _title = "AIFF"
    _most_padding_bytes = 1
    _samples = element_name(b"SSND")
    _COMMON = element_name(b"COMM")
    _masters: Mapping[int, int] = {element_name(b"FORM"): 4}
    _wanted: Mapping[int, int] = {_COMMON: 22}
    _KINDS: Mapping[bytes, tuple[str, int, int]] = {
        b"fl32": ("float32", 4, 1),
        b"FL32": ("float32", 4, 1),
        b"fl64": ("float64", 8, 1),
        b"FL64": ("float64", 8, 1),
        b"ulaw": ("mulaw", 1, 1),
        b"ULAW": ("mulaw", 1, 1),
        b"alaw": ("alaw", 1, 1),
        b"ALAW": ("alaw", 1, 1),
        b"ima4": ("ima-adpcm", 34, 64),
        b"GSM ": ("gsm", 33, 160),
        b"agsm": ("gsm", 33, 160),
    }
    """Name, bytes and samples of a block of one channel."""
    _INTEGERS = frozenset({b"", b"NONE", b"twos", b"sowt", b"in24", b"in32", b"raw "})
    _SAMPLES_HEAD_BYTES = 8

    def __init__(self) -> None:
        super().__init__()
        self._frames = 0
        self._block: tuple[int, int] | None = None

    @override
    def _chunk(self, data: bytes, at: int) -> Element | None:
        if len(data) < at + 8:
            return None
        name, size = struct.unpack_from(">II", data, at)
        is_unknown = size == 0 and name in (self._samples, *self._masters)
        if size >= _LARGEST_SANE_AIFF or is_unknown:
            return Element(name, 8, None)
        return Element(name, 8, size + (size & 1))

    @override
    def _take(self, name: int, content: bytes) -> None:
        channels, self._frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", content)
        rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16_383 - 63)
        self._rate, self._channel_count = round(rate), channels
        kind = content[18:22]
        if kind in self._INTEGERS:
            width = (bits + 7) // 8
            self._codec, self._block = f"linear{bits}", (width * channels, 1)
        elif kind in self._KINDS:
            self._codec, block_bytes, samples = self._KINDS[kind]
            self._block = block_bytes * channels, samples

    @override
    def _counted(self) -> AudioFacts:
        if not self._rate or not self._channel_count:
            return AudioFacts()
        frames: int | None = self._frames
        if self._block is not None and self._block[0]:
            received = max(0, self._received_audio - self._SAMPLES_HEAD_BYTES)
            frames = received // self._block[0] * self._block[1]
            # The byte after an odd number of them is padding. Packets are counted elsewhere.
            if self._block[1] == 1 and 0 < self._frames < frames:
                frames = self._frames
        return self._facts(None if frames is None else frames * 1000 / self._rate)


class CafWalker(_ChunkWalker):
    """Source: Apple, Core Audio Format Specification 1.0."""

    _title = "CAF"
    _samples = element_name(b"data")
    _FILE, _DESC, _PAKT = map(element_name, (b"caff", b"desc", b"pakt"))
    _masters: Mapping[int, int] = {_FILE: 0}
    _wanted: Mapping[int, int] = {_DESC: 32, _PAKT: 16}
    _EDITS_BYTES = 4
    _FILE_HEAD_BYTES, _CHUNK_HEAD_BYTES = 8, 12
    _MORE_CODECS: Mapping[bytes, str] = {
        **CODECS,
        b"aac ": "aac",
        b"ima4": "ima-adpcm",
        b"ulaw": "mulaw",
        b"alaw": "alaw",
        b"opus": "opus",
        b"flac": "flac",
    }

    def __init__(self) -> None:
        super().__init__()
        self._packet = (0, 0)  # its bytes and frames; 0: they vary
        self._frames: int | None = None

    @override
    def _chunk(self, data: bytes, at: int) -> Element | None:
        if self._offset + at == 0:
            has_head = len(data) >= self._FILE_HEAD_BYTES
            return Element(self._FILE, self._FILE_HEAD_BYTES, None) if has_head else None
        if len(data) < at + self._CHUNK_HEAD_BYTES:
            return None
        name, size = struct.unpack_from(">Iq", data, at)
        is_sane = 0 <= size < _LARGEST_SANE_SIZE
        if not is_sane and name != self._samples:
            self._file_end = self._offset + at
            return REST
        return Element(name, self._CHUNK_HEAD_BYTES, size if is_sane else None)

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == self._PAKT:
            (self._frames,) = struct.unpack_from(">8xq", content)
            return
        rate, kind, flags, size, frames, channels, bits = struct.unpack_from(">d4sIIIII", content)
        self._rate, self._channel_count, self._packet = round(rate), channels, (size, frames)
        self._codec = self._MORE_CODECS.get(kind)
        if kind == b"lpcm":
            self._codec = f"{'float' if flags & 1 else 'linear'}{bits}"

    @override
    def _counted(self) -> AudioFacts:
        if not self._rate:
            return AudioFacts()
        size, frames = self._packet
        count = self._frames
        if size and frames:
            count = max(0, self._received_audio - self._EDITS_BYTES) // size * frames
        return self._facts(None if count is None else max(0, count) * 1000 / self._rate)


class Wave64Walker(_ChunkWalker):
    """Source: Sonic Foundry, Wave 64 format; its names begin with those of a WAV."""

    _title = "Wave64"
    _most_padding_bytes = 7
    _samples = element_name(b"data")
    _FMT = element_name(b"fmt ")
    _masters: Mapping[int, int] = {element_name(b"riff"): 16}
    _wanted: Mapping[int, int] = {_FMT: 40}
    _HEAD_BYTES = 24

    def __init__(self) -> None:
        super().__init__()
        self._header: WavHeader | None = None

    @override
    def _chunk(self, data: bytes, at: int) -> Element | None:
        if len(data) < at + self._HEAD_BYTES:
            return None
        name, size = struct.unpack_from(">I12x", data, at)[0], _little(data, at + 16)
        if not self._HEAD_BYTES <= size < _LARGEST_SANE_SIZE:
            return Element(name, self._HEAD_BYTES, None)
        return Element(name, self._HEAD_BYTES, -(-size // 8) * 8 - self._HEAD_BYTES)

    @override
    def _take(self, name: int, content: bytes) -> None:
        self._header = header_of_fmt(content)
        self._rate = self._header.sample_rate_hertz
        self._channel_count, self._codec = self._header.channel_count, self._header.codec

    @override
    def _counted(self) -> AudioFacts:
        if self._header is None or not self._rate:
            return AudioFacts()
        return self._facts(self._header.duration_ms(self._received_audio))


def _little(data: bytes, at: int) -> int:
    size: int = struct.unpack_from("<Q", data, at)[0]
    return size
