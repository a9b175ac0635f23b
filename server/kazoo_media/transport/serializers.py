"""Serializers for what protobuf alone can not say: broken streams and broken requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

POISON = b"\xff\xff\xff\xff"
"""No valid protobuf. As a message of a transcoded download it makes Envoy reset the HTTP stream: a
gRPC error status after the first byte would look like a complete answer. For calls that came
through the gateway only; native clients get the status."""

_Request = TypeVar("_Request", bound=Message)


class Malformed:
    """Stands for a request that is no valid protobuf, for instance one with text that is no
    UTF-8.
    """


MALFORMED = Malformed()


def pass_through(message: Message | bytes) -> bytes:
    """Return the bytes of a message; bytes are sent as they are."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def lenient(message_class: type[_Request]) -> Callable[[bytes], _Request | Malformed]:
    """Return a deserializer that gives MALFORMED instead of failing outside of the servicer's
    reach.
    """

    def deserialize(data: bytes) -> _Request | Malformed:
        try:
            return message_class.FromString(data)
        except DecodeError:
            return MALFORMED

    return deserialize
