"""How many fields a message has, counted before it is parsed.

Parsing is one call that holds the interpreter's lock: with two million empty messages in one of
4 MiB it takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from kazoo_media.transport.refused import RefusedError

FIELDS_LIMIT = 25_000
"""Maximum number of fields in a message, on all levels; a value in a Struct takes two to four."""

_COUNTED_FROM_BYTES = 64 * 1024
_FIXED_BYTES = {1: 8, 5: 4}
"""Sizes of values by wire type."""


_Tree: TypeAlias = "dict[int, _Tree]"
"""The fields of a message that are messages, by number, with their fields."""


def bounded(message_class: type[Message]) -> Callable[[bytes], Message]:
    """Return a deserializer that refuses messages with too many fields.

    It raises RefusedError for them, and DecodeError for malformed messages.

    Source: protobuf encoding, message structure.
    """
    tree = _tree(cast("Descriptor", message_class.DESCRIPTOR), {})

    def deserialize(data: bytes) -> Message:
        if len(data) > _COUNTED_FROM_BYTES:
            _check_fields(data, tree)
        return message_class.FromString(data)

    return deserialize


def _check_fields(data: bytes, tree: _Tree) -> None:
    try:
        number = _count(data, tree)
    except IndexError as error:
        raise DecodeError("a message is truncated") from error
    if number > FIELDS_LIMIT:
        details = f"a message has more than the {FIELDS_LIMIT} fields that are allowed"
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, details)


def _count(data: bytes, inner: _Tree) -> int:  # noqa: C901 - calls would double its time
    """Return the number of fields; it stops when there are too many."""
    number, position, end = 0, 0, len(data)
    around: list[tuple[_Tree, int]] = []
    while number <= FIELDS_LIMIT:
        while position >= end:
            if not around:
                return number
            inner, end = around.pop()
        number += 1
        tag = data[position]
        position += 1
        if tag > 0x7F:
            tag, position = _varint(data, position - 1)
        wire_type = tag & 7
        if wire_type == 2:
            size = data[position]
            position += 1
            if size > 0x7F:
                size, position = _varint(data, position - 1)
            below = inner.get(tag >> 3)
            if below is None:
                position += size
            else:
                around.append((inner, end))
                inner, end = below, min(position + size, end)
        elif wire_type == 0:
            _, position = _varint(data, position)
        else:  # the start and the end of a group have no value
            position += _FIXED_BYTES.get(wire_type, 0)
    return number


def _tree(kind: Descriptor, known: dict[str, _Tree]) -> _Tree:
    found = known.get(kind.full_name)
    if found is None:
        found = known[kind.full_name] = {}
        for each in kind.fields:
            if each.message_type is not None:
                found[each.number] = _tree(each.message_type, known)
    return found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, position
        shift += 7
