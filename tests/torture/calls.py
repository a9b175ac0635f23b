"""What a recorder sends of one call, and what the recording must be."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from itertools import takewhile

SILENCE = b"\xff"
_NO_SILENCE = bytes(range(255)) + b"\x00"


class _Kind(enum.Enum):
    SOUND = "sound"
    MASK = "mask"
    SKIP = "skip"
    EITHER = "either"
    GAP = "gap"


class Call:
    """The audio of one call, mu-law and nowhere silent: silence in a recording is a mask or a gap.

    Only sizes are kept; the bytes are made again from the id when they are compared.

    Attributes:
        upload_id: The id of its upload.
        sent_bytes: What its recorders were given so far.
        masked: How many ranges of it are masked.
    """

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        self.sent_bytes = self.masked = 0
        self._source = random.Random(upload_id)
        self._parts: list[tuple[_Kind, int]] = []

    def sound(self, size: int) -> bytes:
        """Return bytes that the recording must have next."""
        return self._next(_Kind.SOUND, size)

    def masked_sound(self, size: int) -> bytes:
        """Return bytes that the recording must have as silence."""
        return self._next(_Kind.MASK, size)

    def skipped_sound(self, size: int) -> bytes:
        """Return bytes that the recording must not have."""
        return self._next(_Kind.SKIP, size)

    def doubtful_sound(self, size: int) -> bytes:
        """Return bytes each of which the recording may have, or silence instead."""
        return self._next(_Kind.EITHER, size)

    def mask(self) -> None:
        """Count a mask."""
        self.masked += 1

    def gap(self) -> None:
        """Expect silence of any length here; once in a call."""
        self._parts.append((_Kind.GAP, 0))

    def sent(self) -> Iterator[bytes]:
        """Yield what was sent, without marks, in parts."""
        for _, data in self._with_data():
            yield data

    def difference(self, content: bytes) -> str:
        """Return how a complete recording differs from what was sent; "" if it does not."""
        stored = sum(size for kind, size in self._parts if kind is not _Kind.SKIP)
        gap_bytes = len(content) - stored
        has_gap = any(kind is _Kind.GAP for kind, _ in self._parts)
        if gap_bytes < 0 or (gap_bytes and not has_gap):
            return f"{self.upload_id} has {len(content)} bytes, {stored} were sent"
        at = 0
        for kind, data in self._with_data():
            size = gap_bytes if kind is _Kind.GAP else 0 if kind is _Kind.SKIP else len(data)
            if not _agrees(kind, content[at : at + size], data):
                return f"{self.upload_id} has other bytes after {at}: {kind.value} was sent"
            at += size
        return ""

    def difference_of_start(self, content: bytes, acknowledged_bytes: int) -> str:
        """Return why a recording is not the start of what was sent, with all acknowledged bytes.

        There must be neither marks nor gaps.
        """
        if len(content) < acknowledged_bytes:
            return f"{self.upload_id} has {len(content)} of {acknowledged_bytes} acknowledged bytes"
        sent = b"".join(self.sent())
        if not sent.startswith(content):
            same = sum(
                1
                for _ in takewhile(
                    lambda pair: pair[0] == pair[1], zip(content, sent, strict=False)
                )
            )
            return f"{self.upload_id} has {len(content)} bytes, other than were sent from {same} on"
        return ""

    def _next(self, kind: _Kind, size: int) -> bytes:
        self._parts.append((kind, size))
        self.sent_bytes += size
        return _sounding(self._source, size)

    def _with_data(self) -> Iterator[tuple[_Kind, bytes]]:
        source = random.Random(self.upload_id)
        for kind, size in self._parts:
            yield kind, _sounding(source, size)


def _sounding(source: random.Random, size: int) -> bytes:
    return source.randbytes(size).translate(_NO_SILENCE)


def _agrees(kind: _Kind, content: bytes, sent: bytes) -> bool:
    if kind is _Kind.SOUND:
        return content == sent
    if kind is _Kind.EITHER:
        pairs = zip(content, sent, strict=True)
        masked = sum(1 for _ in takewhile(lambda pair: pair[0] == SILENCE[0], pairs))
        return content[masked:] == sent[masked:]
    return not content.strip(SILENCE)
