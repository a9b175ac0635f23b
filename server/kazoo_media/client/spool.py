"""What a recorder keeps on its own disk until the service has it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, UploadSpec

Mark: TypeAlias = AppendUploadRequest.Mark

_JOURNAL = "journal"
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


class Spool:
    """The files of one recording: bytes that the service may not have, and marks.

    Every method blocks; one thread at a time changes it. Theory of operation:

    1. The folder `ACCOUNT/UPLOAD` has a journal of JSON lines and segments, files of about 1 MiB
       whose names are the offset of their first byte. These offsets are local: they count the bytes
       that the spool has taken. `base` is where local offset 0 lies in the upload.
    2. The service may have more than the spool: another machine began the recording, or a power cut
       took the spool's end. What is written from now on then belongs after what the service has, so
       `base` is raised. Until the service has answered, `opened_end` remembers where "from now on"
       begins, also over further restarts.
    3. A segment is removed when the service has all of it, except the newest: its time says when
       the recorder wrote for the last time.
    4. Nothing is synced to disk: files survive the death of the process, not a power cut.

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

        Args:
            frame_bytes: The spool ends after a multiple of it: a killed process may have written a
                part.

        Raises:
            ValueError: an id cannot be a file's name.
            OSError: the files cannot be written, or another process uses them.
        """
        for name in (upload.account_id, upload.upload_id):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} must be 1 to 128 letters, digits and `-_.`")
        self.folder = folder / upload.account_id / upload.upload_id
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._segments: tuple[_Segment, ...] = ()
        self._journal = _locked(self.folder / _JOURNAL)
        try:
            self._load(upload, frame_bytes)
        except BaseException:
            self._journal.close()
            raise

    def append(self, offset: int, data: bytes) -> None:
        """Keep bytes at a local offset; offsets only grow.

        Raises:
            OSError: they are not kept.
        """
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.end != offset or newest.end - newest.start >= _SEGMENT_BYTES:
            newest = _Segment(offset, offset, self.folder / f"{offset:020}")
            self._segments = (*self._segments, newest)
        with newest.path.open("ab", buffering=0) as file:
            file.truncate(newest.end - newest.start)
            if file.write(data) != len(data):
                raise OSError("the disk of the spool is full")
        grown = _Segment(newest.start, offset + len(data), newest.path)
        self._segments = (*self._segments[:-1], grown)
        self.end = grown.end

    def note(self, offset: int, mark: Mark) -> None:
        """Keep a mark.

        Raises:
            OSError: it is not kept.
        """
        self._write({"mark": base64.b64encode(mark.SerializeToString()).decode(), "at": offset})

    def rebase(self, base: int) -> None:
        """Note where the service has local offset 0.

        Raises:
            OSError: it is not kept.
        """
        self.base = base
        self._write({"base": base})

    def read(self, offset: int, size: int) -> bytes:
        """Return at least one and at most `size` bytes from a local offset on.

        Raises:
            OSError: the spool does not have them.
        """
        segments = self._segments
        at = bisect_right([each.start for each in segments], offset) - 1
        if at < 0 or offset >= segments[at].end:
            raise OSError(f"{self.folder} has no byte {offset}: its disk has failed")
        with segments[at].path.open("rb") as file:
            file.seek(offset - segments[at].start)
            data: bytes = file.read(min(size, segments[at].end - offset))
        if not data:
            raise OSError(f"{self.folder} has no byte {offset}: its disk has failed")
        return data

    def has_room(self, below: int) -> bool:
        """Return whether `forget` would remove a segment. Does not block."""
        return len(self._segments) > 1 and self._segments[0].end <= below

    def forget(self, below: int) -> None:
        """Remove segments that end at or below a local offset."""
        while self.has_room(below):
            self._segments[0].path.unlink(missing_ok=True)
            self._segments = self._segments[1:]

    def close(self) -> None:
        """Leave the files for the next process."""
        self._journal.close()

    def delete(self) -> None:
        """Remove the files: the service has everything."""
        for path in self.folder.iterdir():
            if path.name != _JOURNAL:
                path.unlink()
        (self.folder / _JOURNAL).unlink()  # last: without it nobody would find the others
        self._journal.close()
        self.folder.rmdir()

    def _load(self, upload: SpooledUpload, frame_bytes: int) -> None:
        lines = list(_lines(self._journal))
        self.is_resumed = bool(lines)
        if not lines:
            self._write(_head(upload))
        self.marks: list[tuple[int, Mark]] = []
        self._segments = tuple(_segments(self.folder))
        newest = self._segments[-1] if self._segments else None
        self.written_s = newest.path.stat().st_mtime if newest else None
        end = newest.end if newest else 0
        self.end = end - end % frame_bytes
        if newest:
            trimmed = _Segment(newest.start, self.end, newest.path)
            self._segments = (*self._segments[:-1], trimmed)
        self.base, self.opened_end = 0, self.end
        is_answered = True
        self._write({"opened": self.end})
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

    def _write(self, line: dict[str, Any]) -> None:
        self._journal.write(json.dumps(line).encode() + b"\n")
        self._journal.flush()


def spooled_uploads(folder: Path) -> list[SpooledUpload]:
    """Return the recordings that recorders have left in a spool folder. Blocks.

    A recorder that is given the same arguments goes on with one of them. Recordings of running
    processes are in the list as well.
    """
    found = []
    for path in sorted(folder.glob(f"*/*/{_JOURNAL}")):
        with path.open("rb") as journal:
            head = next(_lines(journal), None)
        if head is not None:
            spec = UploadSpec.FromString(base64.b64decode(head["spec"]))
            found.append(SpooledUpload(head["account_id"], head["upload_id"], spec))
    return found


def _locked(path: Path) -> BinaryIO:
    journal = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        journal.close()
        raise OSError(error.errno, "another recorder uses this spool", str(path.parent)) from error
    return journal


def _lines(journal: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the complete lines; what is written next replaces an incomplete one."""
    journal.seek(0)
    text, newline, _ = journal.read().rpartition(b"\n")
    yield from map(json.loads, text.splitlines())
    if journal.writable():
        journal.seek(len(text + newline))
        journal.truncate()


def _head(upload: SpooledUpload) -> dict[str, Any]:
    return {
        "account_id": upload.account_id,
        "upload_id": upload.upload_id,
        "spec": base64.b64encode(upload.spec.SerializeToString(deterministic=True)).decode(),
    }


def _segments(folder: Path) -> Iterator[_Segment]:
    for path in sorted(folder.iterdir()):
        if path.name.isdigit():
            start = int(path.name)
            yield _Segment(start, start + path.stat().st_size, path)
