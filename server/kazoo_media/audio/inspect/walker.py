"""The walk from header to header through audio that consists of frames, pages or elements.

Theory of operation. A walker is at an offset of the stream where a frame or page should begin.

1. It reads the header there and skips the length in that header, often far beyond the present
   chunk: `_skip` has the distance. It does not read the bytes between headers.
2. Bytes that cannot be judged before more arrive are kept in `_rest`, a few KiB at most.
3. If there is no header, it searches the next one at C speed. Hostile bytes make it search often,
   so it gives up after _MOST_ERRORS false hits: from then on nothing is known.
"""

from __future__ import annotations

from abc import abstractmethod

from typing_extensions import override

from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.model import AudioFacts

_MOST_ERRORS = 10_000


class Walker(Gauge):
    """Walks from header to header."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._errors = 0

    @override
    def feed(self, chunk: bytes) -> None:
        if self._gave_up:
            return
        if self._skip >= len(chunk):
            self._skip -= len(chunk)
            return
        data = self._rest + chunk[self._skip :] if self._rest or self._skip else chunk
        at = self._walk(data)
        self._skip = max(0, at - len(data))
        self._rest = data[at:]

    @override
    def facts(self) -> AudioFacts:
        return AudioFacts() if self._gave_up else self._counted()

    @override
    def is_truncated(self) -> bool:
        return self._skip > 0 and not self._gave_up

    def _give_up(self) -> None:
        self._errors = _MOST_ERRORS + 1

    @property
    def _gave_up(self) -> bool:
        return self._errors > _MOST_ERRORS

    @abstractmethod
    def _walk(self, data: bytes) -> int:
        """Walk over `data` and return where to continue, which may be after its end."""

    @abstractmethod
    def _counted(self) -> AudioFacts:
        """Return the counted audio."""
