"""Conversion of uploads to messages, and of specs, marks and finishes back."""

from __future__ import annotations

from collections.abc import Mapping

from kazoo_media.errors import BadRequestError
from kazoo_media.model import Media
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.spec import Ending, UploadSpec
from kazoo_media.recordings.time_line import Gap, Mark, Pause, PauseMode, Resume
from kazoo_media.recordings.upload import SeenState, Upload
from kazoo_media.rpc.convert import media_message, sent_document
from kazoo_media.rpc.fields import enum_value, not_negative, required, violation
from kazoo_media.rpc.values import from_value, to_timestamp
from kazoo_media.v1 import upload_service_pb2 as pb

_ENCODING_NUMBERS: Mapping[RawEncoding, pb.RawEncoding.ValueType] = {
    RawEncoding.LINEAR16: pb.RAW_ENCODING_LINEAR16,
    RawEncoding.MULAW: pb.RAW_ENCODING_MULAW,
    RawEncoding.ALAW: pb.RAW_ENCODING_ALAW,
}
_ENCODINGS: Mapping[int, RawEncoding] = {
    number: encoding for encoding, number in _ENCODING_NUMBERS.items()
}
_MODES: Mapping[int, PauseMode] = {
    pb.PAUSE_MODE_UNSPECIFIED: PauseMode.SILENCE,
    pb.PAUSE_MODE_SILENCE: PauseMode.SILENCE,
    pb.PAUSE_MODE_SKIP: PauseMode.SKIP,
}
MODE_NUMBERS: Mapping[str, pb.PauseMode.ValueType] = {
    "": pb.PAUSE_MODE_UNSPECIFIED,
    PauseMode.SILENCE: pb.PAUSE_MODE_SILENCE,
    PauseMode.SKIP: pb.PAUSE_MODE_SKIP,
}
"""The `PauseMode` for each way in which audio is masked; "": it is not."""

STATE_NUMBERS: Mapping[SeenState, pb.UploadState.ValueType] = {
    SeenState.RECEIVING: pb.UPLOAD_STATE_RECEIVING,
    SeenState.PAUSED: pb.UPLOAD_STATE_PAUSED,
    SeenState.INTERRUPTED: pb.UPLOAD_STATE_INTERRUPTED,
    SeenState.COMMITTING: pb.UPLOAD_STATE_COMMITTING,
    SeenState.FINISHED: pb.UPLOAD_STATE_FINISHED,
    SeenState.DISCARDED: pb.UPLOAD_STATE_DISCARDED,
}
"""The `UploadState` for each state."""

STATES: Mapping[int, SeenState] = {number: state for state, number in STATE_NUMBERS.items()}
"""The state for each `UploadState`."""

_REASON_CHARACTERS = 128
_SHA256_CHARACTERS = frozenset("0123456789abcdef")


async def spec_of(message: pb.UploadSpec) -> UploadSpec:
    """Return the spec that a message describes; the core checks it.

    Raises:
        ValidationError: the document or the encoding cannot be read, or there are two media.
    """
    has_media = message.HasField("media")
    if has_media == bool(message.media_id):
        raise violation("spec.media", "required", "either this or `media_id` is required")
    raw = message.raw
    return UploadSpec(
        document=await sent_document(message.media) if has_media else None,
        media_id=message.media.id if has_media else message.media_id,
        content_type=message.content_type,
        raw=RawAudio(
            enum_value("spec.raw.encoding", raw.encoding, _ENCODINGS),
            raw.sample_rate_hertz,
            raw.channel_count,
            tuple(raw.channel_roles),
        )
        if message.HasField("raw")
        else None,
        max_bytes=message.max_bytes,
        min_duration_ms=message.min_duration_ms,
    )


def mode_of(mode: int) -> PauseMode:
    """Return the mode of a pause.

    Raises:
        ValidationError: it is unknown.
    """
    return enum_value("mode", mode, _MODES)


def mark_of(message: pb.AppendUploadRequest.Mark) -> Mark:
    """Return the mark that a message describes.

    Raises:
        BadRequestError: it has no kind.
        ValidationError: its value is not permitted.
    """
    match message.WhichOneof("kind"):
        case "pause":
            return Pause(enum_value("mark.pause", message.pause, _MODES))
        case "resume":
            if not message.resume:
                raise violation("mark.resume", "invalid", "must be true")
            return Resume()
        case "gap_ms":
            return Gap(message.gap_ms)
    raise BadRequestError("a mark must have a kind")


def ending_of(message: pb.AppendUploadRequest.Finish) -> Ending:
    """Return the ending that a finish describes.

    Raises:
        ValidationError: a field breaks a rule.
    """
    if message.sha256 and not (
        len(message.sha256) == 64 and _SHA256_CHARACTERS.issuperset(message.sha256)
    ):
        raise violation("finish.sha256", "invalid", "must be 64 lower-case hex digits, or empty")
    return Ending(
        size_bytes=not_negative("finish.size_bytes", message.size_bytes),
        sha256=message.sha256,
        reason=checked_reason("finish.end_reason", message.end_reason),
        extra={
            key: from_value(value, f"finish.extra.{key}")
            for key, value in message.extra.fields.items()
        },
    )


def checked_reason(field: str, reason: str) -> str:
    """Return why an upload ended.

    Raises:
        ValidationError: it is too long.
    """
    if len(reason) > _REASON_CHARACTERS:
        text = f"must not have more than {_REASON_CHARACTERS} characters"
        raise violation(field, "invalid", text)
    return reason


def checked_upload_id(upload_id: str) -> str:
    """Return the id of an upload.

    Raises:
        ValidationError: it is empty.
    """
    return required("upload_id", upload_id)


def upload_message(upload: Upload) -> pb.Upload:
    """Return an upload as a message."""
    row = upload.row
    return pb.Upload(
        account_id=row.account_id,
        upload_id=row.id,
        state=STATE_NUMBERS[upload.state],
        persisted_size=row.persisted_size,
        persisted_crc32c=row.crc32c,
        pause_mode=MODE_NUMBERS[upload.pause],
        duration_ms=upload.duration_ms,
        create_time=to_timestamp(row.created_ms),
        receive_time=to_timestamp(row.received_ms) if row.received_ms else None,
        holder=row.holder,
        spec=_spec_message(upload.spec),
        media_id=row.media_id,
        error=row.error,
    )


def _spec_message(spec: UploadSpec) -> pb.UploadSpec:
    message = pb.UploadSpec(
        content_type=spec.content_type,
        max_bytes=spec.max_bytes,
        min_duration_ms=spec.min_duration_ms,
    )
    if spec.document is None:
        message.media_id = spec.media_id
    else:
        media = Media("", spec.media_id, spec.document, "", 0, 0)
        message.media.CopyFrom(media_message(media))
        message.media.ClearField("create_time")
        message.media.ClearField("update_time")
    if spec.raw is not None:
        message.raw.encoding = _ENCODING_NUMBERS[spec.raw.encoding]
        message.raw.sample_rate_hertz = spec.raw.sample_rate_hertz
        message.raw.channel_count = spec.raw.channel_count
        message.raw.channel_roles.extend(spec.raw.channel_roles)
    return message
