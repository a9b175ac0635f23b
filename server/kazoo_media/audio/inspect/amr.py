"""AMR: counting of its frames, and files that are joined as bytes."""

from __future__ import annotations

import re

from typing_extensions import override

from kazoo_media.audio.inspect.walker import Walker
from kazoo_media.model import AudioFacts

_MOST_FILES = 1000


class AmrWalker(Walker):
    """Counts AMR narrow-band frames of 20 ms. Files that are joined as bytes add up.

    Source: RFC 4867, 5.

    Attributes:
        magic: The first bytes of a file.
        files: Number of files so far.
        seams: Where the files after the first one begin.
    """

    magic = b"#!AMR\n"
    _RATE = 8000
    _LENGTHS: tuple[int, ...] = (13, 14, 16, 18, 20, 21, 27, 32, 6)  # by frame type; 9 to 14: none
    _NO_DATA = re.compile(b"[\x78-\x7f\xf8-\xff]+")

    def __init__(self) -> None:
        super().__init__()
        self.files = 0
        self.seams: list[int] = []
        self._frames = 0
        self._at = 0

    @override
    def _counted(self) -> AudioFacts:
        return AudioFacts(self._frames * 20, self._RATE, 1) if self.files else AudioFacts()

    @override
    def warnings(self) -> tuple[str, ...]:
        if self.files < 2:
            return ()
        return (f"the input is {self.files} AMR files in one: all were read",)

    @property
    def undecided_bytes(self) -> int:
        """Return how many of the last bytes may be the start of another file."""
        return len(self._rest)

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        while at < len(data) and not self._gave_up:
            at = self._march(data, at)
            if at >= len(data):
                break
            step = self._step(data, at)
            if not step:
                break
            at += step
        self._at += at
        return at

    def _march(self, data: bytes, at: int) -> int:
        """Walk from frame to frame up to the end of the data or to anything else."""
        lengths, start, frames = self._LENGTHS, self.magic[0], 0
        while self.files and at < len(data):
            kind = data[at] >> 3 & 15
            if kind >= len(lengths) or data[at] == start:
                break
            frames += 1
            at += lengths[kind]
        self._frames += frames
        return at

    def _step(self, data: bytes, at: int) -> int:
        """Return the length of what is there, 0 if more bytes are needed."""
        kind = data[at] >> 3 & 15
        start = data[at : at + len(self.magic)]
        if start == self.magic and self.files <= _MOST_FILES:
            if self.files:
                self.seams.append(self._at + at)
            self.files += 1
            return len(self.magic)
        if len(start) < len(self.magic) and self.magic.startswith(start):
            return 0
        if self.files and kind < len(self._LENGTHS):
            self._frames += 1
            return self._LENGTHS[kind]
        silence = self._NO_DATA.match(data, at)
        if not self.files or silence is None:
            self._give_up()
            return len(data) - at
        self._frames += silence.end() - at
        return silence.end() - at


class AmrWideWalker(AmrWalker):
    """Counts AMR wide-band frames, also of 20 ms."""

    magic = b"#!AMR-WB\n"
    _RATE = 16_000
    _LENGTHS = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)


class AmrWalk:
    """Walks over AMR files that are joined as bytes, and makes one of them.

    Attributes:
        problem: None: the decoder finds what is wrong.
    """

    problem: str | None = None

    def __init__(self, walker: AmrWalker) -> None:
        self._walker = walker
        self._held = b""
        self._at = 0  # of the held bytes
        self._seams = 0

    def kept(self, chunk: bytes) -> bytes:
        """Return the next bytes without the magic of the second and later files."""
        self._walker.feed(chunk)
        data = self._held + chunk
        end = len(data) - self._walker.undecided_bytes
        pieces, at = [], 0
        for seam in self._walker.seams[self._seams :]:
            pieces.append(data[at : seam - self._at])
            at = seam - self._at + len(self._walker.magic)
        pieces.append(data[at:end])
        self._seams = len(self._walker.seams)
        self._held = data[end:]
        self._at += end
        return b"".join(pieces)
