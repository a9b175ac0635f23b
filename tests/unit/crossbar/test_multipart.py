"""Multipart bodies, however they are cut into pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from kazoo_media.crossbar.multipart import MultipartFile
from kazoo_media.errors import EmptyContentError, MediaError, ValidationError

_FILE = b'--b\r\nContent-Disposition: form-data; filename="a.wav"\r\n\r\naudio\r\n--b--\r\n'
_TYPE = "multipart/form-data; boundary=b"


async def _pieces(body: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def _file(body: bytes, size: int) -> bytes:
    part = await MultipartFile.open(_TYPE, _pieces(body, size))
    return b"".join([piece async for piece in part.pieces()])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10_000])
@pytest.mark.parametrize(
    "preamble",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"This is a multi-part message in MIME format.\r\n",
        b"Two lines,\r\none with -- and ----b\r\n",
        b"--boundary is a longer word\r\n--bb\r\n--\r\n",
        b"a line that ends as UNIX's do\n",
        b"--\r\n-\r\n",
        b"x" * 5000 + b"\r\n",
    ],
)
async def test_text_before_the_first_part_is_dropped(preamble: bytes, size: int) -> None:
    assert await _file(preamble + _FILE, size) == b"audio"


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_json_parts_are_documents_and_never_the_file(size: int) -> None:
    part = b"--b\r\nContent-Type: application/json\r\nContent-Disposition: x; filename=a"
    part += b'\r\n\r\n{"\r":1}\r\n'
    file = await MultipartFile.open(
        _TYPE, _pieces(part + part + _FILE[:-7] + part + b"--b--", size)
    )
    assert file.documents == [b'{"\r":1}'] * 2
    assert b"".join([piece async for piece in file.pieces()]) == b"audio"
    assert len(file.late_documents) == 1


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_text_after_the_last_part_is_dropped(size: int) -> None:
    assert await _file(_FILE + b"That was\r\n--b\r\nall.\r\n", size) == b"audio"


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", EmptyContentError),
        (b"--b--\r\n", EmptyContentError),
        (b"text\r\n--b--\r\n", EmptyContentError),
        (b"text alone\r\n", ValidationError),
        (b"text --b\r\n", ValidationError),
        (b"--b", ValidationError),
        (b"--bb\r\n", ValidationError),
    ],
)
async def test_text_alone_is_not_a_file(body: bytes, size: int, error: type[MediaError]) -> None:
    with pytest.raises(error):
        await _file(body, size)
