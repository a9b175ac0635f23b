"""The intake: an upload is complete or an error."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from kazoo_media.content.intake import Declared, Finish, Intake
from kazoo_media.errors import (
    ContentMismatchError,
    EmptyContentError,
    IncompleteUploadError,
    TooLargeError,
)
from tests.support.audio_samples import tone


async def _source(*parts: bytes | Finish) -> AsyncIterator[bytes | Finish]:
    for part in parts:
        yield part


async def _read_all(intake: Intake) -> bytes:
    await intake.read_head()
    pieces = []
    while chunk := await intake.read():
        pieces.append(chunk)
    return b"".join(pieces)


@pytest.mark.parametrize("sizes", [[1], [511, 1, 1], [600, 600], [0, 5, 0, 700, 0]])
async def test_every_byte_comes_out_once_and_in_order(sizes: list[int]) -> None:
    chunks = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    assert await _read_all(Intake(_source(*chunks), Declared(), 10_000)) == b"".join(chunks)


async def test_the_head_has_at_least_512_bytes_where_there_are_that_many() -> None:
    intake = Intake(_source(*[b"x" * 100] * 9), Declared(), 10_000)
    assert len((await intake.read_head()).data) == 600


async def test_the_head_of_a_wav_has_all_of_its_header() -> None:
    audio = tone(1.0)
    padded = audio[:12] + b"JUNK" + (2000).to_bytes(4, "little") + bytes(2000) + audio[12:]
    pieces = [padded[at : at + 100] for at in range(0, len(padded), 100)]
    head = await Intake(_source(*pieces), Declared(), 1 << 20).read_head()
    assert head.wav is not None
    assert len(head.data) == 2100


async def test_the_head_of_a_wav_with_a_long_header_has_an_end() -> None:
    chunk = b"JUNK" + (92).to_bytes(4, "little") + bytes(92)
    pieces = [b"RIFF" + bytes(4) + b"WAVE", *[chunk] * 10_000]
    head = await Intake(_source(*pieces), Declared(), 1 << 21).read_head()
    assert (head.wav, head.wav_problem) == (None, None)
    assert len(head.data) < 70_000


async def test_no_bytes_are_an_error() -> None:
    with pytest.raises(EmptyContentError):
        await _read_all(Intake(_source(b"", b""), Declared(), 10))


@pytest.mark.parametrize("declared", [4, 6])
async def test_another_size_than_declared_is_incomplete(declared: int) -> None:
    intake = Intake(_source(b"12345"), Declared(size_bytes=declared), 10)
    with pytest.raises(IncompleteUploadError):
        await _read_all(intake)


async def test_the_limit_is_the_most_that_is_taken() -> None:
    assert len(await _read_all(Intake(_source(b"12345", b"67890"), Declared(), 10))) == 10
    with pytest.raises(TooLargeError):
        await _read_all(Intake(_source(b"12345", b"678901"), Declared(), 10))


@pytest.mark.parametrize(
    "finish",
    [
        Finish(6, hashlib.sha256(b"12345").hexdigest()),
        Finish(5, hashlib.sha256(b"54321").hexdigest()),
    ],
)
async def test_a_finish_that_does_not_match_is_refused(finish: Finish) -> None:
    intake = Intake(_source(b"12345", finish), Declared(), 10)
    await _read_all(intake)
    with pytest.raises(ContentMismatchError):
        intake.check_finish(hashlib.sha256(b"12345").hexdigest())
