"""An answer: what goes back over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
CSV = "text/csv"

MESSAGE_BYTES = 512 * 1024
"""Most bytes of one message: Envoy's transcoder refuses more than 1 MiB."""


@dataclass(slots=True)
class Answer:
    """What goes back over HTTP.

    Attributes:
        data: The body, or its first piece.
        rest: The pieces after that, already started: closing it releases what it holds.
        size_bytes: Content-Length; None: not known.
    """

    status: int
    data: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: AsyncGenerator[bytes, None] | None = None
    size_bytes: int | None = None

    @classmethod
    def whole(cls, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Return an answer of JSON that is complete."""
        return cls(status, data, headers=headers or {}, size_bytes=len(data))
