"""A core on memory stores or on real ones, for tests that call it directly."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from kazoo_media.access.accounts import Caller, ReadScope, WriteScope
from kazoo_media.access.login_limit import LoginLimit
from kazoo_media.audio.convert.converters import Converters
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobStore
from kazoo_media.core import Core, Node, build_core
from kazoo_media.media.downloads import ByteRange
from kazoo_media.media.uploads import Declared, Finish, Source
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import Media, RenditionKind
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.memory_metadata import MemoryMetadataStore


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Return one key for all tests of a run: generating a key takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_login_limit(clock: Callable[[], float] = time.monotonic) -> LoginLimit:
    """Return a login limit for one test alone."""
    descriptor = os.memfd_create("login_limit")
    login_limit = LoginLimit(descriptor, clock)
    weakref.finalize(login_limit, os.close, descriptor)
    return login_limit


@dataclass(frozen=True)
class CoreUnderTest:
    """A wired core, its stores, and an admin who may call it.

    Attributes:
        api_key: The admin's API key.
    """

    core: Core
    metadata: MetadataStore
    blobs: BlobStore
    admin: Caller
    api_key: str


async def make_core(
    metadata: MetadataStore | None = None,
    blobs: BlobStore | None = None,
    converters: frozenset[str] = frozenset({"sox"}),
    *,
    with_ffmpeg: bool = True,
    pool: ConverterPool | None = None,
    metrics: Metrics = NO_METRICS,
) -> CoreUnderTest:
    """Return a core with a master account, by default on memory stores.

    Without a pool, programs make all conversions.
    """
    metadata = metadata or MemoryMetadataStore()
    blobs = blobs or MemoryBlobStore()
    ffmpeg = await asyncio.to_thread(find_ffmpeg) if with_ffmpeg else None
    backends = Converters(Confinement(Path(tempfile.gettempdir())), pool, ffmpeg)
    node = Node("node1", private_key(), {}, converters)
    core = await build_core(node, metadata, blobs, backends, make_login_limit(), metrics)
    left = await metadata.find_named_account("master", "")  # of a core on the same stores
    account_id = secrets.token_hex(16) if left is None else left.id
    made = await core.accounts.create_master("master", account_id)
    assert made is not None
    account, api_key = made
    return CoreUnderTest(core, metadata, blobs, Caller(account), api_key)


@asynccontextmanager
async def core_on_disk(
    folder: Path, converters: frozenset[str] = frozenset({"sox"})
) -> AsyncIterator[CoreUnderTest]:
    """Give a core on the real stores of one machine, in this folder."""
    metadata = await SqliteMetadataStore.open(folder / "metadata.sqlite", shared=False)
    blobs = LocalBlobStore(folder / "blobs")
    yield await make_core(metadata, blobs, converters)
    await blobs.aclose()
    await metadata.aclose()


async def source_of(*parts: bytes | Finish) -> AsyncIterator[bytes | Finish]:
    """Yield the parts of an upload."""
    for part in parts:
        yield part


async def stored_bytes(
    core: Core, scope: ReadScope, media_id: str, kind: RenditionKind | None
) -> bytes:
    """Return the audio of a media; None: of the rendition that is served."""
    media = await core.library.get(scope, media_id)
    rendition = core.downloads.select(media, kind)
    whole = ByteRange(0, rendition.size_bytes)
    async with await core.downloads.open(media, rendition, whole) as download:
        return b"".join([chunk async for chunk in download.chunks()])


async def replace_content(
    core: Core, scope: WriteScope, media_id: str, declared: Declared, source: Source
) -> Media:
    """Return a media after a complete upload."""
    upload = await core.uploads.begin(scope, media_id)
    return (await upload.receive(declared, source)).after
