"""Audio in request bodies: base64, multipart or plain, decoded as a stream."""

from __future__ import annotations

import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kazoo_media.audio.formats import essence
from kazoo_media.crossbar.content_types import BASE64_TYPES, FORM
from kazoo_media.crossbar.multipart import MultipartFile
from kazoo_media.errors import ValidationError, Violation

_DATA_URI_BYTES = 1024
_WHITESPACE = b" \t\r\n"

Pieces = AsyncGenerator[bytes, None]


@dataclass(slots=True)
class Wrapped:
    """Audio as a stream.

    Attributes:
        content_type: The declared type; "": none.
        size_bytes: The size of the audio, if it is known before reading.
    """

    content_type: str
    size_bytes: int | None
    pieces: Pieces


async def unwrapped(
    content_type: str, transfer_encoding: str, size_bytes: int | None, pieces: Pieces
) -> Wrapped:
    """Return the audio in a body, reading no more than is needed to know its type.

    Raises:
        ValidationError: the base64 text or multipart body cannot be decoded.
        EmptyContentError: a multipart body has no file.
        IncompleteUploadError: the body ended early.
    """
    kind = essence(content_type)
    if kind.startswith("multipart/"):
        part = await MultipartFile.open(content_type, pieces)
        return await unwrapped(part.content_type, part.transfer_encoding, None, part.pieces())
    if kind in BASE64_TYPES:
        return await _opened_base64(pieces, "")
    if transfer_encoding.strip().lower() == "base64":
        return await _opened_base64(pieces, content_type)
    return Wrapped("" if kind == FORM else content_type, size_bytes, pieces)


async def _opened_base64(pieces: Pieces, content_type: str) -> Wrapped:
    """Read the text before the payload: a quote (JSON) and `data:<type>;base64,`."""
    head = b""
    async for piece in pieces:
        head += piece
        if _head_is_complete(head.lstrip(_WHITESPACE + b'"')):
            break
    head = head.lstrip()
    quoted = head.startswith(b'"')
    head = head[1:].lstrip() if quoted else head
    if head[:5].lower() == b"data:":
        uri, comma, head = head.partition(b",")
        uri = uri.replace(b"\\", b"").lower()  # PHP writes a slash in JSON as `\/`
        if not comma or not uri.endswith(b";base64"):
            raise _undecodable()
        content_type = content_type or essence(uri[5:].decode("ascii", "replace"))
    return Wrapped(content_type, None, _payload(head, pieces, quoted=quoted))


def _head_is_complete(head: bytes) -> bool:
    if len(head) < 5:
        return False
    return head[:5].lower() != b"data:" or b"," in head or len(head) > _DATA_URI_BYTES


async def _payload(head: bytes, pieces: Pieces, *, quoted: bool) -> Pieces:
    decoder = _Base64(quoted=quoted)
    if decoded := decoder.decode(head):
        yield decoded
    async for piece in pieces:
        if decoded := decoder.decode(piece):
            yield decoded
    if decoded := decoder.finish():
        yield decoded


class _Base64:
    """Decodes base64 piece by piece.

    The last four characters are held back until the end: only there may be padding.
    """

    def __init__(self, *, quoted: bool) -> None:
        self._quoted = quoted
        self._pending = b""
        self._escape = b""

    def decode(self, text: bytes) -> bytes:
        """Return the bytes that can be decoded so far."""
        pending = self._pending + (
            self._unquoted(text) if self._quoted else text.translate(None, _WHITESPACE)
        )
        size = max(0, len(pending) - 1) // 4 * 4
        block, self._pending = pending[:size], pending[size:]
        if b"=" in block:
            raise _undecodable()
        return _decoded(block)

    def finish(self) -> bytes:
        """Return the remaining bytes; missing padding is added."""
        if self._escape:
            raise _undecodable()
        block = self._pending.rstrip(b"=")
        return _decoded(block + b"=" * (-len(block) % 4))

    def _unquoted(self, text: bytes) -> bytes:
        text = self._escape + text
        self._escape = b"\\" if text.endswith(b"\\") else b""
        text = text.removesuffix(b"\\")
        for escape in (b"\\r", b"\\n", b"\\t"):
            text = text.replace(escape, b"")
        return text.translate(None, _WHITESPACE + b'\\"')


def _decoded(block: bytes) -> bytes:
    try:
        return binascii.a2b_base64(block, strict_mode=True) if block else b""
    except binascii.Error as error:
        raise _undecodable() from error


def _undecodable() -> ValidationError:
    text = "failed to decode base64 data"
    return ValidationError([Violation("file", "encoding", text, {})])
