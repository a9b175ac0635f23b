"""Uploads on the core directly: what normalization, other changes and faults make of them."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import os
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobWriter
from kazoo_media.content import transfer
from kazoo_media.errors import (
    IncompleteUploadError,
    MediaNotFoundError,
    NotAcceptableError,
    QueueFullError,
    StorageFullError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from kazoo_media.media.uploads import Declared, Finish
from kazoo_media.model import BlobState, RenditionKind
from kazoo_media.upkeep.sweeper import Sweeper
from tests.contract.upload_promises import LIMIT_BYTES, cut, wav
from tests.support.audio_samples import tone, with_data_size
from tests.support.core_fixtures import (
    CoreUnderTest,
    core_on_disk,
    make_core,
    replace_content,
    source_of,
    stored_bytes,
)

_SCOPE = WriteScope("a" * 32)
_ADMIN = AdminScope()


@pytest.fixture
async def tested(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    async with core_on_disk(tmp_path, frozenset({"sox", "missing", "hangs"})) as tested:
        yield tested


async def _files(tested: CoreUnderTest) -> int:
    return len([blob async for blob in tested.blobs.list()])


_stereo = partial(tone, rate=44_100, channels=2)
_CROSSBAR_KEYS = ("normalize_media", "normalization_format")


async def _normalize(tested: CoreUnderTest, **values: object) -> None:
    settings = tested.core.settings
    await settings.put(_ADMIN, "crossbar.media", "normalize_media", value=True, node=None)
    for key, value in values.items():
        category = "crossbar.media" if key in _CROSSBAR_KEYS else "media"
        await settings.put(_ADMIN, category, key, value, node=None)


async def _upload(tested: CoreUnderTest, audio: bytes, media_id: str = "x") -> Mapping[str, Any]:
    media = await replace_content(
        tested.core, _SCOPE, media_id, Declared("audio/x-wav", len(audio)), source_of(*cut(audio))
    )
    return media.document


@pytest.fixture
async def media(tested: CoreUnderTest) -> str:
    return (await tested.core.library.create(_SCOPE, {"name": "n"}, "x")).id


@pytest.mark.parametrize("streaming", [64, 0])
async def test_a_wav_becomes_an_8_khz_mp3_and_the_original_stays(
    tested: CoreUnderTest, media: str, streaming: int
) -> None:
    await _normalize(tested, max_streaming_conversions=streaming)
    audio = _stereo(2)
    document = await _upload(tested, audio)
    assert document["content_type"] == "audio/mpeg"
    assert document["sample_rate_hertz"] == 8000
    assert document["duration_ms"] == pytest.approx(2000, abs=200)
    assert "normalization_error" not in document
    served = await stored_bytes(tested.core, _SCOPE, media, None)
    assert len(served) == document["content_length"]
    assert served[:1] == b"\xff"
    assert await stored_bytes(tested.core, _SCOPE, media, RenditionKind.ORIGINAL) == audio


async def test_the_document_tells_of_both_renditions(tested: CoreUnderTest, media: str) -> None:
    await _normalize(tested)
    audio = _stereo(2)
    document = await _upload(tested, audio)
    assert document["codec"] == "mp3"
    original, served = document["renditions"]["original"], document["renditions"]["normalized"]
    assert original == {
        "content_type": "audio/x-wav",
        "content_length": len(audio),
        "duration_ms": 2000,
        "sample_rate_hertz": 44_100,
        "channel_count": 2,
        "codec": "linear16",
    }
    assert served == {key: document[key] for key in original}
    await _normalize(tested, normalize_media=False)
    document = await _upload(tested, _stereo(0.5))
    assert list(document["renditions"]) == ["original"]
    kept = await tested.core.library.update(
        _SCOPE, media, lambda _: {"name": "m", "renditions": 1}, {"name": "m", "renditions": 1}
    )
    assert kept.document["renditions"] == document["renditions"]


@pytest.mark.parametrize("declared", [264_600, 0x7FFFF000], ids=["right", "of a pipe"])
async def test_a_normalized_wav_has_the_sizes_that_it_really_has(
    tested: CoreUnderTest, media: str, declared: int
) -> None:
    await _normalize(tested, normalization_format="wav", normalize_destination_args="-r 8000 -c 1")
    await _upload(tested, with_data_size(_stereo(1.5), declared))
    served = await stored_bytes(tested.core, _SCOPE, media, RenditionKind.NORMALIZED)
    with wave.open(io.BytesIO(served)) as read:
        assert read.getframerate() == 8000
        assert read.getnframes() == pytest.approx(12000, abs=10)
    content = (await tested.core.library.get(_SCOPE, media)).content
    assert content is not None
    assert content.normalized is not None

    assert content.normalized.sha256 == hashlib.sha256(served).hexdigest()


@pytest.mark.parametrize("streaming", [64, 0])
async def test_a_failed_conversion_keeps_and_serves_the_original_and_says_why(
    tested: CoreUnderTest, media: str, streaming: int
) -> None:
    await _normalize(
        tested, normalize_executable="/nowhere/missing", max_streaming_conversions=streaming
    )
    audio = _stereo(0.5)
    document = await _upload(tested, audio)
    assert document["normalization_error"].startswith(
        "failed to communicate with conversion utility: "
    )
    assert document["content_type"] == "audio/x-wav"
    assert await stored_bytes(tested.core, _SCOPE, media, None) == audio
    with pytest.raises(NotAcceptableError):
        await stored_bytes(tested.core, _SCOPE, media, RenditionKind.NORMALIZED)
    assert await _files(tested) == 1
    rows = await tested.metadata.list_blobs("", 10)
    assert BlobState.PENDING not in {row.state for row in rows}


async def test_the_error_disappears_with_the_next_good_upload(
    tested: CoreUnderTest, media: str
) -> None:
    await _normalize(tested, normalize_executable="missing")
    assert "normalization_error" in await _upload(tested, _stereo(0.2))
    await _normalize(tested, normalize_executable="sox")
    assert "normalization_error" not in await _upload(tested, _stereo(0.2))
    document = (
        await tested.core.library.update(_SCOPE, media, lambda _: {"name": "m"}, {"name": "m"})
    ).document
    assert document["content_type"] == "audio/mpeg"


async def test_a_metadata_update_keeps_what_is_said_of_the_content(
    tested: CoreUnderTest, media: str
) -> None:
    await _normalize(tested, normalize_executable="missing")
    before = await _upload(tested, _stereo(0.2))
    after = await tested.core.library.update(
        _SCOPE,
        media,
        lambda _: {"name": "m", "content_length": 1, "normalization_error": "x"},
        {"name": "m", "content_length": 1, "normalization_error": "x"},
    )
    for key in ("content_type", "content_length", "normalization_error", "duration_ms"):
        assert after.document[key] == before[key]


async def _breaking(audio: bytes) -> AsyncIterator[bytes | Finish]:
    for chunk in cut(audio):
        yield chunk
    raise IncompleteUploadError("the client went away")


async def test_an_upload_that_breaks_while_it_is_converted_leaves_nothing(
    tested: CoreUnderTest, media: str
) -> None:
    await _normalize(tested)
    broken = _breaking(_stereo(1)[:50_000])
    with pytest.raises(IncompleteUploadError):
        await replace_content(tested.core, _SCOPE, media, Declared(), broken)
    assert await _files(tested) == 0
    assert (await tested.core.library.get(_SCOPE, media)).content is None


async def test_a_cancelled_upload_leaves_nothing(tested: CoreUnderTest, media: str) -> None:
    await _normalize(tested)
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes | Finish]:
        for chunk in cut(_stereo(3)):
            yield chunk
        started.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(
            replace_content(tested.core, _SCOPE, media, Declared(), endless())
        )
        await started.wait()
        upload.cancel()
    assert upload.cancelled()
    assert await _files(tested) == 0


def _descriptors() -> int:
    gc.collect()  # what earlier tests left
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("normalized", [False, True])
async def test_a_broken_upload_leaves_no_file_open(
    tested: CoreUnderTest, media: str, *, normalized: bool
) -> None:
    if normalized:
        await _normalize(tested, normalization_format="wav", normalize_destination_args="-r 48000")
    found = []
    for _ in range(3):
        with pytest.raises(IncompleteUploadError):
            await replace_content(tested.core, _SCOPE, media, Declared(), _breaking(_stereo(30)))
        found.append(_descriptors())
    assert found == found[:1] * 3


async def test_a_long_upload_is_not_swept(
    tested: CoreUnderTest, media: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TOUCH_INTERVAL_S", 0.01)

    await _normalize(tested)

    async def touched_ms() -> int:
        original, normalized = await tested.metadata.list_blobs("", 10)
        return min(original.touched_ms, normalized.touched_ms)

    async def lasting() -> AsyncIterator[bytes | Finish]:
        yield wav(5000)
        grace_ends_ms = await touched_ms() + 5
        async with asyncio.timeout(10):
            touched = 0
            while touched <= grace_ends_ms:
                await asyncio.sleep(0.01)
                touched = await touched_ms()
        sweeper = Sweeper(
            tested.metadata, tested.blobs, pending_grace_ms=0, clock=lambda: grace_ends_ms
        )
        assert (await sweeper.sweep()).expired == 0

    stored = await replace_content(tested.core, _SCOPE, media, Declared(), lasting())
    assert stored.document["renditions"]["original"]["content_length"] == 5000


async def test_a_full_queue_refuses_before_a_byte_is_read(
    tested: CoreUnderTest, media: str
) -> None:
    await _normalize(tested, max_streaming_conversions=0, max_queued_conversions=0)

    asked = []

    async def unread() -> AsyncIterator[bytes | Finish]:
        asked.append(True)
        yield wav(3000)

    with pytest.raises(QueueFullError) as caught:
        await replace_content(tested.core, _SCOPE, media, Declared(), unread())
    assert int(caught.value.headers["retry-after"]) > 0
    assert not asked


async def test_many_uploads_at_once_are_all_normalized(tested: CoreUnderTest) -> None:
    await _normalize(tested, max_streaming_conversions=3)
    audio = _stereo(0.4)
    async with asyncio.TaskGroup() as tasks:
        for number in range(12):
            await tested.core.library.create(_SCOPE, {"name": "n"}, f"m{number}")
            tasks.create_task(_upload(tested, audio, f"m{number}"))
    for number in range(12):
        document = (await tested.core.library.get(_SCOPE, f"m{number}")).document
        assert document["content_type"] == "audio/mpeg"


async def test_a_media_deleted_meanwhile_takes_no_content(
    tested: CoreUnderTest, media: str
) -> None:
    async def deleting() -> AsyncIterator[bytes | Finish]:
        yield wav(5000)
        await tested.core.library.delete(_SCOPE, media, hard=True)

    with pytest.raises(MediaNotFoundError):
        await replace_content(tested.core, _SCOPE, media, Declared(), deleting())
    assert await _files(tested) == 0


async def test_a_document_changed_meanwhile_keeps_the_change(
    tested: CoreUnderTest, media: str
) -> None:
    async def changing() -> AsyncIterator[bytes | Finish]:
        yield wav(5000)
        await tested.core.library.patch(_SCOPE, media, {"name": "changed"})

    stored = await replace_content(tested.core, _SCOPE, media, Declared(), changing())
    assert stored.document["name"] == "changed"
    assert stored.document["content_length"] == 5000


@pytest.mark.parametrize(
    ("declared", "hint", "served"),
    [
        ("audio/wav", None, "audio/wav"),
        ("audio/x-wav; charset=binary", None, "audio/x-wav"),
        ("AUDIO/WAVE", None, "audio/wave"),
        ("audio/mp3", None, "audio/x-wav"),
        (None, None, "audio/x-wav"),
        ("application/octet-stream", "audio/wav", "audio/wav"),
        ("application/octet-stream", "audio/mp3", "audio/x-wav"),
    ],
)
async def test_what_is_inside_decides_and_a_declared_alias_of_it_is_kept(
    tested: CoreUnderTest, declared: str | None, hint: str | None, served: str
) -> None:
    data = {"name": "n"} | ({"content_type": hint} if hint else {})
    made = await tested.core.library.create(_SCOPE, data)
    stored = await replace_content(
        tested.core, _SCOPE, made.id, Declared(declared), source_of(wav(3000))
    )
    assert stored.document["content_type"] == served


async def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_read(
    tested: CoreUnderTest, media: str
) -> None:
    await tested.core.settings.put(_ADMIN, "crossbar", "max_upload_size", 5000, node=None)
    source = source_of(wav(5001))
    with pytest.raises(TooLargeError):
        await replace_content(tested.core, _SCOPE, media, Declared(size_bytes=5001), source)
    assert await anext(source) == wav(5001)


async def test_a_type_that_is_not_stored_is_refused(tested: CoreUnderTest, media: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        await replace_content(tested.core, _SCOPE, media, Declared("text/plain"), source_of())
    assert "audio/x-wav" in caught.value.target


class _FullDisk(BlobWriter):
    """A writer that gets no space for its first bytes."""

    def __init__(self, inner: BlobWriter) -> None:
        self._inner = inner

    async def write(self, chunks: Sequence[bytes]) -> None:
        raise StorageFullError

    async def overwrite_head(self, head: bytes) -> None:
        await self._inner.overwrite_head(head)

    async def discard(self) -> None:
        await self._inner.discard()


class _FullBlobs(LocalBlobStore):
    async def create(self, key: str, *, head_changes: bool = False) -> BlobWriter:
        return _FullDisk(await super().create(key, head_changes=head_changes))


@pytest.mark.parametrize("size", [5000, LIMIT_BYTES])
async def test_a_full_disk_fails_the_upload_and_keeps_what_there_was(
    tested: CoreUnderTest, media: str, tmp_path: Path, size: int
) -> None:
    await _upload(tested, wav(4000, seed=1))
    full = await make_core(tested.metadata, _FullBlobs(tmp_path / "blobs"))
    with pytest.raises(StorageFullError):
        await _upload(full, wav(size, seed=2))
    assert await stored_bytes(tested.core, _SCOPE, media, None) == wav(4000, seed=1)
    assert await _files(tested) == 1
    await full.blobs.aclose()
