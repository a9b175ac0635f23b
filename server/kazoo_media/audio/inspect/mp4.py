"""Duration of the audio in an MP4."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.inspect.containers import CODECS, ContainerWalker, Element, element_name
from kazoo_media.model import AudioFacts

_MOOV, _MDAT, _MVHD, _TKHD, _HDLR, _STSD = map(
    element_name, (b"moov", b"mdat", b"mvhd", b"tkhd", b"hdlr", b"stsd")
)


def _box(data: bytes, at: int) -> Element | None:
    """Source: ISO/IEC 14496-12, 4.2."""
    if len(data) < at + 16:  # the largest header; no file ends in a box without content
        return None
    size, name, large = struct.unpack_from(">IIQ", data, at)
    if size == 0:
        return Element(name, 8, None)
    header_bytes, size = (16, large) if size == 1 else (8, size)
    return Element(name, header_bytes, max(0, size - header_bytes))


def index_comes_first(head: bytes) -> bool:
    """Return whether an MP4 needs no seeking: its index (moov) precedes its audio (mdat)."""
    at = 0
    while (box := _box(head, at)) is not None:
        if box.name in (_MOOV, _MDAT) or box.content_bytes is None:
            return box.name == _MOOV
        at += box.header_bytes + box.content_bytes
    return False


class Mp4Walker(ContainerWalker):
    """Reads the duration of the first audio track. Source: ISO/IEC 14496-12, 8.2 to 8.5."""

    _masters = dict.fromkeys(map(element_name, (b"moov", b"trak", b"mdia", b"minf", b"stbl")), 0)
    _wanted: Mapping[int, int] = {_MVHD: 24, _TKHD: 36, _HDLR: 12, _STSD: 44}

    def __init__(self) -> None:
        super().__init__()
        self._indexes = 0
        self._timescale = 0
        self._track_units = 0
        self._in_audio = False
        self._units: int | None = None

    @override
    def is_truncated(self) -> bool:
        no_index = self._offset > 0 and not self._indexes
        return super().is_truncated() or (no_index and not self._gave_up)

    @override
    def warnings(self) -> tuple[str, ...]:
        if self._indexes < 2:
            return ()
        return (f"the input is {self._indexes} MP4 files in one: only the first was read",)

    @override
    def _counted(self) -> AudioFacts:
        if not self._units or not self._timescale:  # 0: in fragments
            return self._facts(None)
        return self._facts(self._units * 1000 / self._timescale)

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        return _box(data, at)

    @override
    def _take(self, name: int, content: bytes) -> None:
        wide = content[0] == 1
        if name == _MVHD:
            self._indexes += 1
            (self._timescale,) = struct.unpack_from(">I", content, 20 if wide else 12)
        elif name == _TKHD:
            layout, at = (">Q", 28) if wide else (">I", 20)
            (self._track_units,) = struct.unpack_from(layout, content, at)
        elif name == _HDLR and content[4:8] != b"dhlr":  # QuickTime's second one, of the data
            self._in_audio = content[8:12] == b"soun" and self._units is None
            if self._in_audio:
                self._units = self._track_units
        elif name == _STSD and self._in_audio:
            self._codec = CODECS.get(content[12:16])
            self._channel_count, rate = struct.unpack_from(">H6xH", content, 32)
            self._rate = rate or None  # 0: over 65,535
