"""A stream that ends while the recorder sends: its status comes after responses nobody has read."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from kazoo_media.client import true_status
from kazoo_media.client.appending import _AppendCall
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, AppendUploadResponse
from kazoo_media.v1.upload_service_pb2_grpc import (
    UploadServiceServicer,
    UploadServiceStub,
    add_UploadServiceServicer_to_server,
)

_RESPONSES = 5


class _Ending(UploadServiceServicer):
    """Answers several times and ends the stream, in one go, once it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def AppendUpload(  # type: ignore[override]  # noqa: N802 - grpc's name
        self, requests: object, context: Any
    ) -> None:
        await context.read()
        await context.write(AppendUploadResponse())
        await self.may_end.wait()
        for number in range(_RESPONSES):
            await context.write(AppendUploadResponse(persisted_size=number))
        await context.abort(grpc.StatusCode.ABORTED, "somebody else has taken over")


async def test_the_status_follows_responses_that_were_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(true_status, "_LATEST_S", 3.0)
    server, service = grpc.aio.server(), _Ending()  # type: ignore[abstract]
    add_UploadServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = UploadServiceStub(channel)
        raw, has_ended = stub.AppendUpload(), asyncio.Event()
        raw.add_done_callback(lambda _: has_ended.set())
        call = _AppendCall(raw)
        await call.begin(AppendUploadRequest())
        await call.first()
        service.may_end.set()
        sending = asyncio.ensure_future(_send(call))
        await has_ended.wait()
        ends = []
        for ending in (_read(call), sending):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ending
            ends.append(caught.value.code())
    await server.stop(None)
    assert ends == [grpc.StatusCode.ABORTED] * 2


async def _read(call: _AppendCall) -> None:
    while await call.read() is not None:
        pass


async def _send(call: _AppendCall) -> None:
    while True:
        await call.write(AppendUploadRequest(data=bytes(1000)))
