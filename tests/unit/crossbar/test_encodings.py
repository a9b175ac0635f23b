"""Wrapped audio comes out the same, however the body is cut into pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.crossbar.encodings import unwrapped
from kazoo_media.errors import MediaError, TooLargeError, ValidationError

_FORM = 'multipart/form-data; boundary="b0un dary"'


def _cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    ends = [*sorted(place % (len(body) + 1) for place in places), len(body)]
    starts = [0, *ends]
    return [body[start:end] for start, end in zip(starts, ends, strict=False)]


async def _unwrap(content_type: str, pieces: Sequence[bytes], encoding: str = "") -> bytes:
    async def source() -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece

    audio = await unwrapped(content_type, encoding, None, source(), 1 << 20)
    return b"".join([piece async for piece in audio.pieces])


_PLACES = st.lists(st.integers(0, 4000), max_size=8)


@given(st.binary(min_size=1, max_size=600), _PLACES, st.booleans(), st.booleans())
async def test_base64_in_any_pieces(
    audio: bytes,
    places: list[int],
    uri: bool,  # noqa: FBT001
    quoted: bool,  # noqa: FBT001
) -> None:
    text = base64.encodebytes(audio).decode().rstrip("=\n")
    text = f"data:audio/mp3;base64,{text}" if uri else text
    body = json.dumps(text).replace("/", "\\/") if quoted else text
    assert await _unwrap("application/base64", _cut(body.encode(), places)) == audio


@given(st.binary(max_size=3000), _PLACES)
async def test_multipart_in_any_pieces(audio: bytes, places: list[int]) -> None:
    head = b'Content-Disposition: form-data; name="f"; filename="a.mp3"\r\nX-Other: y'
    note = b'Content-Disposition: form-data; name="note"\r\n\r\n--b0un'
    parts = [note, head + b"\r\n\r\n" + audio, note]
    body = b"".join(b"--b0un dary\r\n" + part + b"\r\n" for part in parts) + b"--b0un dary--"
    assert await _unwrap(_FORM, _cut(body, places)) == audio


@given(st.binary(max_size=100), st.sampled_from(["application/base64", _FORM]))
async def test_nonsense_is_refused_and_nothing_else_happens(body: bytes, kind: str) -> None:
    try:
        await _unwrap(kind, [body])
    except MediaError as error:
        assert error.http_status == 400  # noqa: PT017


async def test_the_type_of_a_data_uri_is_returned() -> None:
    async def source() -> AsyncGenerator[bytes, None]:
        yield b"data:audio/L16;rate=16000;base64,AAAA"

    audio = await unwrapped("application/base64", "", 99, source(), 99)
    assert audio.content_type == "audio/L16;rate=16000"
    audio = await unwrapped("audio/ogg", "BASE64", 99, source(), 99)
    assert (audio.content_type, audio.size_bytes) == ("audio/ogg", None)


@pytest.mark.parametrize("body", [b"A", b"AAAAA", b"AA=A", b'"AAAA\\', b"\xff\xfe"])
async def test_bad_base64_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        await _unwrap("application/base64", [body])


async def test_what_is_no_file_of_a_form_is_limited() -> None:
    head = b'--b0un dary\r\nContent-Disposition: form-data; name="note"\r\n\r\n'
    with pytest.raises(TooLargeError):
        await _unwrap(_FORM, [head, *[bytes(1024**2)] * 6])


@pytest.mark.parametrize(
    ("start", "filling"), [(b"", b" "), (b"A", b"\r\n"), (b'"', b"\\n"), (b'"', b"\\")]
)
async def test_base64_without_a_character_for_64_kib_is_refused(
    start: bytes, filling: bytes
) -> None:
    read: list[int] = []

    async def source() -> AsyncGenerator[bytes, None]:
        yield start
        for number in range(1000):
            read.append(number)
            yield filling * 8192

    async def read_all() -> None:
        audio = await unwrapped("application/base64", "", None, source(), 1 << 30)
        _ = [piece async for piece in audio.pieces]

    with pytest.raises(ValidationError):
        await read_all()
    assert len(read) < 20


async def test_the_characters_of_base64_count_against_the_limit() -> None:
    async def source(size: int) -> AsyncGenerator[bytes, None]:
        yield b"A" * size

    whole = await unwrapped("application/base64", "", None, source(1000), 1000)
    assert sum([len(piece) async for piece in whole.pieces]) == 750
    with pytest.raises(TooLargeError):
        await unwrapped("application/base64", "", None, source(1004), 1000)


@pytest.mark.parametrize("number", [100, 101])
async def test_a_body_may_have_100_parts(number: int) -> None:
    head = b'--b0un dary\r\nContent-Disposition: form-data; name="f"'
    parts = [head + b"\r\n\r\n\r\n"] * (number - 1) + [head + b'; filename="a"\r\n\r\nRIFF\r\n']
    body = b"".join(parts) + b"--b0un dary--"
    if number <= 100:
        assert await _unwrap(_FORM, [body]) == b"RIFF"
        return
    with pytest.raises(ValidationError):
        await _unwrap(_FORM, [body])


async def test_a_multipart_body_inside_of_another_is_its_file() -> None:
    inner = b"--y\r\n\r\nRIFF\r\n--y--"
    head = b"--b0un dary\r\nContent-Disposition: form-data; filename=a\r\n"
    body = head + b"Content-Type: multipart/mixed; boundary=y\r\n\r\n" + inner
    assert await _unwrap(_FORM, [body + b"\r\n--b0un dary--"]) == inner


async def test_a_long_boundary_is_refused() -> None:
    with pytest.raises(ValidationError):
        await _unwrap("multipart/form-data; boundary=" + "x" * 300, [b""])
