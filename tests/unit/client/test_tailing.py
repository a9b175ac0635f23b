"""Tails of a real service whose calls break off at any byte."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.client import (
    Client,
    Media,
    MediaServiceError,
    RawAudio,
    RawEncoding,
    UploadSpec,
    back_off,
)
from kazoo_media.errors import DrainingError, MediaError, UploadNotFoundError
from kazoo_media.recordings import raw_audio
from kazoo_media.recordings.tails import Tail, Tails

STEREO = RawAudio(
    encoding=RawEncoding.RAW_ENCODING_LINEAR16, sample_rate_hertz=8000, channel_count=2
)
RAW = UploadSpec(media=Media(name="Call"), raw=STEREO)
CONTAINER = UploadSpec(media=Media(name="Call"), content_type="audio/x-wav")
WAV_HEADER = raw_audio.RawAudio(raw_audio.RawEncoding.LINEAR16, 8000, 2).wav_header(None)
AUDIO = random.Random(1).randbytes(4000)
WAV = WAV_HEADER + AUDIO


@pytest.mark.parametrize(
    ("spec", "offset", "expected"),
    [
        (RAW, 0, WAV),
        (RAW, 402, WAV_HEADER + AUDIO[400:]),  # 402 is within a sample
        (CONTAINER, 0, WAV),
    ],
)
async def test_a_tail_goes_on_at_the_byte_where_it_was_cut(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: UploadSpec,
    offset: int,
    expected: bytes,
) -> None:
    cuts = _cut(monkeypatch, [DrainingError()] * 30)
    async with client.recorder("system", "call", spec, tmp_path) as recorder:
        recorder.write(AUDIO if spec is RAW else WAV)
        await recorder.flush()
        tail = client.tail("system", "call", offset)
        heard = await anext(tail)
        await recorder.finish()
        heard += b"".join([data async for data in tail])
    assert heard == expected
    assert not cuts


async def test_a_tail_ends_with_what_cannot_pass(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MediaServiceError, match="does not exist"):
        await anext(client.tail("system", "call"))
    _cut(monkeypatch, [DrainingError(), UploadNotFoundError("call")])
    async with client.recorder("system", "call", RAW, tmp_path) as recorder:
        recorder.write(AUDIO)
        await recorder.flush()
        with pytest.raises(MediaServiceError) as refused:
            assert not [data async for data in client.tail("system", "call") if not data]
    assert refused.value.reason == UploadNotFoundError.reason


def _cut(monkeypatch: pytest.MonkeyPatch, errors: list[MediaError]) -> list[MediaError]:
    """Let each call of TailUpload end with the next error after a few bytes; return those left."""
    left, sizes, follow = list(errors), random.Random(5), Tails.follow

    async def chunks_of(tail: Tail) -> AsyncGenerator[bytes, None]:
        async for chunk in tail.chunks:
            if left:
                yield chunk[: sizes.randrange(1, 100)]
                raise left.pop(0)
            yield chunk

    async def cut(self: Tails, *arguments: Any) -> Tail:
        tail = await follow(self, *arguments)
        return replace(tail, chunks=chunks_of(tail))

    monkeypatch.setattr(Tails, "follow", cut)
    monkeypatch.setattr(back_off, "_LONGEST_S", 0.0)
    monkeypatch.setattr(back_off, "_FIRST_S", 0.0)
    return left
