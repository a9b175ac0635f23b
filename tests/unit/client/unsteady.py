"""A media service that misbehaves as a broken network or a lying server would."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from typing_extensions import override

from kazoo_media.v1 import account_service_pb2, account_service_pb2_grpc
from kazoo_media.v1.media_pb2 import Rendition
from kazoo_media.v1.media_service_pb2 import DownloadContentRequest, DownloadContentResponse
from kazoo_media.v1.media_service_pb2_grpc import (
    MediaServiceServicer,
    add_MediaServiceServicer_to_server,
)

AUDIO = b"0123456789" * 1000
DIGEST = hashlib.sha256(AUDIO).hexdigest()


class UnsteadyServer:
    """Sends what it was told, whatever it announces.

    Attributes:
        sent: The bytes that a download sends, of AUDIO that it announces.
        status: What it ends with then.
        unavailable_calls: So many GetAccount calls fail before one succeeds.
        account_calls: How many of them there were.
    """

    def __init__(self, address: str) -> None:
        self.sent = AUDIO
        self.status = grpc.StatusCode.OK
        self.unavailable_calls = 0
        self.account_calls = 0
        self._server = grpc.aio.server()
        add_MediaServiceServicer_to_server(_Media(self), self._server)  # type: ignore[abstract]
        accounts = _Accounts(self)  # type: ignore[abstract]
        account_service_pb2_grpc.add_AccountServiceServicer_to_server(accounts, self._server)
        self._server.add_insecure_port(address)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


class _Media(MediaServiceServicer):
    def __init__(self, plan: UnsteadyServer) -> None:
        self._plan = plan

    @override
    async def DownloadContent(
        self, request: DownloadContentRequest, context: Any
    ) -> AsyncIterator[DownloadContentResponse]:
        yield DownloadContentResponse(
            header=DownloadContentResponse.Header(
                rendition=Rendition(size_bytes=len(AUDIO), sha256=DIGEST), length_bytes=len(AUDIO)
            )
        )
        yield DownloadContentResponse(data=self._plan.sent)
        if self._plan.status is not grpc.StatusCode.OK:
            await context.abort(self._plan.status, "the store went away")


class _Accounts(account_service_pb2_grpc.AccountServiceServicer):
    def __init__(self, plan: UnsteadyServer) -> None:
        self._plan = plan

    @override
    async def GetAccount(
        self, request: account_service_pb2.GetAccountRequest, context: Any
    ) -> account_service_pb2.GetAccountResponse:
        self._plan.account_calls += 1
        if self._plan.account_calls <= self._plan.unavailable_calls:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return account_service_pb2.GetAccountResponse()

    @override
    async def CreateAccount(
        self, request: account_service_pb2.CreateAccountRequest, context: Any
    ) -> account_service_pb2.CreateAccountResponse:
        self._plan.account_calls += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")
        raise AssertionError("abort has raised")
