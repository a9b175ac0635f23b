"""Duration of the audio in a Flash video."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.inspect.containers import ContainerWalker, Element
from kazoo_media.audio.inspect.plausibility import covers
from kazoo_media.model import AudioFacts

_FLV_FILE_BYTES, _FLV_TAG_BYTES, _FLV_AUDIO, _FLV_SCRIPT = 13, 11, 8, 18
_FLV_CODECS = {2: "mp3", 7: "alaw", 8: "mulaw", 10: "aac", 11: "speex"}


class FlvWalker(ContainerWalker):
    """Reads the times of the audio tags. Source: Adobe Flash Video File Format 10.1, annex E.

    The length of the last tag is unknown, so the duration is some ms too short.
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
        missing = not covers(self._last_any_ms, round(self._declared_ms))
        return super().is_truncated() or (missing and not self._gave_up)

    @override
    def _counted(self) -> AudioFacts:
        return self._facts(None if self._first_ms is None else self._last_ms - self._first_ms)

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        if self._offset + at == 0:
            return Element(0, _FLV_FILE_BYTES, 0)
        if len(data) < at + _FLV_TAG_BYTES:
            return None
        kind = data[at] & 0x1F
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        self._last_any_ms = data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big")
        if kind == _FLV_AUDIO:
            self._last_ms = self._last_any_ms
            self._first_ms = self._last_ms if self._first_ms is None else self._first_ms
        return Element(kind, _FLV_TAG_BYTES, size + 4)  # its own size follows each tag

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == _FLV_AUDIO:
            self._codec = _FLV_CODECS.get(content[0] >> 4)
            return
        found = content.find(b"\x00\x08duration\x00")
        if found >= 0 and len(content) >= found + 19:
            (self._declared_ms,) = struct.unpack_from(">d", content, found + 11)
            self._declared_ms *= 1000
