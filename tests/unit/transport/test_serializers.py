"""Serializers for broken streams and broken requests."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from kazoo_media.transport.serializers import MALFORMED, POISON, lenient, pass_through
from kazoo_media.v1.media_service_pb2 import DownloadContentResponse, GetMediaRequest


def test_pieces_are_joined_and_messages_are_serialized() -> None:
    message = DownloadContentResponse(data=b"abc")
    assert pass_through((b"\x00", b"\xff")) == b"\x00\xff"
    assert pass_through(message) == message.SerializeToString()


def test_poison_is_no_message_of_a_download() -> None:
    with pytest.raises(DecodeError):
        DownloadContentResponse.FromString(POISON)


def test_a_good_request_is_parsed() -> None:
    request = GetMediaRequest(media_id="x")
    assert lenient(GetMediaRequest)(request.SerializeToString()) == request


@pytest.mark.parametrize("data", [POISON, b"\x12\x01\xff"])
def test_a_request_that_is_no_protobuf_is_told_apart_instead_of_failing(data: bytes) -> None:
    assert lenient(GetMediaRequest)(data) is MALFORMED
