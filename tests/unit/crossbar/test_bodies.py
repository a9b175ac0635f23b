"""Bodies are complete, or they are errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from kazoo_media.crossbar import bodies
from kazoo_media.crossbar.bodies import Body, drop_rest, read_envelope
from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.requests import Request
from kazoo_media.crossbar.v2.crossbar_service_pb2 import UploadRawRequest
from kazoo_media.errors import IncompleteUploadError, MediaError, TooLargeError
from kazoo_media.transport.serializers import MALFORMED
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


async def test_the_rest_of_a_body_is_dropped_up_to_a_size_and_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0

    async def endless() -> AsyncIterator[Any]:
        nonlocal read
        message = UploadRawRequest(body=HttpBody(data=bytes(1 << 20)))
        while True:
            read += 1
            yield message

    await drop_rest(endless())
    assert read == 65

    async def stalled() -> AsyncIterator[Any]:
        yield UploadRawRequest()
        await asyncio.Event().wait()

    monkeypatch.setattr(bodies, "_DROPPED_S", 0.0)
    await drop_rest(stalled())


async def test_an_error_in_the_rest_of_a_body_is_dropped_too() -> None:
    async def broken() -> AsyncIterator[Any]:
        yield MALFORMED
        raise IncompleteUploadError("cut")

    await drop_rest(broken())
