"""NormalizeMedia over gRPC."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.v1.media_pb2 import RENDITION_KIND_NORMALIZED, RENDITION_KIND_ORIGINAL
from kazoo_media.v1.media_service_pb2 import NormalizeMediaRequest, NormalizeMediaResponse
from tests.rpc.media_client import Client, until
from tests.rpc.service import Live, refused
from tests.support.audio_samples import encoded, measure, tone
from tests.support.measured_facts import unmeasured

AUDIO = tone(2.0, rate=44_100, channels=2)


def normalize(client: Client, **fields: Any) -> Any:
    fields = {"account_id": client.tenant.account_id, "media_id": "m"} | fields
    request = NormalizeMediaRequest(**fields)
    return client.stub.NormalizeMedia(request, metadata=client.tenant.metadata)


async def normalized(client: Client, **fields: Any) -> NormalizeMediaResponse:
    return await normalize(client, **fields)  # type: ignore[no-any-return]


@pytest.fixture
async def normalizing(live: Live) -> Live:
    await live.service.set_default("crossbar.media", "normalize_media", value=True)
    return live


@pytest.mark.usefixtures("normalizing")
async def test_a_changed_setting_is_applied_to_stored_audio_once(client: Client) -> None:
    before = await client.upload(AUDIO)
    await client.live.service.set_default("media", "normalize_preset", "wideband")

    made = await normalized(client)

    assert made.converted
    assert unmeasured(made.media) == await client.get()
    original, rendition = made.media.renditions
    assert original.sha256 == before.renditions[0].sha256
    assert rendition.normalization == "wideband mp3"
    _, served = await client.fetch(rendition=RENDITION_KIND_NORMALIZED)
    assert measure(served, "mp3").sample_rate_hertz == 16_000
    assert (await client.fetch(rendition=RENDITION_KIND_ORIGINAL))[1] == AUDIO
    again = await normalized(client)
    assert (again.converted, unmeasured(again.media)) == (False, unmeasured(made.media))
    assert (await normalized(client, force=True)).converted


async def test_normalization_that_is_off_needs_a_preset(client: Client) -> None:
    before = await client.upload(AUDIO)
    with refused("FAILED_PRECONDITION", "NORMALIZATION_OFF") as refusal:
        await normalized(client)
    assert refusal.text == (
        "normalization is off: set crossbar.media.normalize_media to true, or name a preset"
    )
    assert await client.get() == before
    made = await normalized(client, preset="telephony")
    assert [each.kind for each in made.media.renditions] == [
        RENDITION_KIND_ORIGINAL,
        RENDITION_KIND_NORMALIZED,
    ]


async def test_an_unknown_preset_is_a_violation_of_that_field(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await client.upload(AUDIO)
        await normalized(client, preset="loud")
    assert refusal.fields == ["preset"]


async def test_a_media_without_audio_has_nothing_to_convert(client: Client) -> None:
    with refused("NOT_FOUND", "CONTENT_NOT_FOUND"):
        await normalized(client, preset="telephony")
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        await normalized(client, media_id="none")


async def test_what_can_not_be_converted_is_said_with_the_reason_of_the_converter(
    client: Client,
) -> None:
    before = await client.upload(encoded(AUDIO, "flac")[:4000], content_type="audio/flac")
    with refused("FAILED_PRECONDITION", "NORMALIZATION_FAILED") as refusal:
        await normalized(client, preset="telephony")
    assert refusal.text.startswith("failed to communicate with conversion utility: ")
    assert await client.get() == before


async def test_a_caller_that_leaves_changes_nothing(client: Client) -> None:
    long = tone(200.0, rate=44_100)
    before = await client.upload(long)

    call = normalize(client, preset="telephony")
    await until(client.live.service.pending_uploads)
    call.cancel()

    async def nothing_is_pending() -> bool:
        return not await client.live.service.pending_uploads()

    await until(nothing_is_pending)
    assert await client.get() == before
    assert (await client.fetch())[1] == long
