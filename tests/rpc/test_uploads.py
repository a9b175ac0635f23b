"""UploadContent: complete uploads, refused ones, and ends that are none."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from kazoo_media.errors import StorageFullError, StoreUnavailableError
from kazoo_media.v1.media_pb2 import (
    RENDITION_KIND_NORMALIZED,
    RENDITION_KIND_ORIGINAL,
)
from kazoo_media.v1.media_service_pb2 import (
    UploadContentRequest,
    UploadContentResponse,
)
from tests.contract.upload_promises import FIRST, PNG, SECOND
from tests.rpc.media_client import Client, until
from tests.rpc.service import Live, refused
from tests.unit.audio.convert import damage


async def test_an_upload_answers_with_the_new_rendition(client: Client) -> None:
    media = await client.upload(FIRST)
    assert media == await client.get()
    assert (await client.get_measured()).renditions[0].HasField("loudness_lufs")
    (rendition,) = media.renditions
    assert rendition.kind == RENDITION_KIND_ORIGINAL
    assert rendition.size_bytes == media.content_length == len(FIRST)
    assert rendition.sha256 == hashlib.sha256(FIRST).hexdigest()
    assert rendition.content_type == media.content_type == "audio/wav"
    assert rendition.sample_rate_hertz == 8000
    assert rendition.channel_count == 1
    assert rendition.duration_ms == pytest.approx((len(FIRST) - 44) / 16, abs=1)


@pytest.mark.parametrize(
    "audio",
    [
        damage.wav_with(damage.TONE, rate=0xFFFFFFFF),
        damage.au_with(damage.NOISE_AU, rate=0xFFFFFFFF, channels=0xFFFFFFFF),
        damage.ogg_with(damage.NOISE_OGG, rate=0xFFFFFFFF),
        damage.ogg_until(damage.NOISE_OGG, 1 << 62),
    ],
    ids=["WAV", "AU", "Ogg", "long Ogg"],
)
async def test_impossible_facts_of_audio_are_not_reported(client: Client, audio: bytes) -> None:
    media = await client.upload(audio)
    assert media == await client.get()
    (rendition,) = media.renditions
    for fact in ("duration_ms", "sample_rate_hertz", "channel_count"):
        assert not rendition.HasField(fact)


async def test_a_normalized_upload_has_both_renditions(client: Client) -> None:
    await client.live.service.set_default("crossbar.media", "normalize_media", value=True)
    media = await client.upload(FIRST)
    assert [each.kind for each in media.renditions] == [
        RENDITION_KIND_ORIGINAL,
        RENDITION_KIND_NORMALIZED,
    ]
    original, normalized = media.renditions
    assert not original.HasField("normalization")
    assert normalized.normalization == "kazoo mp3 sox - -r 8000"
    served, data = await client.fetch()
    assert served.rendition == normalized
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


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)])
async def test_a_message_may_bring_several_parts(client: Client, cuts: tuple[int, ...]) -> None:
    header, *data, finish = client.messages(FIRST)
    audio = UploadContentRequest(data=b"".join(each.data for each in data))
    bounds = (0, *cuts, 3)
    groups = [[header, audio, finish][a:b] for a, b in itertools.pairwise(bounds)]
    media = await client.send([_merged(group) for group in groups])
    assert media == await client.get()
    assert (await client.fetch())[1] == FIRST


async def test_a_whole_upload_may_be_a_call_with_one_request(client: Client) -> None:
    call = client.live.channel.unary_unary(
        "/kazoo_media.v1.MediaService/UploadContent",
        request_serializer=UploadContentRequest.SerializeToString,
        response_deserializer=UploadContentResponse.FromString,
    )
    metadata = client.tenant.metadata
    response = await call(_merged(client.messages(FIRST)), metadata=metadata)
    assert (await client.fetch())[1] == FIRST
    wrong = _merged(client.messages(SECOND, sha256="0" * 64))
    with refused("FAILED_PRECONDITION", "CONTENT_MISMATCH"):
        await call(wrong, metadata=metadata)
    assert await client.get() == response.media


def _merged(messages: Sequence[UploadContentRequest]) -> UploadContentRequest:
    """Return all parts in one message."""
    audio = b"".join(each.data for each in messages)
    whole = UploadContentRequest()
    for message in messages:
        whole.MergeFrom(message)
    if audio:
        whole.data = audio
    return whole


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
        "second header with data": [header, _merged([header, *data]), finish],
        "data after a whole upload": [_merged([header, *data, finish]), data[0]],
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
        "second header with data",
        "data after a whole upload",
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


async def test_a_client_that_waits_is_invited_when_its_header_was_accepted(client: Client) -> None:
    header, *rest = client.messages(FIRST)
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    await call.write(header)
    assert "x-request-id" in dict(await call.initial_metadata())
    for message in rest:
        await call.write(message)
    await call.done_writing()
    assert (await call).media == await client.get()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"content_type": "text/html"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"preset": "louder"}, "VALIDATION"),
    ],
)
async def test_a_client_that_waits_is_refused_without_an_invitation(
    client: Client, header: dict[str, str], reason: str
) -> None:
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    await call.write(client.messages(FIRST, **header)[0])
    assert not await call.initial_metadata()
    with refused("INVALID_ARGUMENT", reason):
        await call


async def test_an_upload_may_name_its_preset(client: Client) -> None:
    media = await client.upload(FIRST, preset="wideband")
    assert media.renditions[1].sample_rate_hertz == 16_000


async def test_a_preset_that_does_not_exist_is_refused_with_those_that_do(client: Client) -> None:
    before = await client.upload(FIRST)
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await client.upload(SECOND, preset="louder")
    assert refusal.fields == ["preset"]
    assert "kazoo, telephony" in refusal.text
    assert await client.get() == before
