"""A typed client in the test's own loop, for streams that a test cuts, cancels or holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kazoo_media.v1.media_pb2 import (
    Media,
)
from kazoo_media.v1.media_service_pb2 import (
    CreateMediaRequest,
    DownloadContentRequest,
    DownloadContentResponse,
    GetMediaRequest,
    UploadContentRequest,
)
from kazoo_media.v1.media_service_pb2_grpc import MediaServiceStub
from tests.contract.upload_promises import cut
from tests.rpc.service import Live, upload_messages
from tests.support.measured_facts import unmeasured
from tests.support.whole_uploads import upload_whole


class Client:
    """A tenant's typed client with one media."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.tenant = live.tenant
        self.stub: Any = MediaServiceStub(live.channel)

    async def create(self, media_id: str = "m") -> Media:
        media = Media(id=media_id, name="File")
        request = CreateMediaRequest(account_id=self.tenant.account_id, media=media)
        made: Media = (await self.stub.CreateMedia(request, metadata=self.tenant.metadata)).media
        return made

    async def get(self) -> Media:
        """Return the document without what is measured after an upload, at the latest here."""
        return unmeasured(await self.get_measured())

    async def get_measured(self) -> Media:
        request = GetMediaRequest(account_id=self.tenant.account_id, media_id="m")
        found: Media = (await self.stub.GetMedia(request, metadata=self.tenant.metadata)).media
        return found

    async def send(self, messages: Sequence[UploadContentRequest]) -> Media:
        return (await upload_whole(self.live.address, messages, self.tenant.metadata)).media

    async def upload(self, audio: bytes, **fields: Any) -> Media:
        return await self.send(self.messages(audio, **fields))

    def messages(self, audio: bytes, **fields: Any) -> list[UploadContentRequest]:
        return upload_messages(self.tenant, "m", cut(audio), **fields)

    async def begin(self, audio: bytes) -> Any:
        """Return a running upload of which the service has all but the finish."""
        call = self.stub.UploadContent(metadata=self.tenant.metadata)
        for message in self.messages(audio)[:-1]:
            await call.write(message)
        await until(self.live.service.pending_uploads)
        return call

    def download(self, **fields: Any) -> Any:
        fields = {"account_id": self.tenant.account_id, "media_id": "m"} | fields
        request = DownloadContentRequest(**fields)
        return self.stub.DownloadContent(request, metadata=self.tenant.metadata)

    async def fetch(self, **fields: Any) -> tuple[DownloadContentResponse.Header, bytes]:
        header, *rest = [message async for message in self.download(**fields)]
        assert header.WhichOneof("part") == "header"
        assert all(message.WhichOneof("part") == "data" for message in rest)
        return header.header, b"".join(message.data for message in rest)


async def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds; the test's time limit ends a wait for nothing."""
    while not await condition():  # noqa: ASYNC110 - it is the service's, nothing signals it
        await asyncio.sleep(0.005)
