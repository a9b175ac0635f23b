"""Errors as gRPC statuses."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from kazoo_media.errors import (
    MediaError,
    MediaNotFoundError,
    QueueFullError,
    ValidationError,
    Violation,
)
from kazoo_media.transport.status import status_of

_CLIENT_LIMIT_BYTES = 8192


def _unpacked(error: MediaError) -> tuple[Status, ErrorInfo]:
    status = Status.FromString(status_of(error)[2])
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return status, info


def test_an_error_becomes_code_text_and_reason() -> None:
    error = MediaNotFoundError("some/id")
    code, text, _ = status_of(error)
    status, info = _unpacked(error)
    assert code is grpc.StatusCode.NOT_FOUND
    assert (status.code, status.message) == (code.value[0], text)
    assert (info.domain, info.reason) == ("kazoo_media", "MEDIA_NOT_FOUND")
    assert info.metadata == {"media_id": "some/id"}


def test_every_violation_becomes_a_field_violation() -> None:
    error = ValidationError(
        [
            Violation("name", "required", "Field is required but missing", {}),
            Violation("tts.text", "minLength", "String must be at least 1 characters", {}),
        ]
    )
    status, _ = _unpacked(error)
    bad_request = BadRequest()
    assert status.details[1].Unpack(bad_request)
    assert [(each.field, each.reason) for each in bad_request.field_violations] == [
        ("name", "REQUIRED"),
        ("tts.text", "MIN_LENGTH"),
    ]


def test_an_error_to_retry_says_when() -> None:
    status, _ = _unpacked(QueueFullError("too many", 5))
    retry = RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 5


@pytest.mark.parametrize(
    "error",
    [
        MediaNotFoundError("ä" * 100_000),
        ValidationError([Violation(f"extra.{'ä' * 1000}", "invalid", "ö" * 1000, {})] * 100),
    ],
)
def test_a_long_id_does_not_make_the_answer_too_long_for_a_client(error: MediaError) -> None:
    _, text, details = status_of(error)
    percent_encoded = sum(1 if each < 0x80 else 3 for each in text.encode())
    assert percent_encoded + len(details) * 4 // 3 < _CLIENT_LIMIT_BYTES - 500
