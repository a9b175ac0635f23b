"""An answer to a REST request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
CSV = "text/csv"

MESSAGE_BYTES = 256 * 1024
"""Maximum size of one message; the gateway's `max_response_body_size` is a little more."""


@dataclass(slots=True)
class Answer:
    """A status, headers and a body.

    Attributes:
        data: The body, or its first piece.
        rest: The following pieces; closing the generator releases its resources.
        size_bytes: Content-Length; None: unknown.
    """

    status: int
    data: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: AsyncGenerator[bytes, None] | None = None
    size_bytes: int | None = None

    @classmethod
    def whole(cls, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Return an answer with a complete JSON body."""
        return cls(status, data, headers=headers or {}, size_bytes=len(data))
