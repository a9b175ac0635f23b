"""Multipart bodies: the first file part, as a stream, and JSON parts. Source: RFC 7578."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from kazoo_media.audio.formats import essence
from kazoo_media.crossbar.conditions import check_whole
from kazoo_media.crossbar.content_types import JSON_TYPES
from kazoo_media.crossbar.limits import PARTS_LIMIT
from kazoo_media.documents.violations import too_many
from kazoo_media.errors import (
    EmptyContentError,
    IncompleteUploadError,
    TooLargeError,
    ValidationError,
    Violation,
)

_OTHER_PARTS_BYTES = 5 * 1024 * 1024
"""Maximum size of everything in the body except the file."""

_STEP_BYTES = 64 * 1024


class MultipartFile:
    """The first file part of a body: the first with a file name or the type of a file.

    Attributes:
        content_type: The type of the part; "": none.
        transfer_encoding: The transfer encoding of the part; "": none.
        file_name: The file name of the part; "": none.
        documents: The JSON parts before the file.
        late_documents: Those after it, as far as the body was read.
    """

    def __init__(self, boundary: bytes, source: AsyncGenerator[bytes, None]) -> None:
        self.content_type = ""
        self.transfer_encoding = ""
        self.file_name = ""
        self.documents: list[bytearray] = []
        self.late_documents: list[bytearray] = []
        self._in_document = False
        self._source = source
        self._ready: list[bytes] = []
        self._other_bytes = 0
        self._found = False
        self._inside = False
        self._ended = False
        self._headers: dict[str, str] = {}
        self._header: list[bytes] = [b"", b""]
        self._parts = 0
        self._preamble = _Preamble(boundary)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_text(0),
                "on_header_value": self._header_text(1),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._part_data,
                "on_part_end": self._end_part,
            },
        )

    @classmethod
    async def open(cls, content_type: str, source: AsyncGenerator[bytes, None]) -> MultipartFile:
        """Return the file part after its headers were read.

        Raises:
            EmptyContentError: the body has no file.
            ValidationError: the body is not valid multipart data, or the file is a part of one.
            IncompleteUploadError: the body ended early.
        """
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _unreadable()
        try:
            file = cls(boundary, source)
        except FormParserError as error:  # the boundary is too long
            raise _unreadable() from error
        is_empty = True
        async for piece in source:
            is_empty = False
            await file._feed(piece)
            if file._found:
                return file
        if is_empty or file._preamble.is_over:
            raise EmptyContentError
        raise _unreadable()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the file; the rest of the body is read and dropped.

        Raises:
            ValidationError: the body is not valid multipart data.
            IncompleteUploadError: the body ended early.
            TooLargeError: the other parts are too large.
        """
        if piece := self._taken():
            yield piece
        async for body in self._source:
            await self._feed(body)
            if piece := self._taken():
                yield piece
        if not self._ended:
            raise IncompleteUploadError("the body ended inside the file: send the request again")

    def _taken(self) -> bytes:
        ready, self._ready = self._ready, []
        return ready[0] if len(ready) == 1 else b"".join(ready)

    async def _feed(self, piece: bytes) -> None:
        """Parse a piece in steps; a text full of almost boundaries takes long."""
        for start in range(0, len(piece), _STEP_BYTES):
            if start:
                await asyncio.sleep(0)
            self._parse(piece[start : start + _STEP_BYTES])

    def _parse(self, piece: bytes) -> None:
        before = len(self._ready)
        try:
            self._parser.write(self._preamble.rest(piece))
        except MultipartParseError as error:
            raise _unreadable() from error
        file_bytes = sum(map(len, self._ready[before:]))
        self._other_bytes += len(piece) - file_bytes
        if self._other_bytes > _OTHER_PARTS_BYTES:
            raise TooLargeError(_OTHER_PARTS_BYTES)

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > PARTS_LIMIT:
            raise ValidationError([too_many("file", "parts", self._parts, PARTS_LIMIT)])
        self._headers = {}

    def _header_text(self, index: int) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            self._header[index] += data[start:end]

        return add

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()
        self._header = [b"", b""]

    def _end_headers(self) -> None:
        content_type = self._headers.get("content-type", "")
        self._in_document = essence(content_type) in JSON_TYPES
        if self._in_document:
            (self.late_documents if self._found else self.documents).append(bytearray())
        if self._found or self._in_document:
            return
        options = parse_options_header(self._headers.get("content-disposition", ""))[1]
        typed = content_type.lower().startswith(("audio/", "video/", "application/", "binary/"))
        if b"filename" in options or typed:
            check_whole(self._headers.get("content-range", ""))
            self._found = self._inside = True
            self.content_type = content_type
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.transfer_encoding = self._headers.get("content-transfer-encoding", "")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._ready.append(data[start:end])
        elif self._in_document and not self._found:
            self.documents[-1] += data[start:end]

    def _end_part(self) -> None:
        self._in_document = False
        if self._inside:
            self._inside, self._ended = False, True


class _Preamble:
    """The text before the first delimiter, which is dropped. Source: RFC 2046, 5.1.1.

    Attributes:
        is_over: Whether the first delimiter has come.
    """

    def __init__(self, boundary: bytes) -> None:
        self.is_over = False
        self._delimiter = b"\n--" + boundary
        self._tail = b"\n"  # the delimiter may be in the first line

    def rest(self, piece: bytes) -> bytes:
        """Return the part of a piece that follows the preamble, and the delimiter itself."""
        if self.is_over:
            return piece
        text = self._tail + piece
        start = text.find(self._delimiter)
        while 0 <= start < len(text) - len(self._delimiter):
            if text[start + len(self._delimiter)] in b"\r-":
                self.is_over = True
                return text[start + 1 :]
            start = text.find(self._delimiter, start + 1)  # a longer word
        self._tail = text[start:] if start >= 0 else text[-len(self._delimiter) :]
        return b""


def _unreadable() -> ValidationError:
    text = "the multipart body is malformed"
    return ValidationError([Violation("file", "invalid", text, {})])
