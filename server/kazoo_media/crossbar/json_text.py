"""Parsing of clients' JSON; errors name the position in Kazoo's words.

A text is measured before it is parsed: the parser would hold the interpreter's lock for a second
while it makes a million arrays. Each step that looks at a whole text is one call of `bytes`.

Source: RFC 8259, RFC 7493.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from kazoo_media.documents.limits import DEPTH_LIMIT, MAX_INTEGER, MIN_INTEGER, VALUES_LIMIT
from kazoo_media.documents.violations import too_many
from kazoo_media.errors import ValidationError, Violation

_STRINGS_LIMIT = 2 * VALUES_LIMIT
"""Each value may be a string and have a key."""

_WHITE_SPACE = b" \t\r\n"
_MANY_DIGITS = re.compile(rb"\d{19}")
_NUMBER = re.compile(rb"-?\d[-+.\deE]*")
_INTEGER = re.compile(rb"-?\d+")


def parsed(text: bytes) -> object:
    """Return the value of a JSON text. No string in it has a NUL, and no integer was rounded.

    Raises:
        ValidationError: the text is not JSON, has too many values, or cannot be stored exactly.
    """
    parts = _parts(text)
    bare = b"0".join(parts[::2]).translate(None, _WHITE_SPACE)
    _check_count(bare)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid_json(f"invalid_json around {_position(text, error)}") from error
    if bare.count(b"[") + bare.count(b"{") > DEPTH_LIMIT:
        _check_depth(value)
    nul = text.find(b"\\u0000")
    if nul >= 0 and _has_nul(value):
        raise invalid_json(f"invalid_json around {nul + 1}")
    if _MANY_DIGITS.search(bare):
        _check_integers(parts)
    return value


def invalid_json(message: str) -> ValidationError:
    """Return the error for a body that cannot be read."""
    return ValidationError([Violation("json", "invalid", message, {"target": "body"})])


def _parts(text: bytes) -> Sequence[bytes]:
    """Return the text between the quotation marks: every second part is outside of strings.

    Raises:
        ValidationError: there are too many strings.
    """
    if b"\\" in text:  # replaced by as many bytes, so that positions stay
        text = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    strings = text.count(b'"') // 2
    if strings > _STRINGS_LIMIT:
        raise ValidationError([too_many("json", "strings", strings, _STRINGS_LIMIT)])
    return text.split(b'"')


def _check_count(bare: bytes) -> None:
    """Check the number of values in a text without its strings and white space."""
    values = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > VALUES_LIMIT:
        values -= bare.count(b"[]") + bare.count(b"{}")
    if values > VALUES_LIMIT:
        raise ValidationError([too_many("json", "values", values, VALUES_LIMIT)])


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


def _check_integers(parts: Sequence[bytes]) -> None:
    """Refuse integers that the parser has rounded to floating-point numbers."""
    offset = 0
    for index, part in enumerate(parts):
        for found in () if index % 2 else _NUMBER.finditer(part):
            number = found[0]
            if len(number) > 18 and _INTEGER.fullmatch(number) and not _fits(number):
                raise invalid_json(f"invalid_number around {offset + found.start() + 1}")
        offset += len(part) + 1


def _fits(number: bytes) -> bool:
    return len(number) <= 20 and MIN_INTEGER <= int(number) <= MAX_INTEGER


def _check_depth(value: object) -> None:
    for _ in range(254 - DEPTH_LIMIT):  # the serializer's own limit is 254 levels
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise invalid_json(f"the JSON has more than {DEPTH_LIMIT} levels") from error
