"""What Windows Media files say of themselves."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.containers import ContainerWalker, Element, name_of
from kazoo_media.model import AudioFacts

_HEADER, _DATA, _FILE, _STREAM, _AUDIO = map(
    name_of,
    (
        bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365"),
        bytes.fromhex("9107DCB7B7A9CF118EE600C00C205365"),
        bytes.fromhex("409E69F84D5BCF11A8FD00805F5C442B"),
    ),
)
_EMPTY_DATA_BYTES = 26


class AsfWalker(ContainerWalker):
    """Reads how long the file is, if there is nothing but audio in it.

    Source: Advanced Systems Format, 2.1, 3.2 and 3.3.
    """

    _masters: Mapping[int, int] = {_HEADER: 6}
    _wanted: Mapping[int, int] = {_FILE: 68, _STREAM: 62}

    def __init__(self) -> None:
        super().__init__()
        self._has_video = False
        self._duration_ms: float | None = None

    @override
    def _counted(self) -> AudioFacts:
        return self._facts(None if self._has_video else self._duration_ms)

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        if len(data) < at + 24:
            return None
        name, size = name_of(data[at : at + 16]), int.from_bytes(data[at + 16 : at + 24], "little")
        is_live = name == _DATA and size <= 24 + _EMPTY_DATA_BYTES
        return Element(name, 24, None if is_live or size < 24 else size - 24)

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == _FILE:
            ticks, preroll_ms, flags = struct.unpack_from("<Q8xQI", content, 40)
            self._duration_ms = None if flags & 1 else max(0, ticks / 10_000 - preroll_ms)
        elif name_of(content[:16]) == _AUDIO:
            self._channel_count, self._rate = struct.unpack_from("<HI", content, 56)
        else:
            self._has_video = True
