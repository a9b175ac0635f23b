"""What may happen to an upload, as pure functions of its row.

Theory of operation:

1. An upload begins RECEIVING. A stream that opens it raises its epoch; the flush of an older stream
   finds a newer epoch and stores nothing: it was taken over. No locks, leases or clocks are needed,
   and a process that was frozen for an hour does no harm.
2. A stream that ends without a finish leaves it INTERRUPTED, and any stream makes it RECEIVING
   again. If a process dies, its uploads stay RECEIVING without a stream; nothing depends on the
   difference, which is shown to people only.
3. A finish makes it COMMITTING and stores how it ended. From then on no stream can change it, and
   anybody may make the media of it: the process that took the finish, or after its death the next
   caller or the upkeep. Two that do so at once store two blobs, and the transaction of the second
   finds the upload FINISHED.
4. The transaction that makes the media live makes the upload FINISHED. What cannot become a media
   goes back to INTERRUPTED, with the reason, and is tried again until it expires. A recorder that
   goes on begins another epoch, so that an older commit decides nothing any more.
5. DISCARDED: nothing is kept. FINISHED and DISCARDED are final; their rows answer repeated
   finishes until they are forgotten.
6. What arrives while a pause is on is replaced by silence in the transaction that stores it, so the
   state that decides is the newest one. There are two pauses, the recorder's and that of a request;
   audio is kept while neither is on. The recorder's begins and ends exactly where its marks are. A
   request's begins with the next byte to be stored; it ends after the first flush that finds its
   end requested, because all that this flush stores was received before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import google_crc32c

from kazoo_media.errors import (
    NotRawAudioError,
    SpecMismatchError,
    StoreUnavailableError,
    TakenOverError,
    UploadEndedError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.uploads import OPEN_STATES, UploadRow, UploadState
from kazoo_media.recordings.raw_audio import RawAudio
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.time_line import (
    MOST_MARKS,
    Gap,
    Mark,
    Pause,
    PauseMode,
    Resume,
    marks_of,
    with_mark,
)

_TOUCH_MS = 60_000
"""How old the time of the last touch may become while a stream is connected."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a stream has received since its last flush.

    Attributes:
        epoch: Of the stream.
        offset: What was durable when the first part arrived.
        parts: Bytes and marks in their order.
        raw: None: the bytes are a container.
        ends: Whether the stream has ended without a finish.
    """

    epoch: int
    offset: int
    parts: Sequence[bytes | Mark]
    raw: RawAudio | None
    ends: bool
    now_ms: int


def taken_over(row: UploadRow, spec: str, holder: str, now_ms: int) -> UploadRow:
    """Return the row for a new stream; one that is not open any more stays as it is.

    Raises:
        SpecMismatchError: the stream wants something else.
    """
    if row.spec != spec:
        raise SpecMismatchError(row.id)
    if row.state not in (UploadState.RECEIVING, UploadState.INTERRUPTED):
        return row
    return replace(
        row,
        epoch=row.epoch + 1,
        state=UploadState.RECEIVING,
        holder=holder,
        touched_ms=now_ms,
        error="",
    )


def appended(row: UploadRow, received: Received) -> tuple[UploadRow, bytes]:
    """Return the row after a flush of the stream, and the bytes to keep.

    Raises:
        TakenOverError: the upload is not the stream's any more.
        StoreUnavailableError: an earlier flush of the stream is missing.
    """
    _check_held(row, received.epoch)
    if row.persisted_size != received.offset:
        raise StoreUnavailableError
    kept: list[bytes] = []
    size = row.persisted_size
    for part in received.parts:
        if isinstance(part, bytes):
            kept.append(_masked(row, part, received.raw))
            size += len(part)
        else:
            row = _marked(row, size, part)
    data = b"".join(kept)
    if row.resumes:
        row = replace(_with_pauses(row, size, outside="", stream=row.stream_pause), resumes=False)
    if data or received.ends or received.now_ms - row.touched_ms > _TOUCH_MS:
        row = replace(
            row,
            state=UploadState.INTERRUPTED if received.ends else row.state,
            persisted_size=size,
            crc32c=google_crc32c.extend(row.crc32c, data),
            received_ms=received.now_ms if data else row.received_ms,
            touched_ms=received.now_ms,
        )
    return row, data


def declared(row: UploadRow, size_bytes: int, now_ms: int) -> UploadRow:
    """Return the row with the number of bytes that the upload will have.

    Raises:
        UploadEndedError: the upload is not open, or is committing.
        ValidationError: it has another size already, or more bytes.
    """
    if row.state not in (UploadState.RECEIVING, UploadState.INTERRUPTED):
        raise UploadEndedError(row.id, row.state)
    if row.declared_size not in (0, size_bytes) or row.persisted_size > size_bytes:
        known = row.declared_size or f"at least {row.persisted_size}"
        message = f"the upload has {known} bytes, not {size_bytes}"
        raise ValidationError([Violation("size_bytes", "invalid", message, {})])
    return replace(row, declared_size=size_bytes, touched_ms=now_ms)


def paused(row: UploadRow, mode: PauseMode, *, is_raw: bool, now_ms: int) -> UploadRow:
    """Return the row with the pause of a request.

    Raises:
        UploadEndedError: the upload is not open, or is committing.
        NotRawAudioError: it is a container.
        ValidationError: it was paused too often.
    """
    _check_pausable(row, is_raw=is_raw)
    if len(marks_of(row.marks)) >= 2 * MOST_MARKS:
        raise too_many_marks()
    row = _with_pauses(row, row.persisted_size, outside=mode, stream=row.stream_pause)
    return replace(row, resumes=False, touched_ms=now_ms)


def resumed(row: UploadRow, *, is_raw: bool, now_ms: int) -> UploadRow:
    """Return the row with the end of the pause requested.

    Raises:
        UploadEndedError, NotRawAudioError: as `paused`.
    """
    _check_pausable(row, is_raw=is_raw)
    return replace(row, resumes=bool(row.outside_pause), touched_ms=now_ms)


def committing(row: UploadRow, epoch: int, ending: Ending, now_ms: int) -> UploadRow:
    """Return the row of a stream that finishes and has flushed everything.

    Raises:
        TakenOverError: the upload is not the stream's any more.
    """
    _check_held(row, epoch)
    return _committing(row, ending, now_ms)


def abandoned(row: UploadRow, ending: Ending, if_touched_ms: int | None, now_ms: int) -> UploadRow:
    """Return the row of an upload that is kept without its recorder.

    A stream that appends is taken over. An upload that is committing or has ended stays.

    Raises:
        UploadEndedError: it was last touched at another time than `if_touched_ms`.
    """
    _check_touched(row, if_touched_ms)
    if row.state not in (UploadState.RECEIVING, UploadState.INTERRUPTED):
        return row
    return _committing(replace(row, epoch=row.epoch + 1), ending, now_ms)


def discarded(row: UploadRow, if_touched_ms: int | None, now_ms: int) -> UploadRow:
    """Return the row of an upload of which nothing is kept.

    Raises:
        UploadEndedError: it is a media already, or was last touched at another time than
            `if_touched_ms`.
    """
    _check_touched(row, if_touched_ms)
    if row.state is UploadState.FINISHED:
        raise UploadEndedError(row.id, row.state)
    return replace(row, epoch=row.epoch + 1, state=UploadState.DISCARDED, touched_ms=now_ms)


def finished(row: UploadRow, epoch: int, media_id: str, now_ms: int) -> UploadRow:
    """Return the row of an upload that becomes a media now.

    Raises:
        UploadEndedError: it is not in this commit any more: another process was faster.
    """
    if not is_commit(row, epoch):
        raise UploadEndedError(row.id, row.state)
    return replace(
        row,
        state=UploadState.FINISHED,
        media_id=media_id,
        touched_ms=now_ms,
        error="",
        is_archiving=True,
    )


def archived(row: UploadRow, now_ms: int) -> UploadRow:
    """Return the row of a finished upload whose recording was converted."""
    return replace(row, is_archiving=False, touched_ms=now_ms)


def refused(row: UploadRow, epoch: int, error: str, now_ms: int) -> UploadRow:
    """Return the row of an upload that could not become a media; its recorder may go on."""
    if not is_commit(row, epoch):
        return row
    return replace(row, state=UploadState.INTERRUPTED, ending="", error=error, touched_ms=now_ms)


def emptied(row: UploadRow, epoch: int, now_ms: int) -> UploadRow:
    """Return the row of an upload that ends without anything worth keeping.

    Raises:
        UploadEndedError: it is not in this commit any more: another process was faster.
    """
    if not is_commit(row, epoch):
        raise UploadEndedError(row.id, row.state)
    return discarded(row, None, now_ms)


def is_commit(row: UploadRow, epoch: int) -> bool:
    """Return whether the upload is in the commit that began in this epoch.

    A recorder whose finish was refused begins another epoch before it finishes again.
    """
    return row.state is UploadState.COMMITTING and row.epoch == epoch


def too_many_marks() -> ValidationError:
    """Return the error for one mark more than an upload may have."""
    message = f"an upload has at most {MOST_MARKS} marks"
    return ValidationError([Violation("mark", "invalid", message, {})])


def pause_of(row: UploadRow) -> str:
    """Return how audio that arrives now is masked, "" if it is not."""
    return row.outside_pause or row.stream_pause


def _committing(row: UploadRow, ending: Ending, now_ms: int) -> UploadRow:
    return replace(
        row,
        state=UploadState.COMMITTING,
        ending=ending.to_json(),
        outside_pause="",
        stream_pause="",
        resumes=False,
        touched_ms=now_ms,
    )


def _check_held(row: UploadRow, epoch: int) -> None:
    if row.epoch != epoch or row.state is not UploadState.RECEIVING:
        raise TakenOverError(row.id)


def _check_touched(row: UploadRow, if_touched_ms: int | None) -> None:
    if if_touched_ms not in (None, row.touched_ms):
        raise UploadEndedError(row.id, row.state)


def _check_pausable(row: UploadRow, *, is_raw: bool) -> None:
    if row.state not in OPEN_STATES or row.state is UploadState.COMMITTING:
        raise UploadEndedError(row.id, row.state)
    if not is_raw:
        raise NotRawAudioError(row.id)


def _masked(row: UploadRow, data: bytes, raw: RawAudio | None) -> bytes:
    return data if raw is None or not pause_of(row) else raw.silence * len(data)


def _marked(row: UploadRow, offset: int, mark: Mark) -> UploadRow:
    match mark:
        case Pause(mode):
            return _with_pauses(row, offset, outside=row.outside_pause, stream=mode)
        case Resume():
            return _with_pauses(row, offset, outside=row.outside_pause, stream="")
        case Gap():
            return _noted(row, offset, mark)


def _with_pauses(row: UploadRow, offset: int, *, outside: str, stream: str) -> UploadRow:
    """Return the row with other pauses; the time line has what changes for the audio."""
    before = pause_of(row)
    row = replace(row, outside_pause=outside, stream_pause=stream)
    after = pause_of(row)
    if after == before:
        return row
    return _noted(row, offset, Pause(PauseMode(after)) if after else Resume())


def _noted(row: UploadRow, offset: int, mark: Mark) -> UploadRow:
    return replace(row, marks=with_mark(row.marks, offset, mark))
