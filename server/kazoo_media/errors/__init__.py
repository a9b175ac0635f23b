"""All errors that the service reports.

Each class has everything that a surface needs: `code` (gRPC), `reason` (listed in
error_reason.proto), `http_status` and `kazoo_message`. There is no mapping table elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kazoo_media.errors.base import Code as Code
from kazoo_media.errors.base import MediaError as MediaError
from kazoo_media.errors.playback import LinkNotFoundError as LinkNotFoundError
from kazoo_media.errors.playback import PromptNotFoundError as PromptNotFoundError
from kazoo_media.errors.playback import VersionNotFoundError as VersionNotFoundError
from kazoo_media.errors.recordings import ChecksumMismatchError as ChecksumMismatchError
from kazoo_media.errors.recordings import DrainingError as DrainingError
from kazoo_media.errors.recordings import NotRawAudioError as NotRawAudioError
from kazoo_media.errors.recordings import OffsetGapError as OffsetGapError
from kazoo_media.errors.recordings import SpecMismatchError as SpecMismatchError
from kazoo_media.errors.recordings import TakenOverError as TakenOverError
from kazoo_media.errors.recordings import TooManyUploadsError as TooManyUploadsError
from kazoo_media.errors.recordings import UploadEndedError as UploadEndedError


class InternalError(MediaError):
    """A fault of the service. The text is fixed; the log has the details."""

    code, reason = Code.INTERNAL, "INTERNAL"
    http_status, kazoo_message = 500, "internal error"
    fixed_data: ClassVar[object] = {}


class BadRequestError(MediaError):
    """The request cannot be read."""

    code, reason = Code.INVALID_ARGUMENT, "BAD_REQUEST"
    http_status, kazoo_message = 400, "bad request"


class InvalidCredentialsError(MediaError):
    """The credentials are missing or wrong."""

    code, reason = Code.UNAUTHENTICATED, "INVALID_CREDENTIALS"
    http_status, kazoo_message = 401, "invalid_credentials"


class ForbiddenError(MediaError):
    """The caller is authenticated but has no permission for the request."""

    code, reason = Code.PERMISSION_DENIED, "FORBIDDEN"
    http_status, kazoo_message = 403, "forbidden"


class _BadIdentifierError(MediaError):
    """An id names an object that does not exist."""

    code = Code.NOT_FOUND
    http_status, kazoo_message = 404, "bad_identifier"

    fact: ClassVar[str] = "media_id"
    """Key of the id in `facts`."""

    def __init__(self, identifier: str) -> None:
        super().__init__(**{self.fact: identifier})

    @property
    def kazoo_data(self) -> object:
        """Return Kazoo's text and the id."""
        return {"message": "bad identifier", "cause": self.facts[self.fact]}


class AccountNotFoundError(_BadIdentifierError):
    """No account has this id."""

    reason, fact = "ACCOUNT_NOT_FOUND", "account_id"
    text = "account {account_id!r} does not exist"


class PlaybackKeyNotFoundError(_BadIdentifierError):
    """The account has no playback key with this id."""

    reason, fact = "PLAYBACK_KEY_NOT_FOUND", "key_id"
    text = "playback key {key_id!r} does not exist"


class UploadNotFoundError(_BadIdentifierError):
    """The account has no upload with this id, or it ended more than a week ago."""

    reason, fact = "UPLOAD_NOT_FOUND", "upload_id"
    text = "upload {upload_id!r} does not exist"


class MediaNotFoundError(_BadIdentifierError):
    """No media has this id, or it was deleted."""

    reason = "MEDIA_NOT_FOUND"
    text = "media {media_id!r} does not exist"


class ContentNotFoundError(_BadIdentifierError):
    """The media has no audio, or not the requested rendition."""

    reason = "CONTENT_NOT_FOUND"
    text = "media {media_id!r} has no audio yet: upload it first"


class ContentDamagedError(MediaError):
    """The stored bytes of a rendition are not those that were committed; they are not served."""

    code, reason = Code.DATA_LOSS, "CONTENT_DAMAGED"
    http_status, kazoo_message = 500, "content_damaged"

    def __init__(self, media_id: str, rendition: str, remedy: str) -> None:
        super().__init__(
            f"the {rendition} audio of media {media_id!r} is damaged in the store: {remedy}",
            media_id=media_id,
            rendition=rendition,
        )


