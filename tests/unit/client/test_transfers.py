from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kazoo_media.client import (
    Client,
    DownloadContentRequest,
    Media,
    MediaServiceError,
    RenditionKind,
    UploadContentRequest,
)
from tests.rpc.service import Service
from tests.support.audio_samples import noise
from tests.support.measured_facts import unmeasured
from tests.unit.client.unsteady import AUDIO, UnsteadyServer

WAV = noise(60)  # several messages
SMALL = noise(0.5)  # one message


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "sent.wav"
    path.write_bytes(WAV)
    return path


async def test_a_file_comes_back_as_it_was_sent(
    client: Client, media: Media, wav: Path, tmp_path: Path
) -> None:
    up: list[tuple[int, int | None]] = []
    down: list[tuple[int, int | None]] = []
    stored = await client.upload(
        "system", media.id, wav, progress=lambda *counts: up.append(counts)
    )
    assert (stored.content_type, stored.content_length) == ("audio/x-wav", len(WAV))
    target = tmp_path / "got.wav"
    rendition = await client.download(
        "system",
        media.id,
        target,
        RenditionKind.RENDITION_KIND_ORIGINAL,
        progress=lambda *counts: down.append(counts),
    )
    assert target.read_bytes() == WAV
    assert rendition.size_bytes == len(WAV)
    assert up[-1] == down[-1] == (len(WAV), len(WAV))
    assert len(up) > 1


@pytest.mark.parametrize("kept_bytes", [44, 1 << 19, 700_000])
async def test_a_file_that_shrinks_meanwhile_changes_nothing(
    client: Client, media: Media, tmp_path: Path, kept_bytes: int
) -> None:
    path = tmp_path / "shrinking.wav"
    path.write_bytes(WAV)

    def shrink(done: int, total: int | None) -> None:
        os.truncate(path, kept_bytes)

    with pytest.raises(MediaServiceError, match="declared") as caught:
        await client.upload("system", media.id, path, progress=shrink)
    assert caught.value.reason == "INCOMPLETE_UPLOAD"
    assert not (await client.get_media("system", media.id)).renditions


async def test_a_put_creates_and_then_replaces(client: Client, wav: Path, tmp_path: Path) -> None:
    header = UploadContentRequest.Header(account_id="system", media=Media(id="put", name="Put"))
    first = await client.put(header, wav)
    assert (first.created, first.media.content_length) == (True, len(WAV))
    second = await client.put(header, pieces(WAV[:500_000], 1 << 18))
    assert (second.created, second.media.content_length) == (False, 500_000)
    assert unmeasured(await client.get_media("system", "put")) == second.media


async def test_a_put_whose_source_fails_creates_nothing(client: Client) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield WAV[:100_000]
        raise OSError("the disk is gone")

    header = UploadContentRequest.Header(account_id="system", media=Media(id="put", name="Put"))
    with pytest.raises(OSError, match="the disk is gone"):
        await client.put(header, failing())
    with pytest.raises(MediaServiceError, match="does not exist"):
        await client.get_media("system", "put")


@pytest.mark.parametrize("size", [1000, 3 << 20])
async def test_an_iterator_is_sent_whatever_its_pieces(
    client: Client, media: Media, size: int
) -> None:
    await client.upload("system", media.id, pieces(WAV, size), "audio/x-wav")
    request = DownloadContentRequest(account_id="system", media_id=media.id)
    async with client.download_stream(request) as download:
        assert b"".join([data async for data in download]) == WAV


async def test_an_iterator_survives_a_token_that_is_not_taken(
    service: Service, address: str, media: Media
) -> None:
    async with Client(address, api_key=service.admin_key, token="worn.out.token") as other:
        stored = await other.upload("system", media.id, pieces(WAV, 100_000))
    assert stored.content_length == len(WAV)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.wav"
    path.write_bytes(SMALL)
    return path


async def test_a_small_file_survives_a_token_that_is_not_taken(
    service: Service, address: str, media: Media, small: Path
) -> None:
    async with Client(address, api_key=service.admin_key, token="worn.out.token") as other:
        stored = await other.upload("system", media.id, small)
    assert stored.content_length == len(SMALL)


async def test_a_small_file_that_is_refused_always_says_why(client: Client, small: Path) -> None:
    for _ in range(50):
        with pytest.raises(MediaServiceError) as caught:
            await client.upload("system", "nothing", small)
        assert caught.value.reason == "MEDIA_NOT_FOUND"


