"""Raw GSM: 33 bytes for each 20 ms, each with a signature in its first four bits."""

from __future__ import annotations

import re

from typing_extensions import override

from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.model import AudioFacts

_FRAME_BYTES, _FRAME_MS = 33, 20
_UNSIGNED = re.compile(rb"[^\xd0-\xdf]")
_END = re.compile(rb"[^\xd0-\xdf]{2}")


class GsmWalk:
    """Walks over raw GSM up to two consecutive frames without the signature: no audio follows them.

    Source: RFC 3551, 4.5.8.1.

    Attributes:
        problem: None: anything may be GSM.
        frames: Number of frames so far.
        left_out_bytes: Number of bytes after the last frame.
    """

    problem: str | None = None

    def __init__(self) -> None:
        self.frames = 0
        self.left_out_bytes = 0
        self._pending = b""

    def kept(self, chunk: bytes) -> bytes:
        """Return the complete frames up to the end of the next bytes."""
        if self.left_out_bytes:
            self.left_out_bytes += len(chunk)
            return b""
        data = self._pending + chunk
        signatures = data[: len(data) // _FRAME_BYTES * _FRAME_BYTES : _FRAME_BYTES]
        end = _END.search(signatures)
        count = len(signatures) if end is None else end.start()
        if end is None and _UNSIGNED.match(signatures[-1:]):
            count -= 1  # the next frame decides
        self.frames += count
        kept, rest = data[: count * _FRAME_BYTES], data[count * _FRAME_BYTES :]
        if end is None:
            self._pending = rest
        else:
            self._pending, self.left_out_bytes = b"", len(rest)
        return kept


class GsmGauge(Gauge):
    """Counts frames."""

    def __init__(self) -> None:
        self._walk = GsmWalk()

    @override
    def feed(self, chunk: bytes) -> None:
        self._walk.kept(chunk)

    @override
    def facts(self) -> AudioFacts:
        return AudioFacts(self._walk.frames * _FRAME_MS, 8000, 1)

    @override
    def warnings(self) -> tuple[str, ...]:
        left_out = self._walk.left_out_bytes
        return (f"{left_out} bytes after the last GSM frame were left out",) if left_out else ()
