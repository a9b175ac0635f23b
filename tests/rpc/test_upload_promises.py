"""The upload promises over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import pytest
from typing_extensions import override

from kazoo_media.v1.media_pb2 import RENDITION_KIND_ORIGINAL, Media
from kazoo_media.v1.media_service_pb2 import (
    CreateMediaRequest,
    DownloadContentRequest,
    GetMediaRequest,
)
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.contract.upload_promises import (
    LIMIT_BYTES,
    UploadDriver,
    UploadPromises,
    UploadRefusedError,
)
from tests.rpc.service import Live, refusal_of, upload_messages
from tests.support.whole_uploads import upload_whole


class GrpcDriver(UploadDriver):
    """Uploads with the typed client, each with its finish."""

    has_finish = True

    def __init__(self, live: Live) -> None:
        self._service = live.service
        self._target = live.address
        self._tenant = live.tenant
        self._metadata = live.tenant.metadata
        self._stub: Any = MediaServiceStub(live.channel)

    @override
    async def create(self) -> str:
        request = CreateMediaRequest(
            account_id=self._tenant.account_id, media=Media(name="promised")
        )
        media_id: str = (await self._stub.CreateMedia(request, metadata=self._metadata)).media.id
        return media_id

    @override
    async def upload(
        self,
        media_id: str,
        chunks: Sequence[bytes],
        *,
        size_bytes: int | None = None,
        sha256: str | None = None,
    ) -> None:
        messages = upload_messages(
            self._tenant, media_id, chunks, size_bytes=size_bytes, sha256=sha256
        )
        try:
            await upload_whole(self._target, messages, self._metadata)
        except grpc.RpcError as error:
            raise UploadRefusedError(refusal_of(error).info.reason) from error

    @override
    async def upload_and_vanish(self, media_id: str, chunks: Sequence[bytes]) -> None:
        call = self._stub.UploadContent(metadata=self._metadata)
        for message in upload_messages(self._tenant, media_id, chunks)[:-1]:
            await call.write(message)
        while not await self._service.pending_uploads():  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.005)
        call.cancel()
        while await self._service.pending_uploads():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    @override
    async def download(self, media_id: str) -> bytes | None:
        request = DownloadContentRequest(
            account_id=self._tenant.account_id,
            media_id=media_id,
            rendition=RENDITION_KIND_ORIGINAL,
        )
        call = self._stub.DownloadContent(request, metadata=self._metadata)
        try:
            return b"".join([message.data async for message in call])
        except grpc.RpcError as error:
            if refusal_of(error).info.reason == "CONTENT_NOT_FOUND":
                return None
            raise

    @override
    async def document(self, media_id: str) -> Mapping[str, Any]:
        request = GetMediaRequest(account_id=self._tenant.account_id, media_id=media_id)
        media = (await self._stub.GetMedia(request, metadata=self._metadata)).media
        return {field.name: value for field, value in media.ListFields()}


class TestPromisesOverGrpc(UploadPromises):
    @pytest.fixture
    async def driver(self, live: Live) -> UploadDriver:
        await live.service.set_default("crossbar", "max_upload_size", LIMIT_BYTES)
        return GrpcDriver(live)
