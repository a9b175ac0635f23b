"""DownloadContent: renditions, ranges, and downloads that do not reach their end."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.v1.media_pb2 import (
    RENDITION_KIND_NORMALIZED,
    RENDITION_KIND_ORIGINAL,
    RENDITION_KIND_UNSPECIFIED,
)
from tests.contract.upload_promises import FIRST, SECOND, wav
from tests.rpc.media_client import Client, until
from tests.rpc.service import refused


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
async def test_a_range_after_the_end_is_refused(client: Client, offset: int) -> None:
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


async def test_damaged_audio_is_refused_before_its_first_byte(client: Client) -> None:
    await client.upload(SECOND)
    blobs = client.live.service.blobs
    async for blob in blobs.list():
        await blobs.delete(blob.key)
    with refused("DATA_LOSS", "CONTENT_DAMAGED"):
        await client.fetch()


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
