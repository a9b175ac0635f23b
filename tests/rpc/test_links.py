"""CreateLink and RotateLinks."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.duration_pb2 import Duration

from kazoo_media.v1.account_service_pb2 import RotateLinksRequest
from kazoo_media.v1.account_service_pb2_grpc import AccountServiceStub
from kazoo_media.v1.media_service_pb2 import CreateLinkRequest, Link
from tests.rpc.media_client import Client
from tests.rpc.service import refused
from tests.support.audio_samples import tone


async def _link(client: Client, **fields: Any) -> Link:
    fields = {"account_id": client.tenant.account_id, "media_id": "m"} | fields
    request = CreateLinkRequest(**fields)
    answer = await client.stub.CreateLink(request, metadata=client.tenant.metadata)
    made: Link = answer.link
    return made


async def _rotate(client: Client, account_id: str = "") -> None:
    accounts: Any = AccountServiceStub(client.live.channel)
    request = RotateLinksRequest(account_id=account_id)
    await accounts.RotateLinks(request, metadata=client.tenant.metadata)


async def test_the_same_audio_has_the_same_link_until_links_are_rotated(client: Client) -> None:
    audio = tone(0.1)
    await client.upload(audio)
    link = await _link(client)
    assert link.url.startswith(f"/media/{client.tenant.account_id}/m.wav?sig=")
    assert link.rendition.size_bytes == len(audio)
    assert not link.HasField("expire_time")
    assert (await _link(client)).url == link.url
    await _rotate(client)
    assert (await _link(client)).url != link.url


async def test_a_link_may_end_by_time(client: Client) -> None:
    await client.upload(tone(0.1))
    link = await _link(client, lifetime=Duration(seconds=60))
    assert 0 < link.expire_time.seconds - time.time() <= 60
    for wrong in (Duration(), Duration(seconds=-1), Duration(seconds=1, nanos=1)):
        with refused("INVALID_ARGUMENT", "VALIDATION"):
            await _link(client, lifetime=wrong)


async def test_what_has_no_audio_has_no_link(client: Client) -> None:
    with refused("NOT_FOUND", "CONTENT_NOT_FOUND"):
        await _link(client)
    with refused("NOT_FOUND", "MEDIA_NOT_FOUND"):
        await _link(client, media_id="missing")


async def test_only_a_superduper_admin_rotates_the_links_of_shared_media(client: Client) -> None:
    with refused("PERMISSION_DENIED", "FORBIDDEN"):
        await _rotate(client, "system")
