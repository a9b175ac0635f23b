"""The journal of a spool: JSON lines that are not lost to a full disk."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

JOURNAL = "journal"
_RESERVE_BYTES = 4096  # about 50 lines
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Journal:
    """A locked file of lines.

    Every method blocks; one thread at a time. Theory of operation:

    1. What the disk does not take waits, and goes first at the next `flush`. So no line is on disk
       without those before it.
    2. Zeros after the last line keep room: a pause and the first answer of the service find
       their place on a disk that is full.
    3. Whoever reads stops at the first line that is not a JSON object. That is one of which only a
       part was written, the room of zeros, or damage by a power cut.

    Attributes:
        lines: What earlier processes have written.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal of a folder, or begin both. A full disk is left to `flush`.

        Raises:
            OSError: the files cannot be used, or another process uses them.
        """
        self._folder = folder
        self._file: BinaryIO | None = None
        self._waiting = b""
        self._end = self._reserved_end = 0
        self._is_closed = False
        self.lines: list[dict[str, Any]] = []
        try:
            file = _locked(folder)
        except OSError as error:
            if error.errno not in _FULL:
                raise
        else:
            self.lines = self._read(file)
            self._file = file

    @property
    def is_behind(self) -> bool:
        """Return whether lines wait for the disk. Does not block."""
        return bool(self._waiting)

    def add(self, line: dict[str, Any]) -> None:
        """Take a line for the next `flush`. Does not block."""
        self._waiting += json.dumps(line).encode() + b"\n"

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OSError: not all of it is written; the rest still waits.
        """
        if self._is_closed:
            raise OSError(errno.EBADF, "the spool is closed", str(self._folder))
        file = self._file or self._begun()
        while self._waiting:
            written = os.pwrite(file.fileno(), self._waiting, self._end)
            self._end += written
            self._waiting = self._waiting[written:]
        self._reserve(file)

    def close(self) -> None:
        """Leave the file for the next process."""
        self._is_closed, self._waiting = True, b""
        if self._file is not None:
            with suppress(OSError):  # nothing is buffered
                self._file.close()

    def remove(self) -> None:
        """Remove the file."""
        if self._file is not None:
            (self._folder / JOURNAL).unlink(missing_ok=True)
        self.close()

    def _begun(self) -> BinaryIO:
        """Open a journal that a full disk has refused at first."""
        file = _locked(self._folder)
        if self._read(file):
            file.close()
            text = "another recorder has used this spool"
            raise OSError(errno.EBUSY, text, str(self._folder))
        self._file = file
        return file

    def _read(self, file: BinaryIO) -> list[dict[str, Any]]:
        """Return the lines of a file; new ones go after them. Closes it if that fails."""
        try:
            data = file.read()
            lines, self._end = _parsed(data)
            self._reserved_end = len(data)
            if data[self._end :].strip(b"\0"):
                file.truncate(self._end)  # or old lines would follow new ones
                self._reserved_end = self._end
        except BaseException:
            file.close()
            raise
        return lines

    def _reserve(self, file: BinaryIO) -> None:
        if self._reserved_end - self._end >= _RESERVE_BYTES // 2:
            return
        try:
            written = os.pwrite(file.fileno(), bytes(_RESERVE_BYTES), self._end)
        except OSError:
            return  # tried again after the next line
        self._reserved_end = self._end + written


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal that others may write. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    return _parsed(path.read_bytes())[0]


def _parsed(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the lines up to the first that is none, and where they end."""
    lines, end = [], 0
    for text in data.split(b"\n")[:-1]:
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        lines.append(line)
        end += len(text) + 1
    return lines, end


def _locked(folder: Path) -> BinaryIO:
    path = folder / JOURNAL
    while True:
        _make_folder(folder)
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        except FileNotFoundError:
            continue  # another recorder has finished, and removed the folder
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                return file
            file.close()  # another recorder has finished, and removed this file
        except BlockingIOError as error:
            file.close()
            text = "another recorder uses this spool"
            raise OSError(error.errno, text, str(folder)) from error
        except BaseException:
            file.close()
            raise


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, for this user alone."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
