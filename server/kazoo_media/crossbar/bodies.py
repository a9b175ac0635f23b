"""Request bodies: their pieces, their completeness, and the JSON envelope in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import parse_qsl

from kazoo_media.audio.formats import essence
from kazoo_media.crossbar.content_types import FORM, JSON_TYPES
from kazoo_media.crossbar.json_text import invalid_json, parsed
from kazoo_media.crossbar.limits import (
    FORM_BYTES,
    PARAMETER_CHARACTERS,
    check_length,
    check_parameters,
)
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.large import computed
from kazoo_media.documents.violations import required, wrong_type
from kazoo_media.errors import (
    IncompleteUploadError,
    MediaError,
    TooLargeError,
    ValidationError,
)
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.refused import RefusedError
from kazoo_media.transport.serializers import Malformed

_JSON_LIMIT_BYTES = 5 << 20
_STRANGER_LIMIT_BYTES = 64 << 10
"""For log-ins, and for requests without a valid token in their head."""


_DROPPED_BYTES = 64 << 20
_DROPPED_S = 30.0


class Piece(Protocol):
    """A request message with a body."""

    @property
    def body(self) -> Any:  # noqa: ANN401 - google.api.HttpBody has no stubs
        """Return the HttpBody."""


class Body:
    """The body of one request, which can be read once."""

    def __init__(
        self, first: bytes, messages: AsyncIterator[Piece], size_bytes: int | None
    ) -> None:
        self._first = first
        self._messages = messages
        self._size_bytes = size_bytes

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces of at most 1 MiB, up to the end that the client has sent.

        If the client goes away before the end, the engine cancels the call.

        Raises:
            IncompleteUploadError: the body is shorter than its Content-Length.
        """
        received = len(self._first)
        if self._first:
            yield self._first
        async for message in self._messages:
            data: bytes = message.body.data
            if data:
                received += len(data)
                yield data
        if self._size_bytes is not None and received != self._size_bytes:
            raise IncompleteUploadError(
                f"{received} of {self._size_bytes} bytes arrived: send the request again"
            )


async def drop_rest(messages: AsyncIterator[Piece]) -> None:
    """Read and drop the rest of a body whose request is answered, for 30 s or up to 64 MiB.

    Many clients send all of their body before they read. If the connection closed meanwhile, they
    would see a reset instead of the answer.

    Source: RFC 9112, 9.6.
    """
    dropped = 0
    with suppress(TimeoutError, MediaError, RefusedError):
        async with asyncio.timeout(_DROPPED_S):
            async for message in messages:
                if not isinstance(message, Malformed):
                    dropped += len(message.body.data)
                if dropped > _DROPPED_BYTES:
                    return


async def read_envelope(
    request: Request, body: Body, budget: Budget, *, is_known: bool
) -> MediaError | None:
    """Set the request's envelope; return its error, which is reported after authentication.

    A body of a foreign type is read only if it starts like JSON.

    Args:
        budget: Counts the body while it is incomplete.
        is_known: Whether the caller is authenticated.

    Raises:
        TooLargeError: the body has more than 5 MiB, or that of a stranger more than 64 KiB.
        OverloadedError: the budget is spent.
        IncompleteUploadError: the body is shorter than its Content-Length.
    """
    limit_bytes = _JSON_LIMIT_BYTES if is_known else _STRANGER_LIMIT_BYTES
    kind = essence(request.content_type)
    has_envelope = kind in {"", FORM, *JSON_TYPES}
    if has_envelope and (request.size_bytes or 0) > limit_bytes:
        raise TooLargeError(limit_bytes)
    pieces: list[bytes] = []
    total = 0
    with budget.lease(is_known=is_known) as take:
        async for piece in body.pieces():
            pieces.append(piece)
            total += len(piece)
            if total != request.size_bytes:  # more is awaited
                take(len(piece))
            if total > limit_bytes:
                raise TooLargeError(limit_bytes)
            if not has_envelope and piece.strip():
                if not b"".join(pieces).lstrip().startswith(b"{"):
                    request.foreign = True
                    return None
                has_envelope = True
    text = b"".join(pieces)
    try:
        request.envelope = _checked(await computed(lambda: _fields(text, kind), text), request)
    except MediaError as error:
        return error
    return None


def _fields(text: bytes, kind: str) -> object:
    start = text.lstrip()[:1]
    if not start:
        return {"data": {}}
    if kind == FORM and start != b"{":
        return _form(text)
    return parsed(text)


def _form(text: bytes) -> Mapping[str, str]:
    if len(text) > FORM_BYTES:
        raise TooLargeError(FORM_BYTES)
    fields = text.decode(errors="replace")
    check_parameters("form", fields)
    return dict(parse_qsl(fields, keep_blank_values=True))


def _checked(fields: object, request: Request) -> Mapping[str, Any]:
    """Return the envelope with lower-case keys.

    The request keeps the other keys even if `data` is invalid: one of them may be the token.
    """
    if not isinstance(fields, dict):
        raise invalid_json("All JSON must be valid")
    envelope = {
        key.lower().replace("-", "_"): value for key, value in fields.items() if value is not None
    }
    parameters = {key: value for key, value in envelope.items() if key != "data"}
    texts = {key: value for key, value in parameters.items() if isinstance(value, str)}
    long = [key for key, text in texts.items() if len(text) > PARAMETER_CHARACTERS]
    request.envelope = {key: value for key, value in parameters.items() if key not in long}
    for key in long:
        check_length(key, texts[key])
    if "data" not in envelope:
        raise ValidationError([replace(required("data"), extra={"value": envelope})])
    data = envelope["data"]
    if not isinstance(data, dict):
        wanted = "object" if isinstance(data, list) else "object, array"
        raise ValidationError([wrong_type("data", wanted, data)])
    return envelope
