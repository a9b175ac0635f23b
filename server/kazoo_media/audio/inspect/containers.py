"""The walk through containers that MP4, WebM, ASF and FLV share.

Theory of operation. A container consists of nested elements. A walker enters those that lead to the
elements it wants and skips all others. The furthest declared end of any element is the end of the
file: a file that ends earlier is truncated.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from kazoo_media.audio.inspect.walker import Walker
from kazoo_media.model import AudioFacts

_REST_OF_FILE = 1 << 62
_FREE_ELEMENTS = 10_000
_ELEMENT_BYTES = (
    32  # elements of real files are larger on average; hostile files have many small ones
)


@dataclass(frozen=True, slots=True)
class Element:
    """The header of one element.

    Attributes:
        header_bytes: Size of the header; the content follows.
        content_bytes: None: up to the end of its parent or of the file.
    """

    name: int
    header_bytes: int
    content_bytes: int | None


REST = Element(0, 0, None)
"""Everything up to the end of the input, which is not walked over."""


class ContainerWalker(Walker):
    """Walks from element to element.

    Attributes:
        _masters: Elements to enter, by name, with the number of bytes before their children.
        _wanted: Elements to read, by name, with the number of bytes to read.
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
        return self._is_broken or (not self._gave_up and 0 < self._received < self._end)

    @property
    def _received(self) -> int:
        """Return the number of bytes so far."""
        return self._offset - self._skip if self._skip else self._offset + len(self._rest)

    def _break(self) -> None:
        """Stop at invalid data: elements after it cannot be found."""
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
        """Return the number of bytes to the next element; None: more bytes are needed."""
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
            # The element is too short, or a rate is not a number.
            except (struct.error, IndexError, ValueError, OverflowError):
                self._break()
        return start + size

    @abstractmethod
    def _element(self, data: bytes, at: int) -> Element | None:
        """Read the header of the element there; None: more bytes are needed."""

    @abstractmethod
    def _take(self, name: int, content: bytes) -> None:
        """Take the facts from an element."""

    def _facts(self, duration_ms: float | None) -> AudioFacts:
        whole_ms = None if duration_ms is None else round(duration_ms)
        return AudioFacts(whole_ms, self._rate, self._channel_count, codec=self._codec)


CODECS: Mapping[bytes, str] = {
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


def element_name(text: bytes) -> int:
    """Return the name of an element that is written as text."""
    return int.from_bytes(text, "big")