class NoPeaksError(MediaError):
    """The waveform of the audio cannot be measured."""

    code, reason = Code.FAILED_PRECONDITION, "NO_PEAKS"
    http_status, kazoo_message = 404, "not_found"

    def __init__(self, why: str) -> None:
        super().__init__(f"the waveform of this audio cannot be measured: {why}")


class PathNotFoundError(MediaError):
    """No resource has this path."""

    code, reason = Code.NOT_FOUND, "PATH_NOT_FOUND"
    http_status, kazoo_message = 404, "not_found"


class MethodNotAllowedError(MediaError):
    """The resource does not support the verb."""

    code, reason = Code.UNIMPLEMENTED, "METHOD_NOT_ALLOWED"
    http_status, kazoo_message = 405, "invalid_method"
    response_headers = (("allow", "{allow}"),)  # RFC 9110, 10.2.1
    text = "method not allowed"

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__(allow=", ".join(allow))


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of one field.

    Attributes:
        field: Dotted path, for example `tts.voice`.
        code: Kazoo's word: `required`, `minLength`, `maxLength`, `enum`, `type`, `minimum`,
            `maximum`, `invalid`.
        extra: Kazoo's `target`, `cause` and `value`; which of them depends on the code.
    """

    field: str
    code: str
    message: str
    extra: Mapping[str, Any]


class ValidationError(MediaError):
    """Fields break rules. All violations are reported together."""

    code, reason = Code.INVALID_ARGUMENT, "VALIDATION"
    http_status, kazoo_message = 400, "validation error"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in violations))
        self.violations = tuple(violations)

    @property
    def kazoo_data(self) -> object:
        """Return `{field: {code: {message, target, cause, value}}}`."""
        data: dict[str, dict[str, Any]] = {}
        for each in self.violations:
            data.setdefault(each.field, {})[each.code] = {"message": each.message, **each.extra}
        return data


class _DatastoreConflictError(MediaError):
    """Two writers conflict; Kazoo has one text for all such errors."""

    http_status, kazoo_message = 409, "datastore_conflict"
    fixed_data: ClassVar[object] = {"message": "conflicting documents"}

    def __init__(self, media_id: str) -> None:
        super().__init__(media_id=media_id)


class ConflictError(_DatastoreConflictError):
    """The id already exists."""

    code, reason = Code.ALREADY_EXISTS, "CONFLICT"
    text = "{media_id!r} already exists"


class StaleRevisionError(_DatastoreConflictError):
    """The document changed between the read and the write."""

    code, reason = Code.ABORTED, "STALE_REVISION"
    text = "{media_id!r} was changed by another caller: read it again"


class NameTakenError(MediaError):
    """Another account has this name or realm."""

    code, reason = Code.ALREADY_EXISTS, "NAME_TAKEN"
    http_status, kazoo_message = 409, "datastore_conflict"
    text = "another account has the {field} {value!r}: choose a different one"


class PreconditionFailedError(MediaError):
    """The stored document has another revision than the request requires."""

    code, reason = Code.FAILED_PRECONDITION, "PRECONDITION_FAILED"
    http_status, kazoo_message = 412, "precondition_failed"
    text = "the document has revision {actual!r}, not {expected!r}: read it again"


class _TargetError(MediaError):
    """A value is not available; `target` lists the available ones."""

    def __init__(self, message: str, target: Sequence[str]) -> None:
        super().__init__(message, available=", ".join(target))
        self.target = tuple(target)

    @property
    def kazoo_data(self) -> object:
        """Return the message and the available values."""
        return {"message": self.message, "target": list(self.target)}


class NotAcceptableError(_TargetError):
    """No rendition has a type that the client accepts; `target` lists the available types."""

    code, reason = Code.FAILED_PRECONDITION, "NOT_ACCEPTABLE"
    http_status, kazoo_message = 406, "not_acceptable"


class UnsupportedMediaTypeError(_TargetError):
    """The declared type is not supported; `target` lists the supported types."""

    code, reason = Code.INVALID_ARGUMENT, "UNSUPPORTED_MEDIA_TYPE"
    http_status, kazoo_message = 415, "invalid_media_type"


class _FileError(MediaError):
    """The uploaded bytes are wrong. Kazoo reports that as a violation of the field `file`."""

    code = Code.INVALID_ARGUMENT
    http_status, kazoo_message = 400, "validation error"
    violation: ClassVar[str]

    @property
    def kazoo_data(self) -> object:
        """Return `{"file": {violation: {"message": ...}}}`."""
        return {"file": {self.violation: {"message": self.message}}}


class EmptyContentError(_FileError):
    """The upload has no bytes."""

    reason, violation = "EMPTY_CONTENT", "required"
    text = "Please provide an media file"  # Kazoo's text, with its grammar


class NotAudioError(_FileError):
    """The upload is not audio."""

    reason, violation = "NOT_AUDIO", "invalid"
    text = "the file is {found}, not audio"


class TooLargeError(_FileError):
    """The request has more bytes than allowed."""

    reason, violation = "TOO_LARGE", "maxSize"
    http_status, kazoo_message = 413, "request_too_large"
    text = "Payload or Files must not be more than {limit_bytes} bytes"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes=limit_bytes)

    @property
    def kazoo_data(self) -> object:
        """Return Kazoo's violation with the limit."""
        return {
            "file": {"maxSize": {"message": self.message, "target": int(self.facts["limit_bytes"])}}
        }


