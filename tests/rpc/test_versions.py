"""ListVersions, RestoreMedia, and DownloadContent of a version."""

from __future__ import annotations

from typing import Any

from kazoo_media.v1.media_service_pb2 import (
    DeleteMediaRequest,
    ListMediaRequest,
    ListVersionsRequest,
    RestoreMediaRequest,
)
from tests.rpc.media_client import Client
from tests.rpc.service import refused
from tests.support.audio_samples import tone


async def _call(client: Client, method: str, request: Any) -> Any:
    request.account_id = client.tenant.account_id
    return await getattr(client.stub, method)(request, metadata=client.tenant.metadata)


async def test_an_earlier_content_is_listed_fetched_and_put_back(client: Client) -> None:
    await client.live.service.set_default("media", "kept_versions", 2)
    first, second = tone(0.1), tone(0.2)
    await client.upload(first)
    await client.upload(second)
    request = ListVersionsRequest(media_id="m")
    [version] = (await _call(client, "ListVersions", request)).versions
    assert [each.size_bytes for each in version.renditions] == [len(first)]
    assert version.replace_time.seconds > 0
    _, old = await client.fetch(version=version.version)
    assert old == first
    restore = RestoreMediaRequest(media_id="m", version=version.version)
    media = (await _call(client, "RestoreMedia", restore)).media
    assert media.content_length == len(first)
    _, now = await client.fetch()
    assert now == first
    with refused("NOT_FOUND", "VERSION_NOT_FOUND"):
        await _call(client, "RestoreMedia", restore)


async def test_a_deleted_media_is_listed_and_restored(client: Client) -> None:
    await client.upload(tone(0.1))
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        await _call(client, "RestoreMedia", RestoreMediaRequest(media_id="m"))
    await _call(client, "DeleteMedia", DeleteMediaRequest(media_id="m"))
    listed = (await _call(client, "ListMedia", ListMediaRequest(deleted=True))).media
    assert [each.id for each in listed] == ["m"]
    await _call(client, "RestoreMedia", RestoreMediaRequest(media_id="m"))
    assert (await client.fetch())[1] == tone(0.1)
