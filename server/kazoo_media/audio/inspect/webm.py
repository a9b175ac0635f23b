"""Duration of the audio in a WebM."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.inspect.containers import CODECS, REST, ContainerWalker, Element
from kazoo_media.model import AudioFacts

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


_EBML, _VOID = 0x1A45DFA3, 0xEC
_OUTSIDE_SEGMENTS = frozenset({_EBML, _VOID, _SEGMENT})
_LARGEST_HEAD_BYTES = 12
_INVALID = 0


class WebmWalker(ContainerWalker):
    """Reads the times of the blocks of the first audio track. Source: RFC 8794, 4 to 6; RFC 9559.

    The length of the last block is unknown, so the duration is a few ms too short.
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
        self._earlier_ms = 0.0  # of segments before this one
        self._segment_end: int | None = None
        self._end_of_all: int | None = None  # where something else follows the last segment

    @override
    def _counted(self) -> AudioFacts:
        if self._first is None and not self._earlier_ms:
            return self._facts(None if self._audio_number is None else 0)
        return self._facts(self._earlier_ms + self._segment_ms())

    def _segment_ms(self) -> float:
        return 0.0 if self._first is None else (self._last - self._first) * self._scale_ns / 1e6

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        place = self._offset + at
        element = self._parsed(data[at : at + _LARGEST_HEAD_BYTES] + bytes(_LARGEST_HEAD_BYTES))
        if len(data) < at + element.header_bytes:
            return None
        is_outside = self._segment_end is not None and place >= self._segment_end
        if is_outside and element.name not in _OUTSIDE_SEGMENTS:
            self._end_of_all = place
            return REST
        if element.name == _INVALID:
            self._break()
        elif element.name == _SEGMENT:
            size = element.content_bytes
            self._segment_end = None if size is None else place + element.header_bytes + size
        return element

    @override
    def warnings(self) -> tuple[str, ...]:
        if self._end_of_all is None:
            return ()
        left_out = self._received - self._end_of_all
        return (f"{left_out} bytes after the declared end of the WebM were left out",)

    def _parsed(self, data: bytes) -> Element:
        name_bytes = 9 - data[0].bit_length()
        if name_bytes > 4:
            return Element(_INVALID, 1, 0)
        size_bytes = 9 - data[name_bytes].bit_length()
        size = int.from_bytes(data[name_bytes : name_bytes + size_bytes], "big")
        largest = (1 << 7 * size_bytes) - 1
        known = size_bytes <= 8 and size & largest != largest
        name = int.from_bytes(data[:name_bytes], "big")
        return Element(name, name_bytes + size_bytes, size & largest if known else None)

    @override
    def _take(self, name: int, content: bytes) -> None:
        value = int.from_bytes(content, "big")
        if name in (_SIMPLE_BLOCK, _BLOCK):
            self._block(content)
        elif name == _SCALE:
            if self._first is not None:  # WebM files joined as bytes
                self._earlier_ms, self._first = self._earlier_ms + self._segment_ms(), None
            self._scale_ns = value
        elif name == _TIME:
            self._time = value
        else:
            self._track(name, value, content)

    def _block(self, content: bytes) -> None:
        if content[0] & 0x7F == self._audio_number:  # track numbers over 126 do not occur
            (relative,) = struct.unpack_from(">h", content, 1)
            self._last = self._time + relative
            self._first = self._last if self._first is None else self._first

    def _track(self, name: int, value: int, content: bytes) -> None:
        if name == _NUMBER:
            self._number = value
        elif name == _TYPE and value == 2 and self._audio_number is None:
            self._audio_number = self._number
        elif name == _CODEC and self._codec is None:
            self._codec = CODECS.get(content.rstrip(b"\x00"))
        elif name == _CHANNELS and self._channel_count is None:
            self._channel_count = value
        elif name == _RATE and self._rate is None:
            self._rate = int(struct.unpack(">f" if len(content) == 4 else ">d", content)[0])