class IncompleteUploadError(_FileError):
    """The upload ended early; nothing was changed."""

    code, reason, violation = Code.ABORTED, "INCOMPLETE_UPLOAD", "incomplete"


class ContentMismatchError(_FileError):
    """The announced size or digest does not match the received bytes; nothing was changed."""

    code, reason, violation = Code.FAILED_PRECONDITION, "CONTENT_MISMATCH", "invalid"


class RangeNotSatisfiableError(MediaError):
    """The range starts after the last byte."""

    code, reason = Code.OUT_OF_RANGE, "RANGE_NOT_SATISFIABLE"
    http_status, kazoo_message = 416, "range_not_satisfiable"
    response_headers = (("content-range", "bytes */{size_bytes}"),)  # RFC 9110, 14.4
    text = "the range starts after the last byte: the audio has {size_bytes} bytes"


class _RetryLaterError(MediaError):
    """The request may be repeated after `retry_after_s` seconds."""

    response_headers = (("retry-after", "{retry_after_s}"),)

    def __init__(self, message: str = "", retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class QueueFullError(_RetryLaterError):
    """Too many conversions are waiting."""

    code, reason = Code.RESOURCE_EXHAUSTED, "QUEUE_FULL"
    http_status, kazoo_message = 503, "conversion_queue_full"


class OverloadedError(_RetryLaterError):
    """The worker holds as many incomplete requests as it may."""

    code, reason = Code.RESOURCE_EXHAUSTED, "OVERLOADED"
    http_status, kazoo_message = 503, "service_overloaded"
    text = "too many incomplete requests are waiting: try again"


class TooManyRequestsError(_RetryLaterError):
    """Too many logins have failed."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS"
    http_status, kazoo_message = 429, "too_many_requests"


class StorageFullError(MediaError):
    """The disk or a quota is full; nothing was changed."""

    code, reason = Code.RESOURCE_EXHAUSTED, "STORAGE_FULL"
    http_status, kazoo_message = 507, "insufficient_storage"
    text = "the storage is full and nothing was changed: free some space and try again"


class StoreUnavailableError(_RetryLaterError):
    """A store does not answer."""

    code, reason = Code.UNAVAILABLE, "STORE_UNAVAILABLE"
    http_status, kazoo_message = 503, "datastore_unreachable"
    text = "datastore timeout"


class NormalizationOffError(MediaError):
    """A request to normalize stored audio names no preset, and the settings turn it off."""

    code, reason = Code.FAILED_PRECONDITION, "NORMALIZATION_OFF"
    http_status, kazoo_message = 412, "normalization_off"
    text = "normalization is off: set crossbar.media.normalize_media to true, or name a preset"


class NormalizationFailedError(MediaError):
    """Stored audio cannot be normalized; the live audio is unchanged."""

    code, reason = Code.FAILED_PRECONDITION, "NORMALIZATION_FAILED"
    http_status, kazoo_message = 412, "normalization_failed"


class SpeechFailedError(MediaError):
    """Text-to-speech failed; `message` is the provider's reason."""

    code, reason = Code.INTERNAL, "SPEECH_FAILED"
    http_status = 500
    fixed_data: ClassVar[object] = {}

    @property
    def kazoo_message(self) -> str:  # type: ignore[override]
        """Return the provider's reason."""
        return self.message
