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

    audio = await unwrapped(content_type, encoding, None, source())
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
        yield b"data:Audio/MP3;x=y;base64,AAAA"

    assert (await unwrapped("application/base64", "", 99, source())).content_type == "audio/mp3"
    audio = await unwrapped("audio/ogg", "BASE64", 99, source())
    assert (audio.content_type, audio.size_bytes) == ("audio/ogg", None)


@pytest.mark.parametrize("body", [b"A", b"AAAAA", b"AA=A", b'"AAAA\\', b"\xff\xfe"])
async def test_bad_base64_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        await _unwrap("application/base64", [body])


async def test_what_is_no_file_of_a_form_is_limited() -> None:
    head = b'--b0un dary\r\nContent-Disposition: form-data; name="note"\r\n\r\n'
    with pytest.raises(TooLargeError):
        await _unwrap(_FORM, [head, *[bytes(1024**2)] * 6])
