"""The upload promises of the built product: over REST and over native gRPC, through Envoy; on the
engine behind the bundled gateway, and on the standard one behind an operator's Envoy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
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
from tests.e2e import clients
from tests.e2e.clients import pending_blobs
from tests.rpc.service import Tenant, refusal_of, upload_messages
from tests.support.product import Product
from tests.support.standalone import BehindEnvoy
from tests.support.whole_uploads import upload_whole

pytestmark = pytest.mark.e2e

_REASONS = {"required": "EMPTY_CONTENT", "invalid": "NOT_AUDIO", "maxSize": "TOO_LARGE"}


@pytest.fixture(scope="module", params=[Product, BehindEnvoy], ids=["http1", "aio"])
def admin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[clients.Tenant]:
    with (
        request.param(tmp_path_factory.mktemp("promises")) as product,
        clients.Tenant.log_in(product) as tenant,
    ):
        tenant.set_default("crossbar", "max_upload_size", str(LIMIT_BYTES))
        yield tenant


class _RestDriver(UploadDriver):
    """Uploads with an HTTP library; vanishes from a plain connection."""

    has_finish = False
    chunked: bool

    def __init__(self, tenant: clients.Tenant, http: httpx.AsyncClient) -> None:
        self._tenant = tenant
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, tenant: clients.Tenant) -> AsyncIterator[UploadDriver]:
        """Give a driver whose connections are closed afterwards."""
        headers = {"x-auth-token": tenant.token}
        async with httpx.AsyncClient(
            base_url=tenant.http.base_url, headers=headers, timeout=30
        ) as http:
            yield cls(tenant, http)

    @override
    async def create(self) -> str:
        answer = await self._http.put(self._tenant.path(), json={"data": {"name": "promised"}})
        media_id: str = answer.json()["data"]["id"]
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
        headers = {"content-type": "audio/wav", **self._framing(chunks)}
        path = self._tenant.path(media_id, raw=True)
        answer = await self._http.post(path, content=_each(chunks), headers=headers)
        if answer.status_code != 200:
            raise UploadRefusedError(_reason(answer))

    @override
    async def upload_and_vanish(self, media_id: str, chunks: Sequence[bytes]) -> None:
        # One byte more than is ever sent: a request that is complete can not be aborted.
        size_bytes = None if self.chunked else sum(map(len, chunks)) + 1
        upload = await asyncio.to_thread(clients.RestUpload, self._tenant, media_id, size_bytes)
        for chunk in chunks:
            await asyncio.to_thread(upload.send, chunk)
        await _vanish(self._tenant.product, upload.cut)

    @override
    async def download(self, media_id: str) -> bytes | None:
        answer = await self._http.get(self._tenant.path(media_id, raw=True))
        assert answer.status_code in {200, 404}, answer.text
        return answer.content if answer.status_code == 200 else None

    @override
    async def document(self, media_id: str) -> Mapping[str, Any]:
        envelope = (await self._http.get(self._tenant.path(media_id))).json()
        return {**envelope["data"], "revision": envelope["revision"]}

    def _framing(self, chunks: Sequence[bytes]) -> dict[str, str]:
        return {} if self.chunked else {"content-length": str(sum(map(len, chunks)))}


class _WithLength(_RestDriver):
    chunked = False


class _Chunked(_RestDriver):
    chunked = True


class _GrpcDriver(UploadDriver):
    """Uploads with the generated client, each with its finish."""

    has_finish = True

    def __init__(
        self, product: Product, tenant: Tenant, target: str, channel: grpc.aio.Channel
    ) -> None:
        self._product = product
        self._target = target
        self._tenant = tenant
        self._metadata = tenant.metadata
        self._stub: Any = MediaServiceStub(channel)

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
        await _vanish(self._product, call.cancel)

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


class TestPromisesOverRestWithALength(UploadPromises):
    @pytest.fixture
    async def driver(self, admin: clients.Tenant) -> AsyncIterator[UploadDriver]:
        async with _WithLength.open(admin) as driver:
            yield driver


class TestPromisesOverRestChunked(UploadPromises):
    @pytest.fixture
    async def driver(self, admin: clients.Tenant) -> AsyncIterator[UploadDriver]:
        async with _Chunked.open(admin) as driver:
            yield driver


class TestPromisesOverNativeGrpc(UploadPromises):
    @pytest.fixture
    async def driver(self, admin: clients.Tenant) -> AsyncIterator[UploadDriver]:
        tenant = Tenant(admin.account_id, "", admin.metadata)
        target = await asyncio.to_thread(lambda: admin.product.grpc_target)
        async with grpc.aio.insecure_channel(target) as channel:
            yield _GrpcDriver(admin.product, tenant, target, channel)


async def _each(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _vanish(product: Product, go_away: Callable[[], object]) -> None:
    """Go away when the upload runs; return when the service is done with it."""
    while not pending_blobs(product):  # noqa: ASYNC110 - nothing signals it
        await asyncio.sleep(0.005)
    go_away()
    while pending_blobs(product):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def _reason(answer: httpx.Response) -> str:
    envelope = answer.json()
    if answer.status_code == 404:
        return "MEDIA_NOT_FOUND"
    [violation] = envelope["data"]["file"]
    return _REASONS[violation]
