"""Errors of uploads that run while the audio is being made."""

from __future__ import annotations

from typing import ClassVar

from kazoo_media.errors.base import Code, MediaError


class TakenOverError(MediaError):
    """Another stream, or a request to finish, has taken the upload over."""

    code, reason = Code.ABORTED, "TAKEN_OVER"
    http_status, kazoo_message = 409, "upload_taken_over"
    text = "another recorder has taken upload {upload_id!r} over: do not reconnect"

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id=upload_id)


class DrainingError(MediaError):
    """The worker stops; everything that had arrived is durable."""

    code, reason = Code.UNAVAILABLE, "DRAINING"
    http_status, kazoo_message = 503, "service_draining"
    response_headers: ClassVar = (("retry-after", "1"),)
    text = "this worker stops: what has arrived is kept, reconnect now"


class OffsetGapError(MediaError):
    """Bytes are missing before those that were sent."""

    code, reason = Code.OUT_OF_RANGE, "OFFSET_GAP"
    http_status, kazoo_message = 409, "offset_gap"
    text = "bytes are missing before this offset: go on at {write_offset}"

    def __init__(self, write_offset: int) -> None:
        super().__init__(write_offset=write_offset)


class ChecksumMismatchError(MediaError):
    """The bytes of a message do not have its checksum; nothing of it was kept."""

    code, reason = Code.DATA_LOSS, "CHECKSUM_MISMATCH"
    http_status, kazoo_message = 400, "checksum_mismatch"
    text = "the bytes at {write_offset} do not have their CRC-32C: send them again"

    def __init__(self, write_offset: int) -> None:
        super().__init__(write_offset=write_offset)


class TooManyUploadsError(MediaError):
    """The account has as many open uploads as it may."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS"
    http_status, kazoo_message = 429, "too_many_uploads"
    text = "the account has {limit} open uploads, which is the limit: finish or discard some"

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)


class UploadEndedError(MediaError):
    """The upload has ended, so the request cannot be carried out."""

    code, reason = Code.FAILED_PRECONDITION, "UPLOAD_ENDED"
    http_status, kazoo_message = 410, "upload_ended"
    text = "upload {upload_id!r} is {state} already"

    def __init__(self, upload_id: str, state: str) -> None:
        super().__init__(upload_id=upload_id, state=state)


class NotRawAudioError(MediaError):
    """Pauses and marks need raw audio; the upload is a container."""

    code, reason = Code.FAILED_PRECONDITION, "NOT_RAW_AUDIO"
    http_status, kazoo_message = 412, "not_raw_audio"
    text = "upload {upload_id!r} is not raw audio: only that can be paused or marked"

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id=upload_id)


class SpecMismatchError(MediaError):
    """The upload exists with another spec."""

    code, reason = Code.ALREADY_EXISTS, "SPEC_MISMATCH"
    http_status, kazoo_message = 409, "upload_exists"
    text = "upload {upload_id!r} exists with another spec: resume with the same one"

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id=upload_id)
