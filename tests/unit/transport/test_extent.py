"""Messages with too many fields are refused before they are parsed."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct, Value

from kazoo_media.transport.extent import FIELDS_LIMIT, bounded
from kazoo_media.transport.refused import RefusedError
from kazoo_media.v1.media_pb2 import Media, Rendition
from kazoo_media.v1.media_service_pb2 import (
    CreateMediaRequest,
    ListMediaRequest,
    UpdateMediaRequest,
    UploadContentRequest,
)


def _keys(number: int) -> Struct:
    return Struct(fields={f"{n:040}": Value(number_value=n) for n in range(number)})


@pytest.mark.parametrize(
    "message",
    [
        CreateMediaRequest(media=Media(extra=_keys(FIELDS_LIMIT // 4 + 1))),
        CreateMediaRequest(media=Media(renditions=[Rendition()] * (FIELDS_LIMIT + 1))),
        UploadContentRequest(
            header=UploadContentRequest.Header(media=Media(extra=_keys(FIELDS_LIMIT)))
        ),
        UpdateMediaRequest(update_mask=FieldMask(paths=["name"] * (FIELDS_LIMIT + 1))),
    ],
    ids=["keys", "renditions", "header", "paths"],
)
def test_too_many_fields_are_refused_on_all_levels(message: Message) -> None:
    with pytest.raises(RefusedError) as refused:
        bounded(type(message))(message.SerializeToString())
    assert str(FIELDS_LIMIT) in refused.value.details


@pytest.mark.parametrize(
    "message",
    [
        CreateMediaRequest(media=Media(extra=_keys(FIELDS_LIMIT // 4 - 2))),
        UploadContentRequest(data=bytes(1 << 20)),
        ListMediaRequest(account_id="a" * 200_000, page_size=5),
    ],
    ids=["keys", "data", "text"],
)
def test_large_messages_of_few_fields_are_read(message: Message) -> None:
    assert bounded(type(message))(message.SerializeToString()) == message


def test_what_is_cut_off_is_malformed() -> None:
    data = UploadContentRequest(data=bytes(1 << 17)).SerializeToString()
    with pytest.raises(DecodeError):
        bounded(UploadContentRequest)(data[:-1])
    with pytest.raises(DecodeError):
        bounded(UploadContentRequest)(data + b"\x80")
