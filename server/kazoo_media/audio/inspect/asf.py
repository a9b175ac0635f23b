"""Duration of the audio in a Windows Media file."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from typing_extensions import override

from kazoo_media.audio.inspect.containers import REST, ContainerWalker, Element, element_name
from kazoo_media.model import AudioFacts

_ASF_HEADER, _ASF_DATA, _ASF_FILE, _ASF_STREAM, _ASF_AUDIO = map(
    element_name,
    (
        bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C"),
        bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365"),
        bytes.fromhex("9107DCB7B7A9CF118EE600C00C205365"),
        bytes.fromhex("409E69F84D5BCF11A8FD00805F5C442B"),
    ),
)
_ASF_EMPTY_DATA_BYTES = 26
_LEAST_LEFT_OUT_BYTES = 8


class AsfWalker(ContainerWalker):
    """Reads the duration of the file if it contains only audio.

    Source: Advanced Systems Format, 2.1, 3.2 and 3.3.
    """

    _masters: Mapping[int, int] = {_ASF_HEADER: 6}
    _wanted: Mapping[int, int] = {_ASF_FILE: 68, _ASF_STREAM: 62}

    def __init__(self) -> None:
        super().__init__()
        self._file_bytes = 0  # declared
        self._has_video = False
        self._duration_ms: float | None = None

    @override
    def warnings(self) -> tuple[str, ...]:
        left_out = self._received - self._file_bytes if self._file_bytes else 0
        if left_out < _LEAST_LEFT_OUT_BYTES:
            return ()
        return (f"{left_out} bytes after the declared end of the WMA were left out",)

    @override
    def _counted(self) -> AudioFacts:
        return self._facts(None if self._has_video else self._duration_ms)

    @override
    def _element(self, data: bytes, at: int) -> Element | None:
        if self._file_bytes and self._offset + at >= self._file_bytes:
            return REST
        if len(data) < at + 24:
            return None
        name, size = (
            element_name(data[at : at + 16]),
            int.from_bytes(data[at + 16 : at + 24], "little"),
        )
        is_live = name == _ASF_DATA and size <= 24 + _ASF_EMPTY_DATA_BYTES
        return Element(name, 24, None if is_live or size < 24 else size - 24)

    @override
    def _take(self, name: int, content: bytes) -> None:
        if name == _ASF_FILE:
            self._file_bytes, ticks, preroll_ms, flags = struct.unpack_from(
                "<Q16xQ8xQI", content, 16
            )
            self._duration_ms = None if flags & 1 else max(0, ticks / 10_000 - preroll_ms) or None
        elif element_name(content[:16]) == _ASF_AUDIO:
            self._channel_count, self._rate = struct.unpack_from("<HI", content, 56)
        else:
            self._has_video = True
