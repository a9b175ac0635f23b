"""Rules of message fields that the core does not check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from kazoo_media.documents import violations
from kazoo_media.errors import ValidationError, Violation

_Meaning = TypeVar("_Meaning")


def required(field: str, value: str) -> str:
    """Return the text of a required field.

    Raises:
        ValidationError: the field is empty.
    """
    if not value:
        raise ValidationError([violations.required(field)])
    return value


def not_negative(field: str, value: int) -> int:
    """Return a number of 0 or more.

    Raises:
        ValidationError: the number is negative.
    """
    if value < 0:
        raise ValidationError([violations.too_low(field, 0, value)])
    return value


def enum_value(field: str, number: int, known: Mapping[int, _Meaning]) -> _Meaning:
    """Return the meaning of an enum's number. Enums are open: a client may send any number.

    Raises:
        ValidationError: the number is unknown.
    """
    if number not in known:
        raise ValidationError([violations.not_listed(field, list(known), number)])
    return known[number]


def violation(field: str, code: str, message: str) -> ValidationError:
    """Return the error of one field."""
    return ValidationError([Violation(field, code, message, {})])
