"""What a recorder keeps on its own disk until the service has it."""

from __future__ import annotations

import base64
import logging
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError

from kazoo_media.client.journal import JOURNAL, Journal, read_lines
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, UploadSpec

Mark: TypeAlias = AppendUploadRequest.Mark

_log = logging.getLogger(__name__)
_SEGMENT_BYTES = 1 << 20
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class SpooledUpload:
    """A recording whose spool was left behind by a process.

    Attributes:
        spec: As the recorder was given it.
    """

    account_id: str
    upload_id: str
    spec: UploadSpec


@dataclass(frozen=True, slots=True)
class _Segment:
    start: int
    end: int
    path: Path

    @property
    def size(self) -> int:
        return self.end - self.start


class Spool:
    """The files of one recording: bytes that the service may not have, and marks.

    Every method blocks, and any thread may call it. Theory of operation:

    1. The folder `ACCOUNT/UPLOAD` has a journal of JSON lines and segments, files of about 1 MiB
       whose names are the offset of their first byte. These offsets are local: they count the bytes
       that the spool has taken. `base` is where local offset 0 lies in the upload.
    2. The service may have more than the spool: another machine began the recording, or a power cut
       took the spool's end. What is written from now on then belongs after what the service has, so
       `base` is raised. Until the service has answered, `opened_end` remembers where "from now on"
       begins, also over further restarts.
    3. A segment is removed when the service has all of it, except the newest: its time says when
       something was recorded for the last time.
    4. No byte is written before the journal is: the next process must know whether it is masked,
       and where in the upload it lies.
    5. Nothing is synced to disk: files survive the death of the process, not a power cut.

    Attributes:
        end: Local offset at which the next byte goes.
        opened_end: Local offset at which this process, or one before it that the service has not
            answered, has begun.
        marks: All marks with their local offsets.
        is_resumed: Whether an earlier process has used the spool.
        written_s: Unix time of the last byte of the earlier process; None: it wrote nothing.
    """

    def __init__(self, folder: Path, upload: SpooledUpload, frame_bytes: int) -> None:
        """Open the spool of an upload below a folder, or begin it.

        A full disk is no error here: the files begin as soon as there is room.

        Args:
            frame_bytes: The spool ends after a multiple of it: a killed process may have written a
                part.

        Raises:
            ValueError: an id cannot be a file's name.
            OSError: the files cannot be used, or another process uses them.
        """
        for name in (upload.account_id, upload.upload_id):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} must be 1 to 128 letters, digits and `-_.`")
        self.folder = folder / upload.account_id / upload.upload_id
        self._segments: tuple[_Segment, ...] = ()
        self._touched_until = 0
        self._changing = threading.Lock()
        self._journal = Journal(self.folder)
        try:
            self._load(upload, frame_bytes)
        except BaseException:
            self._journal.close()
            raise

    @property
    def is_behind(self) -> bool:
        """Return whether `flush` has something to write. Does not block."""
        return self._journal.is_behind

    def append(self, offset: int, data: bytes) -> None:
        """Keep bytes at a local offset, and the journal before them; offsets only grow.

        Raises:
            OSError: they are not kept.
        """
        with self._changing:
            self._journal.flush()
            others, newest = self._segments[:-1], self._segments[-1:]
            if newest and newest[0].end == offset and newest[0].size < _SEGMENT_BYTES:
                segment = newest[0]
            else:
                others = self._segments
                segment = _Segment(offset, offset, self.folder / f"{offset:020}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(segment.path, flags, 0o600), "ab", buffering=0) as file:
                file.truncate(segment.size)
                if file.write(data) != len(data):
                    raise OSError("the disk of the spool is full")
            grown = _Segment(segment.start, offset + len(data), segment.path)
            self._segments = (*others, grown)
            self.end = grown.end

    def note(self, offset: int, mark: Mark) -> None:
        """Take a mark for the next `flush`."""
        with self._changing:
            text = base64.b64encode(mark.SerializeToString()).decode()
            self._journal.add({"mark": text, "at": offset})

    def rebase(self, base: int) -> None:
        """Note where the service has local offset 0, and write that.

        Raises:
            OSError: it is not written yet; `flush` and `append` try again.
        """
        with self._changing:
            self.base = base
            self._journal.add({"base": base})
            self._journal.flush()

    def flush(self) -> None:
        """Write what was noted.

        Raises:
            OSError: not all is written.
        """
        with self._changing:
            self._journal.flush()

    def touch(self, below: int) -> None:
        """Note that the service takes bytes below a local offset that the disk does not take."""
        with self._changing:
            if self._segments and below > max(self.end, self._touched_until):
                self._touched_until = below
                with suppress(OSError):
                    os.utime(self._segments[-1].path)

    def read(self, offset: int, size: int) -> bytes:
        """Return at least one and at most `size` bytes from a local offset on.

        Raises:
            OSError: the spool does not have them.
        """
        segments = self._segments
        at = bisect_right([each.start for each in segments], offset) - 1
        if at < 0 or offset >= segments[at].end:
            raise self._missing(offset)
        with segments[at].path.open("rb") as file:
            file.seek(offset - segments[at].start)
            data: bytes = file.read(min(size, segments[at].end - offset))
        if not data:
            raise self._missing(offset)
        return data

    def has_room(self, below: int) -> bool:
        """Return whether `forget` would remove a segment. Does not block."""
        return len(self._segments) > 1 and self._segments[0].end <= below

    def forget(self, below: int) -> None:
        """Remove segments that end at or below a local offset."""
        with self._changing:
            while self.has_room(below):
                self._segments[0].path.unlink(missing_ok=True)
                self._segments = self._segments[1:]

    def close(self) -> None:
        """Leave the files for the next process."""
        with self._changing:
            self._journal.close()

    def delete(self) -> None:
        """Remove the files: the service has everything.

        Raises:
            OSError: some of them stay.
        """
        with self._changing:
            try:
                for segment in _segments(self.folder):
                    segment.path.unlink()
                self._segments = ()
                self._journal.remove()  # last: without it nobody would find the others
            finally:
                self._journal.close()
            with suppress(OSError):  # the next recorder has begun there
                self.folder.rmdir()

    def _missing(self, offset: int) -> OSError:
        why = "its disk has failed, or the service has lost what it had acknowledged"
        return OSError(f"{self.folder} has no byte {offset}: {why}")

    def _load(self, upload: SpooledUpload, frame_bytes: int) -> None:
        lines = self._journal.lines
        if not lines:
            self._journal.add(_head(upload))
        self.marks: list[tuple[int, Mark]] = []
        self._segments = tuple(_segments(self.folder))
        newest = self._segments[-1] if self._segments else None
        self.is_resumed = bool(lines or newest)
        self.written_s = newest.path.stat().st_mtime if newest else None
        end = newest.end if newest else 0
        self.end = end - end % frame_bytes
        if newest:
            trimmed = _Segment(newest.start, self.end, newest.path)
            self._segments = (*self._segments[:-1], trimmed)
        self.base, self.opened_end = 0, self.end
        is_answered = True
        self._journal.add({"opened": self.end})
        for line in (*lines, {"opened": self.end}):
            if "mark" in line:
                mark = Mark.FromString(base64.b64decode(line["mark"]))
                self.marks.append((line["at"], mark))
            elif "base" in line:
                self.base, is_answered = line["base"], True
            elif "opened" in line:
                # A mark is written before its bytes, which a killed process may not have written.
                self.marks = [(min(at, line["opened"]), mark) for at, mark in self.marks]
                self.opened_end = line["opened"] if is_answered else self.opened_end
                is_answered = False
        with suppress(OSError):  # tried again before the first byte
            self._journal.flush()


def spooled_uploads(folder: Path) -> list[SpooledUpload]:
    """Return the recordings that recorders have left in a spool folder. Blocks.

    A recorder that is given the same arguments goes on with one of them. Recordings of running
    processes are in the list as well. Folders whose journal is damaged are left out, with a
    warning.
    """
    found = []
    for path in sorted(folder.glob(f"*/*/{JOURNAL}")):
        with suppress(FileNotFoundError):  # its recorder has just finished
            if not path.stat().st_size:
                continue  # its recorder has just begun
            try:
                found.append(_upload(read_lines(path)[0]))
            except (LookupError, TypeError, ValueError, DecodeError):
                _log.warning("%s does not say what was recorded: it is damaged", path)
    return found


def _upload(head: dict[str, Any]) -> SpooledUpload:
    spec = UploadSpec.FromString(base64.b64decode(head["spec"]))
    return SpooledUpload(head["account_id"], head["upload_id"], spec)


def _head(upload: SpooledUpload) -> dict[str, Any]:
    return {
        "account_id": upload.account_id,
        "upload_id": upload.upload_id,
        "spec": base64.b64encode(upload.spec.SerializeToString(deterministic=True)).decode(),
    }


def _segments(folder: Path) -> Iterator[_Segment]:
    for path in sorted(folder.glob("*")):
        if path.name.isdigit():
            start = int(path.name)
            yield _Segment(start, start + path.stat().st_size, path)
