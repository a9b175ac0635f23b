"""A call that is recorded, and what the service has of it."""

from __future__ import annotations

import random
from pathlib import Path

from kazoo_media.client import (
    Client,
    DownloadContentRequest,
    Media,
    RawAudio,
    RawEncoding,
    UploadSpec,
)

RAW = RawAudio(encoding=RawEncoding.RAW_ENCODING_LINEAR16, sample_rate_hertz=8000, channel_count=1)
SPEC = UploadSpec(media=Media(name="Call"), raw=RAW)
HEADER_BYTES = 44


def audio(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


async def content(client: Client, media: Media | None) -> bytes:
    """Return the samples of a recording."""
    assert media is not None
    request = DownloadContentRequest(account_id="system", media_id=media.id)
    async with client.download_stream(request) as download:
        return b"".join([data async for data in download])[HEADER_BYTES:]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
