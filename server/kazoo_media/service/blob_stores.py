"""Opens the blob store that the configuration names: the data folder, or a bucket behind a cache.

Theory of operation, buckets:

1. A bucket is used only after its owner and its abilities were checked (`blobs/s3_check.py`). On
   the first start, a server that does not answer is waited for; then the start fails.
2. A bucket that was checked once is known to the data folder. A later start goes on if the server
   does not answer: recordings are taken into the metadata store, and cached audio is served.
3. What would look like the loss of all audio is refused: a folder that knows a bucket is not opened
   without it or with an empty one, and one that has audio of its own is not opened with a bucket.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from kazoo_media import durable
from kazoo_media.blobs.cached import CachedBlobStore
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.s3_lifecycle import removes_parts
from kazoo_media.blobs.s3_signing import Credentials, Signer
from kazoo_media.blobs.store import BlobStore
from kazoo_media.config import BucketUrl, Config, aws_credentials
from kazoo_media.metadata.cluster_store import ClusterStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.start_error import StartError

if TYPE_CHECKING:
    from obstore.store import S3Store

    from kazoo_media.blobs.s3_check import BucketRefusalError
    from kazoo_media.blobs.s3_client import S3Place

_WAIT_S = 45.0
"""How long a first start waits for the server: less than the supervisor waits for a worker."""

_KNOWN_WAIT_S = 5.0
_PAUSE_S = 0.5
_SECTION = "see docs/operations.md, Audio in a bucket"

_log = structlog.get_logger()


async def open_blobs(
    config: Config, cluster: ClusterStore, stack: AsyncExitStack, metrics: Metrics, *, first: bool
) -> BlobStore:
    """Return the blob store of a worker.

    Args:
        stack: Closes it.
        first: Whether the worker is the one that checks the abilities of a bucket.

    Raises:
        StartError: the bucket cannot be used.
        StoreUnavailableError: the metadata store failed.
    """
    if config.blob_url is None:
        store: BlobStore = await _local(config, metrics)
    else:
        cluster_id = await cluster.get_cluster_id()
        place, objects = _connected(config.blob_url)
        await _check(config, config.blob_url, objects, cluster_id, first=first)
        if first:
            await _check_rules(place)
        store = await _bucket(config, objects, metrics, _signer(place, place.objects_url))
        if config.cache_bytes:
            folder = config.data_dir / "cache"
            store = CachedBlobStore(store, folder, config.cache_bytes, metrics)
    stack.push_async_callback(store.aclose)
    return store


async def open_blobs_for_check(
    config: Config, cluster: ClusterStore, stack: AsyncExitStack
) -> BlobStore:
    """Return the blob store for `kazoo-media fsck`: without a cache, and never a new bucket.

    Raises:
        StartError: the bucket cannot be used, or is not that of the metadata store.
        StoreUnavailableError: the metadata store failed.
    """
    if config.blob_url is None:
        store: BlobStore = await _local(config, NO_METRICS)
    else:
        _, objects = _connected(config.blob_url)
        from kazoo_media.blobs.s3_check import BucketRefusalError, check_owner  # noqa: PLC0415

        try:
            await check_owner(objects, await cluster.get_cluster_id(), claims=False)
        except BucketRefusalError as refusal:
            raise _refused(config.blob_url, refusal) from refusal
        store = await _bucket(config, objects, NO_METRICS)
    stack.push_async_callback(store.aclose)
    return store


async def _local(config: Config, metrics: Metrics) -> BlobStore:
    if await asyncio.to_thread(_known_path(config).exists):
        problem = "its audio is in a bucket"
        raise StartError.about(config.data_dir, problem, "set KAZOO_MEDIA_BLOB_URL")
    folder = config.data_dir / "blobs"
    await asyncio.to_thread(durable.make_folder, folder)
    return LocalBlobStore(folder, metrics)


async def _bucket(
    config: Config, objects: S3Store, metrics: Metrics, signer: Signer | None = None
) -> BlobStore:
    from kazoo_media.blobs.s3 import S3BlobStore  # noqa: PLC0415 - needs an extra

    spool = config.data_dir / "tmp"
    await asyncio.to_thread(durable.make_folder, spool)
    return S3BlobStore(objects, spool, metrics, signer)


def _connected(url: BucketUrl) -> tuple[S3Place, S3Store]:
    try:
        from kazoo_media.blobs.s3_client import S3Place  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        problem, remedy = "the package obstore is missing", "pip install 'kazoo-media[s3]'"
        raise StartError.about(_subject(url), problem, remedy) from None
    place = S3Place(url.bucket, url.prefix, url.endpoint, url.region, url.virtual_hosted)
    return place, place.connect()


async def _check(
    config: Config, url: BucketUrl, objects: S3Store, cluster_id: str, *, first: bool
) -> None:
    seal = f"{url.endpoint} {url.bucket} {url.prefix} {cluster_id}\n".encode()
    known = await asyncio.to_thread(_content, _known_path(config))
    own = config.data_dir / "blobs"
    if not known and await asyncio.to_thread(_has_files, own):
        raise StartError.about(own, "the folder has audio that the bucket lacks", _SECTION)
    is_known = known == seal
    wait_s = _KNOWN_WAIT_S if is_known else _WAIT_S
    claims = not known
    refusal = await _last_refusal(objects, cluster_id, wait_s, first=first, claims=claims)
    if refusal is None:
        if not is_known:
            await asyncio.to_thread(durable.replace_file, _known_path(config), seal)
    elif refusal.may_pass and is_known:
        _log.warning("the bucket does not answer", bucket=str(url), reason=str(refusal))
    else:
        raise _refused(url, refusal) from refusal


async def _last_refusal(
    objects: S3Store, cluster_id: str, wait_s: float, *, first: bool, claims: bool
) -> BucketRefusalError | None:
    """Try until the bucket can be used, or cannot be waited for any longer."""
    from kazoo_media.blobs.s3_check import (  # noqa: PLC0415 - needs an extra
        BucketRefusalError,
        check_abilities,
        check_owner,
    )

    refusal = BucketRefusalError("it does not answer", may_pass=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while True:
                try:
                    await check_owner(objects, cluster_id, claims=claims)
                    if first:
                        await check_abilities(objects)
                except BucketRefusalError as error:
                    refusal = error
                    if not error.may_pass:
                        return error
                else:
                    return None
                await asyncio.sleep(_PAUSE_S)
    return refusal


async def _check_rules(place: S3Place) -> None:
    """Warn of a bucket that keeps the parts of uploads that nobody completes."""
    signer = _signer(place, place.url)
    if signer is None:
        return
    try:
        if not await asyncio.to_thread(removes_parts, signer):
            _log.warning(
                "the bucket keeps parts of interrupted uploads for ever",
                remedy="add the lifecycle rule AbortIncompleteMultipartUpload of one day",
            )
    except OSError as error:
        _log.info("the lifecycle rules of the bucket cannot be read", reason=str(error))


def _signer(place: S3Place, url: str) -> Signer | None:
    found = aws_credentials()
    return Signer(url, place.region, Credentials(*found)) if found else None


def _refused(url: BucketUrl, refusal: BucketRefusalError) -> StartError:
    return StartError.about(_subject(url), refusal, _SECTION)


def _subject(url: BucketUrl) -> str:
    return f"KAZOO_MEDIA_BLOB_URL={url}"


def _known_path(config: Config) -> Path:
    """Return the file that names the bucket of a data folder."""
    return config.data_dir / "bucket"


def _has_files(folder: Path) -> bool:
    return any(each.is_file() for each in folder.rglob("*"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
