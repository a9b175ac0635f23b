"""Audio in request bodies: base64, multipart or plain, decoded as a stream."""

from __future__ import annotations

import binascii
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from kazoo_media.audio.formats import essence
from kazoo_media.crossbar.content_types import BASE64_TYPES, FORM
from kazoo_media.crossbar.multipart import MultipartFile
from kazoo_media.errors import TooLargeError, ValidationError, Violation

_DATA_URI_BYTES = 1024
_URI_END = b";base64,"
_WHITESPACE = b" \t\r\n"
_STEP_BYTES = 64 * 1024
_USELESS_BYTES = 64 * 1024
"""A text that has no character of base64 for longer is refused."""

Pieces = AsyncGenerator[bytes, None]


@dataclass(slots=True)
class Wrapped:
    """Audio as a stream.

    Attributes:
        content_type: The declared type; "": none.
        size_bytes: The size of the audio, if it is known before reading.
        file_name: Name of the file in a multipart body; "": none.
        documents: The JSON parts of a multipart body before the file.
        late_documents: Those after it, as far as the body was read.
    """

    content_type: str
    size_bytes: int | None
    pieces: Pieces
    file_name: str = ""
    documents: Sequence[bytes] = ()
    late_documents: Sequence[bytearray] = ()


async def unwrapped(
    content_type: str,
    transfer_encoding: str,
    size_bytes: int | None,
    pieces: Pieces,
    limit_bytes: int,
) -> Wrapped:
    """Return the audio in a body, reading no more than is needed to know its type.

    Args:
        limit_bytes: Maximum size of a base64 text.

    Raises:
        ValidationError: the base64 text or multipart body cannot be decoded.
        EmptyContentError: a multipart body has no file.
        IncompleteUploadError: the body ended early.
        TooLargeError: the base64 text, or what surrounds a file, is too large.
    """
    if essence(content_type).startswith("multipart/"):
        part = await MultipartFile.open(content_type, pieces)
        found = await _decoded_file(
            part.content_type, part.transfer_encoding, None, part.pieces(), limit_bytes
        )
        return replace(
            found,
            file_name=part.file_name,
            documents=[bytes(each) for each in part.documents],
            late_documents=part.late_documents,
        )
    return await _decoded_file(content_type, transfer_encoding, size_bytes, pieces, limit_bytes)


async def _decoded_file(
    content_type: str,
    transfer_encoding: str,
    size_bytes: int | None,
    pieces: Pieces,
    limit_bytes: int,
) -> Wrapped:
    kind = essence(content_type)
    if kind in BASE64_TYPES:
        return await _opened_base64(pieces, "", limit_bytes)
    if transfer_encoding.strip().lower() == "base64":
        return await _opened_base64(pieces, content_type, limit_bytes)
    return Wrapped("" if kind == FORM else content_type, size_bytes, pieces)


async def _opened_base64(pieces: Pieces, content_type: str, limit_bytes: int) -> Wrapped:
    """Read the text before the payload, `data:<type>;base64,`; the type may contain commas."""
    text = _characters(pieces, limit_bytes)
    head = b""
    async for some in text:
        head += some
        if _head_is_complete(head):
            break
    if head[:5].lower() == b"data:":
        end = head.lower().find(_URI_END)
        if end < 0:
            raise _undecodable()
        content_type = content_type or head[5:end].decode("ascii", "replace")
        head = head[end + len(_URI_END) :]
    return Wrapped(content_type, None, _payload(head, text))


def _head_is_complete(head: bytes) -> bool:
    if len(head) < 5:
        return False
    is_uri = head[:5].lower() == b"data:"
    return not is_uri or _URI_END in head.lower() or len(head) > _DATA_URI_BYTES


async def _characters(pieces: Pieces, limit_bytes: int) -> Pieces:
    """Yield the characters of a base64 text, at least one at a time.

    Raises:
        ValidationError: the text ends in an escape, or has none of them for too long.
        TooLargeError: the text is too large.
    """
    text = _Text()
    received = useless = 0
    async for piece in pieces:
        received += len(piece)
        if received > limit_bytes:
            raise TooLargeError(limit_bytes)
        for start in range(0, len(piece), _STEP_BYTES):
            step = piece[start : start + _STEP_BYTES]
            if characters := text.characters(step):
                useless = 0
                yield characters
                continue
            useless += len(step)
            if useless > _USELESS_BYTES:
                raise _undecodable()
    text.finish()


class _Text:
    """Removes white space and, if the text is a JSON string, its quotes and escapes."""

    def __init__(self) -> None:
        self._has_begun = False
        self._is_quoted = False
        self._escape = b""

    def characters(self, piece: bytes) -> bytes:
        """Return what is left of a piece."""
        if not self._has_begun:
            piece = piece.lstrip(_WHITESPACE)
            self._has_begun = bool(piece)
            self._is_quoted = piece.startswith(b'"')
        return self._unquoted(piece) if self._is_quoted else piece.translate(None, _WHITESPACE)

    def finish(self) -> None:
        """Check that no escape is open."""
        if self._escape:
            raise _undecodable()

    def _unquoted(self, text: bytes) -> bytes:
        text = self._escape + text
        self._escape = b"\\" if text.endswith(b"\\") else b""
        text = text.removesuffix(b"\\")
        for escape in (b"\\r", b"\\n", b"\\t"):
            text = text.replace(escape, b"")
        return text.translate(None, _WHITESPACE + b'\\"')


async def _payload(head: bytes, text: Pieces) -> Pieces:
    """Yield the decoded bytes; missing padding is added.

    The last four characters are held back until the end: only there may be padding.
    """
    pending = head
    async for some in text:
        pending += some
        size = (len(pending) - 1) // 4 * 4
        block, pending = pending[:size], pending[size:]
        if b"=" in block:
            raise _undecodable()
        if block:
            yield _decoded(block)
    pending = pending.rstrip(b"=")
    if pending:
        yield _decoded(pending + b"=" * (-len(pending) % 4))


def _decoded(block: bytes) -> bytes:
    try:
        return binascii.a2b_base64(block, strict_mode=True)
    except binascii.Error as error:
        raise _undecodable() from error


def _undecodable() -> ValidationError:
    text = "failed to decode base64 data"
    return ValidationError([Violation("file", "encoding", text, {})])
