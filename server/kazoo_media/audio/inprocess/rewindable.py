"""A pipe with as much of the interface of a file as a parser of headers needs."""

from __future__ import annotations

import io
import os

_END = 1 << 36  # more would overflow where libsndfile counts blocks
_KEPT_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024


class Rewindable:
    """The first bytes of a pipe can be read again; its reported end is far away.

    Only libsndfile uses it, and so finds no chunks after the audio.

    Attributes:
        ended: Whether a read reached the end of the input.
    """

    def __init__(self, source_fd: int, head: bytes) -> None:
        self._source_fd = source_fd
        self._window = head
        self._window_at = 0
        self._place = 0
        self.ended = False

    @property
    def total_bytes(self) -> int:
        """Return the number of bytes so far, including the head."""
        return self._window_at + len(self._window)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: _END}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._place

    def read(self, size: int) -> bytes:
        """Return this many bytes; fewer only at the end, none beyond the bytes read so far."""
        at = self._place - self._window_at
        if not 0 <= at <= len(self._window):
            return b""
        while at + size > len(self._window) and (data := os.read(self._source_fd, _READ_BYTES)):
            surplus = min(max(0, len(self._window) - _KEPT_BYTES), at)
            self._window = self._window[surplus:] + data
            self._window_at += surplus
            at -= surplus
        data = self._window[at : at + size]
        self.ended = len(data) < size
        self._place += len(data)
        return data
