"""The hand-made message of a download: what protobuf would make of it."""

from __future__ import annotations

import pytest
from google.api.httpbody_pb2 import HttpBody

from kazoo_media.crossbar.sending import framed


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 512 * 1024])
def test_a_piece_of_audio_is_framed_as_protobuf_does_it(size: int) -> None:
    data = bytes(size)
    body = HttpBody(content_type="audio/x-wav", data=data)
    assert b"".join(framed(data, "audio/x-wav")) == body.SerializeToString()
    assert b"".join(framed(data)) == HttpBody(data=data).SerializeToString()


def test_no_data_are_framed_as_a_message_that_has_none() -> None:
    body = HttpBody.FromString(b"".join(framed(b"", "application/json")))
    assert (body.content_type, body.data) == ("application/json", b"")
