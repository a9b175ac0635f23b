"""Conversion of a MediaError to a gRPC status with details."""

from __future__ import annotations

import re
from collections.abc import Sequence

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from kazoo_media.errors import MediaError, ValidationError, Violation

DOMAIN = "kazoo_media"
DETAILS_KEY = "grpc-status-details-bin"

# Clients reject trailing metadata over 8 KiB. A long id or field in the request must not replace
# its error by that one.
_TEXT_LIMIT_BYTES = 512
_DESCRIPTION_LIMIT_BYTES = 128
_FIELD_LIMIT_BYTES = 64
_VIOLATION_LIMIT = 14


def status_of(error: MediaError) -> tuple[grpc.StatusCode, str, bytes]:
    """Return code, text and the value of `grpc-status-details-bin`, with ErrorInfo first."""
    code = grpc.StatusCode[error.code.name]
    text = _clipped(error.message, _TEXT_LIMIT_BYTES)
    status = Status(code=code.value[0], message=text)
    facts = {key: _clipped(value, _TEXT_LIMIT_BYTES) for key, value in error.facts.items()}
    status.details.append(_packed(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)))
    if isinstance(error, ValidationError):
        status.details.append(_packed(_bad_request(error.violations)))
    if "retry_after_s" in facts:
        delay = Duration(seconds=int(facts["retry_after_s"]))
        status.details.append(_packed(RetryInfo(retry_delay=delay)))
    return code, text, status.SerializeToString()


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    return BadRequest(
        field_violations=[
            BadRequest.FieldViolation(
                field=_clipped(each.field, _FIELD_LIMIT_BYTES),
                description=_clipped(each.message, _DESCRIPTION_LIMIT_BYTES),
                reason=re.sub(r"(?=[A-Z])", "_", each.code).upper(),
            )
            for each in violations[:_VIOLATION_LIMIT]
        ]
    )


def _packed(message: Message) -> Any:
    detail = Any()
    detail.Pack(message)
    return detail


def _clipped(text: str, limit_bytes: int) -> str:
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[: limit_bytes - 3].decode(errors="ignore") + "…"
