"""What every error has."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import ClassVar


class Code(enum.Enum):
    """gRPC status codes by name, so that the core does not import grpc."""

    INVALID_ARGUMENT = enum.auto()
    NOT_FOUND = enum.auto()
    ALREADY_EXISTS = enum.auto()
    PERMISSION_DENIED = enum.auto()
    UNAUTHENTICATED = enum.auto()
    RESOURCE_EXHAUSTED = enum.auto()
    FAILED_PRECONDITION = enum.auto()
    ABORTED = enum.auto()
    OUT_OF_RANGE = enum.auto()
    UNIMPLEMENTED = enum.auto()
    INTERNAL = enum.auto()
    UNAVAILABLE = enum.auto()
    DATA_LOSS = enum.auto()


class MediaError(Exception):
    """A failure with its texts and facts.

    Attributes:
        message: One sentence for a person: what happened, which value, what to do.
        facts: Strings for a machine; they become `ErrorInfo.metadata`.
    """

    code: ClassVar[Code]
    reason: ClassVar[str]
    http_status: ClassVar[int]
    kazoo_message: ClassVar[str]
    text: ClassVar[str] = ""
    """The default message, with facts in braces; "": the words of `kazoo_message`."""
    fixed_data: ClassVar[object] = None
    """`kazoo_data`, if Kazoo always sends the same value."""
    response_headers: ClassVar[Sequence[tuple[str, str]]] = ()
    """HTTP response headers that belong to the error: names, and values with facts in braces."""

    def __init__(self, message: str = "", **facts: str | int) -> None:
        self.facts: dict[str, str] = {key: str(value) for key, value in facts.items()}
        text = message or self.text.format_map(self.facts)
        self.message = text or self.kazoo_message.replace("_", " ")
        super().__init__(self.message)

    @property
    def kazoo_data(self) -> object:
        """Return the `data` of Kazoo's error envelope; for most errors it contains the message."""
        return {"message": self.message} if self.fixed_data is None else self.fixed_data

    @property
    def headers(self) -> Mapping[str, str]:
        """Return HTTP response headers that belong to the error."""
        return {name: value.format_map(self.facts) for name, value in self.response_headers}
