"""A core on memory stores or on real ones, for tests that call it directly."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from kazoo_media.access.accounts import Accounts, Caller
from kazoo_media.access.login_limit import Attempts
from kazoo_media.access.tokens import Tokens
from kazoo_media.access.users import Users
from kazoo_media.audio.convert.converters import Backends
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.audio.programs.ffmpeg import find_ffmpeg
from kazoo_media.blobs.store import BlobStore
from kazoo_media.content.normalization import Normalizer
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.speech import Speech
from kazoo_media.core import Core
from kazoo_media.media.downloads import Downloads
from kazoo_media.media.library import Library
from kazoo_media.media.prompts import Prompts
from kazoo_media.media.renormalization import Renormalization
from kazoo_media.media.uploads import Uploads
from kazoo_media.media.waveforms import Waveforms
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.settings import Settings
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.memory_metadata import MemoryMetadataStore


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Return one key for all tests of a run: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_attempts(clock: Callable[[], float] = time.monotonic) -> Attempts:
    """Return attempts that are counted for the test alone."""
    descriptor = os.memfd_create("attempts")
    attempts = Attempts(descriptor, clock)
    weakref.finalize(attempts, os.close, descriptor)
    return attempts


@dataclass(frozen=True)
class CoreUnderTest:
    """A wired core, its stores, and an admin who may call it.

    Attributes:
        api_key: The admin's.
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
) -> CoreUnderTest:
    """Return a core with a master account; on memory stores unless others are given. Without a
    pool, programs convert everything.
    """
    metadata = metadata or MemoryMetadataStore()
    blobs = blobs or MemoryBlobStore()
    tokens = Tokens(metadata, private_key())
    await tokens.publish()
    accounts = Accounts(metadata, tokens)
    settings = Settings(metadata, "node1", converters)
    folder = Path(tempfile.gettempdir())
    ffmpeg = await asyncio.to_thread(find_ffmpeg) if with_ffmpeg else None
    backends = Backends(folder, pool, ffmpeg)
    renditions = Renditions(metadata, blobs)
    normalizer = Normalizer(settings, backends)
    speech = Speech(renditions, settings, normalizer, folder)
    library = Library(metadata, settings, speech)
    core = Core(
        accounts=accounts,
        users=Users(metadata, accounts),
        attempts=make_attempts(),
        settings=settings,
        speech=speech,
        library=library,
        prompts=Prompts(metadata),
        uploads=Uploads(metadata, renditions, library, settings, normalizer),
        downloads=Downloads(renditions),
        renormalization=Renormalization(metadata, renditions, library, normalizer),
        waveforms=Waveforms(renditions, settings, backends),
    )
    account, api_key = await accounts.create_master("master")
    return CoreUnderTest(core, metadata, blobs, Caller(account), api_key)
