"""Which blob store a start opens, and which starts are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from kazoo_media.blobs.cached import CachedBlobStore
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.s3 import S3BlobStore
from kazoo_media.config import Config
from kazoo_media.metrics import NO_METRICS
from kazoo_media.service import blob_stores
from kazoo_media.service.blob_stores import open_blobs, open_blobs_for_check
from kazoo_media.start_error import StartError
from tests.contract.blob_store import content, stored
from tests.support.memory_metadata import MemoryMetadataStore
from tests.support.s3_server import BUCKET, S3Server


def config(folder: Path, endpoint: str, prefix: str, **more: str) -> Config:
    values = {
        "DATA_DIR": str(folder),
        "BLOB_URL": f"s3://{BUCKET}/{prefix}?endpoint={endpoint}",
        **more,
    }
    return Config.from_environ({f"KAZOO_MEDIA_{name}": value for name, value in values.items()})


def rename_server(known: Path, before: str, after: str) -> None:
    """Let a folder know its bucket under another address."""
    known.write_text(known.read_text().replace(before, after))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def prefix() -> str:
    return uuid4().hex


async def test_without_a_url_the_data_folder_is_used(stack: AsyncExitStack, tmp_path: Path) -> None:
    plain = Config.from_environ({"KAZOO_MEDIA_DATA_DIR": str(tmp_path)})
    cluster = MemoryMetadataStore()
    for store in (
        await open_blobs(plain, cluster, stack, NO_METRICS, first=True),
        await open_blobs_for_check(plain, cluster, stack),
    ):
        assert isinstance(store, LocalBlobStore)


async def test_a_bucket_is_opened_and_its_missing_rule_reported(
    stack: AsyncExitStack, tmp_path: Path, s3: S3Server, prefix: str
) -> None:
    cluster = MemoryMetadataStore()
    own = config(tmp_path, s3.endpoint, prefix)
    with capture_logs() as lines:
        store = await open_blobs(own, cluster, stack, NO_METRICS, first=True)
    assert isinstance(store, CachedBlobStore)
    [line] = lines
    assert line["event"] == "the bucket keeps parts of interrupted uploads for ever"
    key = await stored(store, b"abc")
    checked = await open_blobs_for_check(own, cluster, stack)
    assert isinstance(checked, S3BlobStore)
    assert await content(checked, key) == b"abc"
    uncached = config(tmp_path, s3.endpoint, prefix, CACHE_BYTES="0")
    store = await open_blobs(uncached, cluster, stack, NO_METRICS, first=False)
    assert isinstance(store, S3BlobStore)


async def test_the_bucket_of_another_cluster_is_refused(
    stack: AsyncExitStack, tmp_path: Path, s3: S3Server, prefix: str
) -> None:
    own = config(tmp_path, s3.endpoint, prefix)
    await open_blobs(own, MemoryMetadataStore(), stack, NO_METRICS, first=True)
    other = MemoryMetadataStore()
    for first in (False, True):
        with pytest.raises(StartError, match=r"^KAZOO_MEDIA_BLOB_URL=s3://.*another cluster"):
            await open_blobs(own, other, stack, NO_METRICS, first=first)
    with pytest.raises(StartError, match="another cluster"):
        await open_blobs_for_check(own, other, stack)


async def test_what_looks_like_the_loss_of_all_audio_is_refused(
    stack: AsyncExitStack, tmp_path: Path, s3: S3Server, prefix: str
) -> None:
    cluster = MemoryMetadataStore()
    own = config(tmp_path, s3.endpoint, prefix)
    plain = Config.from_environ({"KAZOO_MEDIA_DATA_DIR": str(tmp_path)})
    local = await open_blobs(plain, cluster, stack, NO_METRICS, first=True)
    key = await stored(local, b"abc")
    with pytest.raises(StartError, match="the folder has audio that the bucket lacks"):
        await open_blobs(own, cluster, stack, NO_METRICS, first=True)
    await local.delete(key)
    await open_blobs(own, cluster, stack, NO_METRICS, first=True)
    for opening in (
        open_blobs(plain, cluster, stack, NO_METRICS, first=True),
        open_blobs_for_check(plain, cluster, stack),
    ):
        with pytest.raises(StartError, match="its audio is in a bucket: set KAZOO_MEDIA_BLOB_URL"):
            await opening
    empty = config(tmp_path, s3.endpoint, f"{prefix}-empty")
    for opening in (
        open_blobs(empty, cluster, stack, NO_METRICS, first=True),
        open_blobs_for_check(empty, cluster, stack),
    ):
        with pytest.raises(StartError, match="it belongs to no cluster"):
            await opening


async def test_a_server_that_does_not_answer_ends_the_first_start_only(
    stack: AsyncExitStack,
    tmp_path: Path,
    s3: S3Server,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blob_stores, "_WAIT_S", 1.0)
    monkeypatch.setattr(blob_stores, "_KNOWN_WAIT_S", 1.0)
    gone = "http://127.0.0.1:1"
    cluster = MemoryMetadataStore()
    with pytest.raises(StartError, match=r"127\.0\.0\.1:1.*Connection refused") as failed:
        await open_blobs(config(tmp_path, gone, prefix), cluster, stack, NO_METRICS, first=True)
    assert "\n" not in str(failed.value)
    # The folder knows the bucket once it has answered.
    await open_blobs(config(tmp_path, s3.endpoint, prefix), cluster, stack, NO_METRICS, first=True)
    rename_server(tmp_path / "bucket", s3.endpoint, gone)
    with capture_logs() as lines:
        await open_blobs(config(tmp_path, gone, prefix), cluster, stack, NO_METRICS, first=False)
    assert [each["event"] for each in lines] == ["the bucket does not answer"]
