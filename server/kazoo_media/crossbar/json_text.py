"""Parsing of clients' JSON; errors name the position in Kazoo's words.

Source: RFC 8259, RFC 7493.
"""

from __future__ import annotations

import re

import orjson

from kazoo_media.errors import ValidationError, Violation

_DEPTH = 32
"""Maximum levels of arrays and objects, including the envelope and `data`.

gRPC clients must be able to read the document in a list; protobuf allows 100 levels and needs three
for each object.
"""
_MANY_DIGITS = re.compile(rb"\d{19}")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[-+.\deE]*')
_INTEGER = re.compile(rb"-?\d+")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def parsed(text: bytes) -> object:
    """Return the value of a JSON text. No string in it has a NUL, and no integer was rounded.

    Raises:
        ValidationError: the text is not JSON, or cannot be stored exactly.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid_json(f"invalid_json around {_position(text, error)}") from error
    if text.count(b"[") + text.count(b"{") > _DEPTH:
        _check_depth(value)
    nul = text.find(b"\\u0000")
    if nul >= 0 and _has_nul(value):
        raise invalid_json(f"invalid_json around {nul + 1}")
    if _MANY_DIGITS.search(text):
        _check_integers(text)
    return value


def invalid_json(message: str) -> ValidationError:
    """Return the error for a body that cannot be read."""
    return ValidationError([Violation("json", "invalid", message, {"target": "body"})])


def _position(text: bytes, error: orjson.JSONDecodeError) -> int:
    """Return the position of the error as Kazoo counts it: in bytes, from 1."""
    try:
        offset = len(text.decode()[: error.pos].encode())
    except UnicodeDecodeError as broken:
        return broken.start + 1
    if error.msg.startswith("trailing comma"):  # Kazoo names the position after the comma
        rest = text[offset + 1 :]
        offset += 1 + len(rest) - len(rest.lstrip())
    return offset + 1


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(_has_nul(each) for each in value)
    if isinstance(value, dict):
        return any(_has_nul(each) for pair in value.items() for each in pair)
    return False


def _check_integers(text: bytes) -> None:
    """Refuse integers that the parser has rounded to floating-point numbers."""
    for token in _TOKEN.finditer(text):
        number = token[0]
        if len(number) > 18 and _INTEGER.fullmatch(number) and not _fits(number):
            raise invalid_json(f"invalid_number around {token.start() + 1}")


def _fits(number: bytes) -> bool:
    return len(number) <= 20 and _MIN_INTEGER <= int(number) <= _MAX_INTEGER


def _check_depth(value: object) -> None:
    for _ in range(254 - _DEPTH):  # the serializer's own limit is 254 levels
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise invalid_json(f"the JSON has more than {_DEPTH} levels") from error
