"""The incoming bytes of an upload: counted, limited, and checked for completeness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from kazoo_media.audio.inspect.head import Head, can_be_judged, judged
from kazoo_media.errors import (
    ContentMismatchError,
    EmptyContentError,
    IncompleteUploadError,
    TooLargeError,
)
from kazoo_media.metrics import NO_METRICS, Metrics


@dataclass(frozen=True, slots=True)
class Declared:
    """What a client declares before its first byte.

    Attributes:
        content_type: MIME type, parameters allowed; None or one of UNTYPED: detected
            from the bytes.
        size_bytes: Total size, None if it is not known.
        attachment_name: File name for downloads; "": derived from the media's name.
        file_name: Name of the uploaded file; it tells the type of audio without magic.
        preset: Preset that is applied even if normalization is off; "": as the settings say.
        normalizes: Whether the settings and the preset count; else only the original is stored.
    """

    content_type: str | None = None
    size_bytes: int | None = None
    attachment_name: str = ""
    preset: str = ""
    file_name: str = ""
    normalizes: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """The explicit end of an upload: the number of bytes and their SHA-256 in lower-case hex."""

    size_bytes: int
    sha256: str


Source = AsyncIterator[bytes | Finish]
"""The bytes of an upload in order; the last item is a Finish if the protocol has one. If the client
disconnects, the source raises IncompleteUploadError or its task is cancelled; it does not end."""


class Intake:
    """Reads a source. The head is read and judged once, then returned as the first chunk.

    Attributes:
        received_bytes: Number of bytes so far.
    """

    def __init__(
        self,
        source: Source,
        declared: Declared,
        limit_bytes: int,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self.received_bytes = 0
        self._source = source
        self._declared_bytes = declared.size_bytes
        self._limit_bytes = limit_bytes
        self._metrics = metrics
        self._finish: Finish | None = None
        self._held = b""

    async def read_head(self) -> Head:
        """Return as many of the first bytes as are needed to judge them.

        Raises:
            EmptyContentError: the source has no bytes.
            IncompleteUploadError: it ended before its declared size.
        """
        held = bytearray()
        while not can_be_judged(held) and (chunk := await self._next()):
            held += chunk
        if not held:
            raise EmptyContentError
        self._held = bytes(held)
        return judged(self._held)

    async def read(self) -> bytes:
        """Return the next bytes, b"" at a complete end.

        Raises:
            IncompleteUploadError: the source ended before its declared size.
            TooLargeError: the source has more bytes than the limit allows.
        """
        if self._held:
            held, self._held = self._held, b""
            return held
        return await self._next()

    def check_finish(self, sha256: str) -> None:
        """Compare the client's finish with the received bytes.

        Raises:
            ContentMismatchError: they differ.
        """
        finish = self._finish
        if finish is None:
            return
        if finish.size_bytes != self.received_bytes:
            raise ContentMismatchError(
                f"{self.received_bytes} bytes arrived, the finish says {finish.size_bytes}"
            )
        if finish.sha256 != sha256:
            raise ContentMismatchError(
                f"the received bytes have SHA-256 {sha256}, the finish says {finish.sha256}"
            )

    async def _next(self) -> bytes:
        async for chunk in self._source:
            if isinstance(chunk, Finish):
                self._finish = chunk
                continue  # only another read shows whether anything follows
            if not chunk:
                continue
            self.received_bytes += len(chunk)
            self._metrics.received(len(chunk))
            if self.received_bytes > self._limit_bytes:
                raise TooLargeError(self._limit_bytes)
            return chunk
        declared = self._declared_bytes
        if declared is not None and declared != self.received_bytes:
            raise IncompleteUploadError(
                f"{self.received_bytes} of {declared} declared bytes arrived: send it again"
            )
        return b""
