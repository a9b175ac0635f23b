"""UploadContent and DownloadContent: streams, ranges, and ends that are none."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from kazoo_media.errors import StorageFullError, StoreUnavailableError
from kazoo_media.v1.media_pb2 import (
    RENDITION_KIND_NORMALIZED,
    RENDITION_KIND_ORIGINAL,
    RENDITION_KIND_UNSPECIFIED,
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
from tests.contract.upload_promises import FIRST, PNG, SECOND, cut, wav
from tests.rpc.service import Live, refused, upload_messages

_Finish = UploadContentRequest.Finish
_Header = UploadContentRequest.Header


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
        request = GetMediaRequest(account_id=self.tenant.account_id, media_id="m")
        found: Media = (await self.stub.GetMedia(request, metadata=self.tenant.metadata)).media
        return found

    async def send(self, messages: Sequence[UploadContentRequest]) -> Media:
        call = self.stub.UploadContent(iter(messages), metadata=self.tenant.metadata)
        return (await call).media  # type: ignore[no-any-return]

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


@pytest.fixture
async def client(live: Live) -> Client:
    client = Client(live)
    await client.create()
    return client


async def test_an_upload_answers_with_the_new_rendition(client: Client) -> None:
    media = await client.upload(FIRST)
    assert media == await client.get()
    (rendition,) = media.renditions
    assert rendition.kind == RENDITION_KIND_ORIGINAL
    assert rendition.size_bytes == media.content_length == len(FIRST)
    assert rendition.sha256 == hashlib.sha256(FIRST).hexdigest()
    assert rendition.content_type == media.content_type == "audio/wav"
    assert rendition.sample_rate_hertz == 8000
    assert rendition.channel_count == 1
    assert rendition.duration_ms == pytest.approx((len(FIRST) - 44) / 16, abs=1)


async def test_a_normalized_upload_has_both_renditions(client: Client) -> None:
    await client.live.service.set_default("crossbar.media", "normalize_media", value=True)
    media = await client.upload(FIRST)
    assert [each.kind for each in media.renditions] == [
        RENDITION_KIND_ORIGINAL,
        RENDITION_KIND_NORMALIZED,
    ]
    served, data = await client.fetch()
    assert served.rendition == media.renditions[1]
    assert served.rendition.content_type == media.content_type == "audio/mpeg"
    assert hashlib.sha256(data).hexdigest() == served.rendition.sha256
    assert (await client.fetch(rendition=RENDITION_KIND_ORIGINAL))[1] == FIRST
    assert (await client.fetch(rendition=RENDITION_KIND_NORMALIZED))[1] == data


async def test_an_upload_keeps_what_the_document_says(client: Client) -> None:
    before = await client.get()
    after = await client.upload(FIRST)
    assert (after.name, after.language, after.tts) == (before.name, before.language, before.tts)
    assert after.create_time == before.create_time
    assert after.revision.startswith("2-")


@pytest.mark.parametrize("kind", [RENDITION_KIND_UNSPECIFIED, RENDITION_KIND_ORIGINAL])
async def test_a_media_without_audio_has_no_content(client: Client, kind: Any) -> None:
    with refused("NOT_FOUND", "CONTENT_NOT_FOUND") as refusal:
        await client.fetch(rendition=kind)
    assert refusal.info.metadata["media_id"] == "m"


async def test_a_rendition_that_does_not_exist_is_refused(client: Client) -> None:
    await client.upload(FIRST)
    with refused("FAILED_PRECONDITION", "NOT_ACCEPTABLE") as refusal:
        await client.fetch(rendition=RENDITION_KIND_NORMALIZED)
    assert refusal.info.metadata["available"] == "original"


@pytest.mark.parametrize(
    ("offset", "limit", "first", "last"),
    [
        (0, 0, 0, 100_000),
        (0, 1, 0, 1),
        (99_999, 0, 99_999, 100_000),
        (10, 20, 10, 30),
        (99_990, 500, 99_990, 100_000),
        (-1, 0, 99_999, 100_000),
        (-44, 0, 99_956, 100_000),
        (-200_000, 0, 0, 100_000),
    ],
)
async def test_a_range_is_exactly_those_bytes(
    client: Client, offset: int, limit: int, first: int, last: int
) -> None:
    await client.upload(FIRST)
    header, data = await client.fetch(offset_bytes=offset, limit_bytes=limit)
    assert data == FIRST[first:last]
    assert (header.offset_bytes, header.length_bytes) == (first, last - first)
    assert header.rendition.size_bytes == len(FIRST)


@pytest.mark.parametrize("offset", [100_000, 2**62])
async def test_a_range_behind_the_end_is_refused(client: Client, offset: int) -> None:
    await client.upload(FIRST)
    with refused("OUT_OF_RANGE", "RANGE_NOT_SATISFIABLE") as refusal:
        await client.fetch(offset_bytes=offset)
    assert refusal.info.metadata["size_bytes"] == "100000"


@pytest.mark.parametrize("fields", [{"limit_bytes": -1}, {"offset_bytes": -5, "limit_bytes": 3}])
async def test_a_range_that_makes_no_sense_is_refused(client: Client, fields: Any) -> None:
    await client.upload(FIRST)
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await client.fetch(**fields)
    assert refusal.fields == ["limit_bytes"]


async def test_an_unknown_rendition_kind_is_refused(client: Client) -> None:
    await client.upload(FIRST)
    with refused("INVALID_ARGUMENT", "VALIDATION"):
        await client.fetch(rendition=9)


async def test_messages_of_a_download_are_small_enough_for_every_client(client: Client) -> None:
    audio = wav(1_500_000)
    await client.upload(audio)
    sizes = [len(message.data) async for message in client.download()]
    assert sizes[0] == 0
    assert max(sizes) <= 512 * 1024
    assert sum(sizes) == len(audio)


async def test_a_download_that_fails_half_way_ends_with_an_error(client: Client) -> None:
    await client.upload(wav(1_500_000))
    client.live.service.blobs.readable_bytes = 600_000
    received = 0
    with refused("UNAVAILABLE", "STORE_UNAVAILABLE"):
        async for message in client.download():
            received += len(message.data)
    assert received == 600_000


async def test_replacing_the_audio_does_not_disturb_a_running_download(client: Client) -> None:
    audio = wav(3_000_000)
    await client.upload(audio)
    call = client.download()
    messages = [await call.read()]
    await client.upload(SECOND)
    while message := await call.read():
        messages.append(message)
    assert b"".join(message.data for message in messages) == audio
    assert (await client.fetch())[1] == SECOND


async def test_a_cancelled_download_releases_its_blob(client: Client) -> None:
    blobs = client.live.service.blobs
    await client.upload(wav(20_000_000))
    call = client.download()
    await call.read()
    assert blobs.open_readers == 1
    call.cancel()

    async def released() -> bool:
        return blobs.open_readers == 0

    await until(released)


async def test_an_upload_without_its_finish_changes_nothing(client: Client) -> None:
    before = await client.upload(FIRST)
    with refused("ABORTED", "INCOMPLETE_UPLOAD"):
        await client.send(client.messages(SECOND)[:-1])
    assert await client.get() == before
    assert (await client.fetch())[1] == FIRST


async def test_a_cancelled_upload_changes_nothing(client: Client) -> None:
    before = await client.upload(FIRST)
    call = await client.begin(SECOND)
    call.cancel()
    await until(no_uploads(client))
    assert await client.get() == before
    assert (await client.fetch())[1] == FIRST


async def test_an_upload_whose_channel_closes_changes_nothing(client: Client) -> None:
    before = await client.upload(FIRST)
    async with grpc.aio.insecure_channel(client.live.address) as channel:
        other = Client(Live(client.live.service, channel, client.tenant, client.live.address))
        await other.begin(SECOND)
    await until(no_uploads(client))
    assert await client.get() == before
    assert (await client.fetch())[1] == FIRST


def no_uploads(client: Client) -> Callable[[], Any]:
    async def none() -> bool:
        return await client.live.service.pending_uploads() == 0

    return none


def _broken(client: Client) -> dict[str, list[UploadContentRequest]]:
    header, *data, finish = client.messages(SECOND)
    return {
        "no message": [],
        "data first": [*data, finish],
        "finish first": [finish],
        "empty message first": [UploadContentRequest(), header, *data, finish],
        "second header": [header, *data, header, finish],
        "empty message": [header, *data, UploadContentRequest(), finish],
        "data after the finish": [header, *data, finish, data[0]],
        "second finish": [header, *data, finish, finish],
    }


@pytest.mark.parametrize(
    "case",
    [
        "no message",
        "data first",
        "finish first",
        "empty message first",
        "second header",
        "empty message",
        "data after the finish",
        "second finish",
    ],
)
async def test_messages_out_of_order_are_a_bad_request(client: Client, case: str) -> None:
    before = await client.upload(FIRST)
    with refused("INVALID_ARGUMENT", "BAD_REQUEST"):
        await client.send(_broken(client)[case])
    assert await client.get() == before


@pytest.mark.parametrize(
    ("audio", "fields", "code", "reason"),
    [
        (SECOND, {"sha256": "0" * 64}, "FAILED_PRECONDITION", "CONTENT_MISMATCH"),
        (SECOND, {"size_bytes": 7}, "FAILED_PRECONDITION", "CONTENT_MISMATCH"),
        (SECOND, {"expected_bytes": len(SECOND) + 1}, "ABORTED", "INCOMPLETE_UPLOAD"),
        (SECOND, {"expected_bytes": len(SECOND) - 1}, "ABORTED", "INCOMPLETE_UPLOAD"),
        (SECOND, {"expected_bytes": -1}, "INVALID_ARGUMENT", "VALIDATION"),
        (SECOND, {"content_type": "text/html"}, "INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE"),
        (PNG, {}, "INVALID_ARGUMENT", "NOT_AUDIO"),
        (b"", {}, "INVALID_ARGUMENT", "EMPTY_CONTENT"),
    ],
)
async def test_a_wrong_upload_is_refused_and_changes_nothing(
    client: Client, audio: bytes, fields: Any, code: str, reason: str
) -> None:
    before = await client.upload(FIRST)
    with refused(code, reason):
        await client.upload(audio, **fields)
    assert await client.get() == before
    assert (await client.fetch())[1] == FIRST
    assert await client.live.service.pending_uploads() == 0


async def test_the_declared_size_of_a_good_upload_is_accepted(client: Client) -> None:
    media = await client.upload(FIRST, expected_bytes=len(FIRST))
    assert media.content_length == len(FIRST)


async def test_too_large_a_declaration_is_refused_before_anything_is_read(client: Client) -> None:
    await client.live.service.set_default("crossbar", "max_upload_size", 1000)
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    await call.write(client.messages(FIRST, expected_bytes=1001)[0])
    with refused("INVALID_ARGUMENT", "TOO_LARGE") as refusal:
        await call
    assert refusal.info.metadata["limit_bytes"] == "1000"


async def test_an_upload_to_a_media_that_is_deleted_meanwhile_is_not_found(client: Client) -> None:
    call = await client.begin(FIRST)
    service = client.live.service
    admin = await service.admin()
    caller = await service.core.accounts.authenticate(admin.metadata[0][1])
    scope = await service.core.accounts.write_scope(caller, client.tenant.account_id)
    await service.core.library.delete(scope, "m", hard=True)
    await call.write(client.messages(FIRST)[-1])
    await call.done_writing()
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        await call
    assert await service.pending_uploads() == 0


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (StorageFullError(), "RESOURCE_EXHAUSTED", "STORAGE_FULL"),
        (StoreUnavailableError(), "UNAVAILABLE", "STORE_UNAVAILABLE"),
    ],
)
async def test_a_store_that_fails_keeps_the_previous_audio(
    client: Client, error: Exception, code: str, reason: str
) -> None:
    before = await client.upload(FIRST)
    client.live.service.blobs.write_error = error
    with refused(code, reason):
        await client.upload(SECOND)
    assert await client.get() == before


async def test_a_full_queue_of_conversions_refuses_and_says_when_to_come_back(
    client: Client,
) -> None:
    service = client.live.service
    await service.set_default("crossbar.media", "normalize_media", value=True)
    await service.set_default("media", "max_streaming_conversions", 0)
    await service.set_default("media", "max_queued_conversions", 0)
    with refused("RESOURCE_EXHAUSTED", "QUEUE_FULL") as refusal:
        await client.upload(FIRST)
    assert int(refusal.info.metadata["retry_after_s"]) > 0


async def test_an_early_refusal_reaches_a_client_that_is_still_sending(client: Client) -> None:
    await client.live.service.set_default("crossbar", "max_upload_size", 100_000)

    async def endless() -> AsyncIterator[UploadContentRequest]:
        yield client.messages(FIRST)[0]
        chunk = wav(1_000_000)
        while True:
            yield UploadContentRequest(data=chunk)

    with refused("INVALID_ARGUMENT", "TOO_LARGE"):
        await client.stub.UploadContent(endless(), metadata=client.tenant.metadata)
