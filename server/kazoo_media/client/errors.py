"""The exceptions of the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of one field.

    Attributes:
        field: Dotted path, for example `tts.voice`.
        reason: For a machine, for example `MAX_LENGTH`.
        description: For a person.
    """

    field: str
    reason: str
    description: str


class MediaServiceError(Exception):
    """A call failed or a transfer broke off. Act on `reason`, never on the text.

    Attributes:
        code: The gRPC status code.
        reason: A name of `ErrorReason` without its prefix, for example `MEDIA_NOT_FOUND`;
            `INCOMPLETE_DOWNLOAD` if the received bytes are not the announced ones; "" if the
            service did not answer.
        message: For a person.
        metadata: Facts for a machine, for example `{"media_id": "en-us/welcome"}`.
        violations: The invalid fields, with the reason `VALIDATION`.
        request_id: Identifies the call in the service's log; "" if the service did not answer.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.request_id = ""

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> Self:
        """Return the error that a failed call carries."""
        trailers = dict(error.trailing_metadata() or ())
        info, violations = ErrorInfo(), BadRequest()
        for detail in _status(trailers.get(_DETAILS_KEY, b"")).details:
            detail.Unpack(info) or detail.Unpack(violations)
        failure = cls(
            error.code(),
            info.reason,
            error.details() or error.code().name,
            info.metadata,
            (
                FieldViolation(each.field, each.reason, each.description)
                for each in violations.field_violations
            ),
        )
        failure.request_id = str(trailers.get(_REQUEST_ID_KEY, ""))
        return failure


def _status(data: str | bytes) -> Status:
    """Return the error details; empty if a proxy garbled them."""
    try:
        return Status.FromString(data if isinstance(data, bytes) else b"")
    except DecodeError:
        return Status()
