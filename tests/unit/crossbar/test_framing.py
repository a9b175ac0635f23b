"""The hand-made message of a download: what protobuf would make of it."""

from __future__ import annotations

import pytest
from google.api.httpbody_pb2 import HttpBody

from kazoo_media.crossbar.servicer import _framed


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 512 * 1024])
def test_a_piece_of_audio_is_framed_as_protobuf_does_it(size: int) -> None:
    data = bytes(size)
    assert b"".join(_framed(data)) == HttpBody(data=data).SerializeToString()