async def test_a_range_of_a_download_is_that_range(client: Client, media: Media, wav: Path) -> None:
    await client.upload("system", media.id, wav)
    request = DownloadContentRequest(
        account_id="system", media_id=media.id, offset_bytes=1000, limit_bytes=600_000
    )
    async with client.download_stream(request) as download:
        assert (download.offset_bytes, download.length_bytes) == (1000, 600_000)
        assert b"".join([data async for data in download]) == WAV[1000:601_000]


async def test_a_source_that_fails_leaves_the_previous_audio(
    client: Client, media: Media, wav: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield WAV[:300_000]
        raise RuntimeError("the recorder died")

    before = await client.upload("system", media.id, wav)
    with pytest.raises(RuntimeError, match="recorder died"):
        await client.upload("system", media.id, broken())
    assert unmeasured(await client.get_media("system", media.id)) == before


async def test_a_refused_upload_says_why_and_takes_nothing(client: Client) -> None:
    taken: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        taken.append(WAV)
        yield WAV

    with pytest.raises(MediaServiceError) as caught:
        await client.upload("system", "nothing", source())
    assert caught.value.reason == "MEDIA_NOT_FOUND"
    assert taken == []


async def test_an_upload_that_is_no_audio_says_why(
    client: Client, media: Media, tmp_path: Path
) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("%PDF-1.7 not audio at all\n" * 100)
    with pytest.raises(MediaServiceError) as caught:
        await client.upload("system", media.id, text)
    assert caught.value.reason == "NOT_AUDIO"


async def test_a_file_that_does_not_exist_is_an_os_error(client: Client, media: Media) -> None:
    with pytest.raises(FileNotFoundError):
        await client.upload("system", media.id, Path("nowhere.wav"))


@pytest.mark.parametrize("existing", [None, b"old"])
@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ((AUDIO[:5000], grpc.StatusCode.UNAVAILABLE), ""),
        ((AUDIO[:5000], grpc.StatusCode.OK), "INCOMPLETE_DOWNLOAD"),
        ((AUDIO[::-1], grpc.StatusCode.OK), "INCOMPLETE_DOWNLOAD"),
    ],
    ids=["broken half-way", "too short", "other bytes"],
)
async def test_a_bad_download_leaves_no_file_and_keeps_the_old_one(
    address: str,
    unsteady: UnsteadyServer,
    tmp_path: Path,
    existing: bytes | None,
    plan: tuple[bytes, grpc.StatusCode],
    reason: str,
) -> None:
    unsteady.sent, unsteady.status = plan
    folder = tmp_path / "downloads"
    folder.mkdir()
    target = folder / "hold.wav"
    if existing is not None:
        target.write_bytes(existing)
    async with Client(address, token="any") as client:
        with pytest.raises(MediaServiceError) as caught:
            await client.download("system", "hold", target)
    assert caught.value.reason == reason
    assert [path.read_bytes() for path in folder.iterdir()] == ([existing] if existing else [])


async def test_a_failing_store_never_ends_in_a_short_file(
    client: Client, service: Service, media: Media, wav: Path, tmp_path: Path
) -> None:
    await client.upload("system", media.id, wav)
    service.blobs.readable_bytes = 600_000
    with pytest.raises(MediaServiceError) as caught:
        await client.download("system", media.id, tmp_path / "got.wav")
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert os.listdir(tmp_path) == ["sent.wav"]


async def test_a_cancelled_download_leaves_no_file(
    client: Client, media: Media, wav: Path, tmp_path: Path
) -> None:
    await client.upload("system", media.id, wav)
    begun = asyncio.Event()

    async def interrupted() -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(
                client.download(
                    "system", media.id, tmp_path / "got.wav", progress=lambda *_: begun.set()
                )
            )
            await begun.wait()
            task.cancel()

    await interrupted()
    assert os.listdir(tmp_path) == ["sent.wav"]


async def test_a_folder_that_does_not_exist_is_an_os_error(
    client: Client, media: Media, wav: Path, tmp_path: Path
) -> None:
    await client.upload("system", media.id, wav)
    with pytest.raises(FileNotFoundError):
        await client.download("system", media.id, tmp_path / "no" / "got.wav")
