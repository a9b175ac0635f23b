"""Serializers for what protobuf alone cannot express: broken streams and malformed requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

POISON = b"\xff\xff\xff\xff"
"""Invalid protobuf. As a message of a transcoded download it makes Envoy reset the HTTP stream: a
gRPC error status after the first byte would look like a complete answer. Only for calls through the
gateway; native clients get the status."""

Pieces: TypeAlias = tuple[bytes, ...]
"""A serialized message in pieces: our own engine sends them without joining them."""

_Request = TypeVar("_Request", bound=Message)


class Malformed:
    """Stands for a request that is invalid protobuf, for example text that is not UTF-8."""


MALFORMED = Malformed()


def pass_through(message: Message | Pieces) -> bytes:
    """Return the bytes of a message."""
    return b"".join(message) if isinstance(message, tuple) else message.SerializeToString()


def lenient(message_class: type[_Request]) -> Callable[[bytes], _Request | Malformed]:
    """Return a deserializer that returns MALFORMED, so that the servicer can report the error."""

    def deserialize(data: bytes) -> _Request | Malformed:
        try:
            return message_class.FromString(data)
        except DecodeError:
            return MALFORMED

    return deserialize
