"""Bodies are complete, or they are errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from kazoo_media.crossbar.bodies import Body, read_envelope
from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.requests import Request
from kazoo_media.errors import IncompleteUploadError, MediaError, TooLargeError
from tests.support.engines import ample_budget


@dataclass
class _Messages:
    """Request messages; `taken` counts those that were read."""

    pieces: list[bytes]
    taken: list[int] = field(default_factory=list)

    async def stream(self) -> AsyncGenerator[Any, None]:
        for number, piece in enumerate(self.pieces):
            self.taken.append(number)
            yield SimpleNamespace(body=SimpleNamespace(data=piece))


def _request(content_type: str = "", size: int | None = None) -> Request:
    headers = {"x-rest-method": "PUT", "x-rest-content-type": content_type}
    if size is not None:
        headers["x-rest-content-length"] = str(size)
    return Request.of(Target(Resource.MEDIA), headers, "id")


async def test_a_body_that_is_shorter_than_its_length_is_incomplete() -> None:
    body = Body(b"ab", _Messages([b"cd"]).stream(), 5)
    with pytest.raises(IncompleteUploadError):
        _ = [piece async for piece in body.pieces()]


@pytest.mark.parametrize("size", [4, None])
async def test_a_body_ends_where_its_client_ended_it(size: int | None) -> None:
    body = Body(b"ab", _Messages([b"", b"cd"]).stream(), size)
    assert [piece async for piece in body.pieces()] == [b"ab", b"cd"]


async def _read(
    request: Request, messages: _Messages, size: int | None = None
) -> MediaError | None:
    body = Body(b"", messages.stream(), size)
    return await read_envelope(request, body, ample_budget(), is_known=True)


async def test_a_foreign_body_is_not_read() -> None:
    messages = _Messages([b"\r\n", b"RIFF", b"more", b"more"])
    request = _request("audio/mp3")
    assert await _read(request, messages) is None
    assert request.foreign
    assert messages.taken == [0, 1]


async def test_json_that_is_declared_too_large_is_not_read() -> None:
    messages = _Messages([b"{"])
    with pytest.raises(TooLargeError):
        await _read(_request("application/json", 6_000_000), messages, 6_000_000)
    assert messages.taken == []
