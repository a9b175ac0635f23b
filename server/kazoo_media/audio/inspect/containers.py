"""What containers say of the audio in them, and whether they are complete: MP4, WebM, ASF, FLV.

Theory of operation. A container is elements in elements; a walker goes into those that lead to what
it wants and over all others. The furthest end that any element declares is where the file must end:
it is truncated if it ends before.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from kazoo_media.audio.inspect.ogg_amr import Walker
from kazoo_media.model import AudioFacts

_REST_OF_FILE = 1 << 62
_FREE_ELEMENTS = 10_000
_ELEMENT_BYTES = 32  # an element of a real file has more, on average: hostile ones are many


@dataclass(frozen=True, slots=True)
class _Element:
    """Attributes:
    header_bytes: Its content starts behind these.
    content_bytes: None: until its parent, or the file, ends.
    """

    name: int
    header_bytes: int
    content_bytes: int | None


class _ContainerWalker(Walker):
    """Attributes:
    _masters: Elements to go into, by name, with the bytes that stand before their children.
    _wanted: Elements to look at, by name, with the bytes that are enough.
    """

    _masters: Mapping[int, int]
    _wanted: Mapping[int, int]

    def __init__(self) -> None:
        super().__init__()
        self._offset = 0  # of the next element
        self._end = 0
        self._elements = 0
        self._is_broken = False
        self._rate: int | None = None
        self._channel_count: int | None = None
        self._codec: str | None = None

    @override
    def is_truncated(self) -> bool:
        received = self._offset - self._skip if self._skip else self._offset + len(self._rest)
        return self._is_broken or (not self._gave_up and 0 < received < self._end)

    def _break(self) -> None:
        """Stop where no element can be: what follows is lost."""
        self._is_broken = True
        self._give_up()

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        while at < len(data) and not self._gave_up:
            step = self._step(data, at)
            if step is None:
                break
            at += step
            self._elements += 1
            if self._elements > _FREE_ELEMENTS + (self._offset + at) // _ELEMENT_BYTES:
                self._give_up()
        self._offset += at
        return at

    def _step(self, data: bytes, at: int) -> int | None:
        """Return the way to the next element; None: more bytes are needed."""
        element = self._element(data, at)
        if element is None:
            return None
        start, size = element.header_bytes, element.content_bytes
        if size is not None:
            self._end = max(self._end, self._offset + at + start + size)
        if element.name in self._masters:
            return start + self._masters[element.name]
        if size is None:
            return start + _REST_OF_FILE
        enough = min(self._wanted.get(element.name, 0), size)
        if len(data) < at + start + enough:
            return None
        if element.name in self._wanted:
            try:
                self._take(element.name, data[at + start : at + start + enough])
            # Shorter than it may be, or a rate that is no number.
            except (struct.error, IndexError, ValueError, OverflowError):
                self._break()
        return start + size

    @abstractmethod
    def _element(self, data: bytes, at: int) -> _Element | None:
        """Read the header of the element there; None: more bytes are needed."""

    @abstractmethod
    def _take(self, name: int, content: bytes) -> None:
        """Note what an element says."""

    def _facts(self, duration_ms: float | None) -> AudioFacts:
        whole_ms = None if duration_ms is None else round(duration_ms)
        return AudioFacts(whole_ms, self._rate, self._channel_count, codec=self._codec)


_CODECS: Mapping[bytes, str] = {
    b"mp4a": "aac",
    b"alac": "alac",
    b".mp3": "mp3",
    b"samr": "amr-nb",
    b"sawb": "amr-wb",
    b"Opus": "opus",
    b"fLaC": "flac",
    b"A_OPUS": "opus",
    b"A_VORBIS": "vorbis",
    b"A_AAC": "aac",
    b"A_FLAC": "flac",
    b"A_MPEG/L3": "mp3",
}
"""By the names in MP4 and in WebM."""


def _name(text: bytes) -> int:
    return int.from_bytes(text, "big")


_MOOV, _MDAT, _MVHD, _TKHD, _HDLR, _STSD = map(
    _name, (b"moov", b"mdat", b"mvhd", b"tkhd", b"hdlr", b"stsd")
)


def _box(data: bytes, at: int) -> _Element | None:
    """Source: ISO/IEC 14496-12, 4.2."""
    if len(data) < at + 16:  # the largest header; no file ends in a box without content
        return None
    size, name, large = struct.unpack_from(">IIQ", data, at)
    if size == 0:
        return _Element(name, 8, None)
    header_bytes, size = (16, large) if size == 1 else (8, size)
    return _Element(name, header_bytes, max(0, size - header_bytes))


def index_comes_first(head: bytes) -> bool:
    """Tell whether the MP4 that begins with `head` can be read without seeking: its index (moov)
    stands before its audio (mdat).
    """
    at = 0
    while (box := _box(head, at)) is not None:
        if box.name in (_MOOV, _MDAT) or box.content_bytes is None:
            return box.name == _MOOV
        at += box.header_bytes + box.content_bytes
    return False


class Mp4Walker(_ContainerWalker):
    """Reads how long the first audio track is. Source: ISO/IEC 14496-12, 8.2 to 8.5."""

    _masters = dict.fromkeys(map(_name, (b"moov", b"trak", b"mdia", b"minf", b"stbl")), 0)
    _wanted: Mapping[int, int] = {_MVHD: 24, _TKHD: 36, _HDLR: 12, _STSD: 44}

    def __init__(self) -> None:
        super().__init__()
        self._seen_index = False
        self._timescale = 0
        self._track_units = 0
        self._in_audio = False
        self._units: int | None = None

    @override
    def is_truncated(self) -> bool:
        no_index = self._offset > 0 and not self._seen_index
        return super().is_truncated() or (no_index and not self._gave_up)

    @override
    def _counted(self) -> AudioFacts:
        if not self._units or not self._timescale:  # 0: in fragments
            return self._facts(None)
        return self._facts(self._units * 1000 / self._timescale)

    @override
    def _element(self, data: bytes, at: int) -> _Element | None:
        return _box(data, at)

    @override
    def _take(self, name: int, content: bytes) -> None:
        wide = content[0] == 1
        if name == _MVHD:
            self._seen_index = True
            (self._timescale,) = struct.unpack_from(">I", content, 20 if wide else 12)
        elif name == _TKHD:
            layout, at = (">Q", 28) if wide else (">I", 20)
            (self._track_units,) = struct.unpack_from(layout, content, at)
        elif name == _HDLR and content[4:8] != b"dhlr":  # QuickTime's second one, of the data
            self._in_audio = content[8:12] == b"soun" and self._units is None
            if self._in_audio:
                self._units = self._track_units
        elif name == _STSD and self._in_audio:
            self._codec = _CODECS.get(content[12:16])
            self._channel_count, rate = struct.unpack_from(">H6xH", content, 32)
            self._rate = rate or None  # 0: over 65,535


_SEGMENT, _TRACKS, _TRACK, _AUDIO, _INFO, _CLUSTER, _GROUP = (
    0x18538067,
    0x1654AE6B,
    0xAE,
    0xE1,
    0x1549A966,
    0x1F43B675,
    0xA0,
)
_SCALE, _NUMBER, _TYPE, _CODEC, _RATE, _CHANNELS, _TIME, _SIMPLE_BLOCK, _BLOCK = (
    0x2AD7B1,
    0xD7,
    0x83,
    0x86,
    0xB5,
    0x9F,
    0xE7,
    0xA3,
    0xA1,
)


class WebmWalker(_ContainerWalker):
    """Reads the times of the blocks of the first audio track. Source: RFC 8794, 4 to 6; RFC 9559.

    The last block's own length is not known: the duration is a few ms too short.
    """

    _masters = dict.fromkeys((_SEGMENT, _TRACKS, _TRACK, _AUDIO, _INFO, _CLUSTER, _GROUP), 0)
    _wanted: Mapping[int, int] = {
        **dict.fromkeys((_SCALE, _NUMBER, _TYPE, _RATE, _CHANNELS, _TIME), 8),
        **dict.fromkeys((_SIMPLE_BLOCK, _BLOCK), 4),
        _CODEC: 12,
    }

    def __init__(self) -> None:
        super().__init__()
        self._scale_ns = 1_000_000
        self._number = 0
        self._audio_number: int | None = None
        self._time = 0
        self._first: int | None = None
        self._last = 0

    @override
    def _counted(self) -> AudioFacts:
        if self._first is None:
            return self._facts(None)
        return self._facts((self._last - self._first) * self._scale_ns / 1e6)

    @override
    def _element(self, data: bytes, at: int) -> _Element | None:
        if len(data) < at + 12:  # the largest header
            rest = data[at:] + bytes(12)
            element = self._parsed(rest)
            return element if len(data) >= at + element.header_bytes else None
        return self._parsed(data[at : at + 12])

    def _parsed(self, data: bytes) -> _Element:
        name_bytes = 9 - data[0].bit_length()
        if name_bytes > 4:
            self._break()
            return _Element(0, 1, 0)
        size_bytes = 9 - data[name_bytes].bit_length()
        size = int.from_bytes(data[name_bytes : name_bytes + size_bytes], "big")
        largest = (1 << 7 * size_bytes) - 1
        known = size_bytes <= 8 and size & largest != largest
        name = int.from_bytes(data[:name_bytes], "big")
        return _Element(name, name_bytes + size_bytes, size & largest if known else None)

    @override
    def _take(self, name: int, content: bytes) -> None:
        value = int.from_bytes(content, "big")
        if name in (_SIMPLE_BLOCK, _BLOCK):
            self._block(content)
        elif name == _SCALE:
            self._scale_ns = value
        elif name == _TIME:
            self._time = value
        else:
            self._track(name, value, content)

    def _block(self, content: bytes) -> None:
        if content[0] & 0x7F == self._audio_number:  # a number over 126 is unheard of
            (relative,) = struct.unpack_from(">h", content, 1)
            self._last = self._time + relative
            self._first = self._last if self._first is None else self._first

    def _track(self, name: int, value: int, content: bytes) -> None:
        if name == _NUMBER:
            self._number = value
        elif name == _TYPE and value == 2 and self._audio_number is None:
            self._audio_number = self._number
        elif name == _CODEC and self._codec is None:
            self._codec = _CODECS.get(content.rstrip(b"\x00"))
        elif name == _CHANNELS and self._channel_count is None:
            self._channel_count = value
        elif name == _RATE and self._rate is None:
            self._rate = int(struct.unpack(">f" if len(content) == 4 else ">d", content)[0])


_ASF_HEADER, _ASF_DATA, _ASF_FILE, _ASF_STREAM, _ASF_AUDIO = map(
    _name,
    (
        bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365"),
        bytes.fromhex("9107DCB7B7A9CF118EE600C00C205365"),
        bytes.fromhex("409E69F84D5BCF11A8FD00805F5C442B"),
    ),
)
_ASF_EMPTY_DATA_BYTES = 26


class AsfWalker(_ContainerWalker):
    """Reads how long the file is, if there is nothing but audio in it.

    Source: Advanced Systems Format, 2.1, 3.2 and 3.3.
    """

    _masters: Mapping[int, int] = {_ASF_HEADER: 6}
    _wanted: Mapping[int, int] = {_ASF_FILE: 68, _ASF_STREAM: 62}

    def __init__(self) -> None:
        super().__init__()
        self._has_video = False
        self._duration_ms: float | None = None

    @override
    def _counted(self) -> AudioFacts:
        return self._facts(None if self._has_video else self._duration_ms)

    @override
    def _element(self, data: bytes, at: int) -> _Element | None:
        if len(data) < at + 24:
            return None
        name, size = _name(data[at : at + 16]), int.from_bytes(data[at + 16 : at + 24], "little")
        is_live = name == _ASF_DATA and size <= 24 + _ASF_EMPTY_DATA_BYTES
        return _Element(name, 24, None if is_live or size < 24 else size - 24)

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == _ASF_FILE:
            ticks, preroll_ms, flags = struct.unpack_from("<Q8xQI", content, 40)
            self._duration_ms = None if flags & 1 else max(0, ticks / 10_000 - preroll_ms)
        elif _name(content[:16]) == _ASF_AUDIO:
            self._channel_count, self._rate = struct.unpack_from("<HI", content, 56)
        else:
            self._has_video = True


_FLV_FILE_BYTES, _FLV_TAG_BYTES, _FLV_AUDIO, _FLV_SCRIPT = 13, 11, 8, 18
_FLV_CODECS = {2: "mp3", 7: "alaw", 8: "mulaw", 10: "aac", 11: "speex"}


class FlvWalker(_ContainerWalker):
    """Reads the times of the audio tags. Source: Adobe Flash Video File Format 10.1, annex E.

    The last tag's own length is not known: the duration is some ms too short.
    """

    _masters: Mapping[int, int] = {}
    _wanted: Mapping[int, int] = {_FLV_SCRIPT: 4096, _FLV_AUDIO: 1}

    def __init__(self) -> None:
        super().__init__()
        self._declared_ms = 0.0
        self._last_any_ms = 0
        self._first_ms: int | None = None
        self._last_ms = 0

    @override
    def is_truncated(self) -> bool:
        missing = self._last_any_ms < self._declared_ms * 0.98 - 500
        return super().is_truncated() or (missing and not self._gave_up)

    @override
    def _counted(self) -> AudioFacts:
        return self._facts(None if self._first_ms is None else self._last_ms - self._first_ms)

    @override
    def _element(self, data: bytes, at: int) -> _Element | None:
        if self._offset + at == 0:
            return _Element(0, _FLV_FILE_BYTES, 0)
        if len(data) < at + _FLV_TAG_BYTES:
            return None
        kind = data[at] & 0x1F
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        self._last_any_ms = data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big")
        if kind == _FLV_AUDIO:
            self._last_ms = self._last_any_ms
            self._first_ms = self._last_ms if self._first_ms is None else self._first_ms
        return _Element(kind, _FLV_TAG_BYTES, size + 4)  # its own size follows each tag

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == _FLV_AUDIO:
            self._codec = _FLV_CODECS.get(content[0] >> 4)
            return
        found = content.find(b"\x00\x08duration\x00")
        if found >= 0 and len(content) >= found + 19:
            (self._declared_ms,) = struct.unpack_from(">d", content, found + 11)
            self._declared_ms *= 1000
