"""Rules that only messages have: what a core function could not be called with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from kazoo_media.documents import violations
from kazoo_media.errors import ValidationError, Violation

_Wanted = TypeVar("_Wanted")


def required(field: str, value: str) -> str:
    """Return the text of a required field.

    Raises:
        ValidationError: it is empty.
    """
    if not value:
        raise ValidationError([violations.required(field)])
    return value


def not_negative(field: str, value: int) -> int:
    """Return a number of 0 or more.

    Raises:
        ValidationError: it is negative.
    """
    if value < 0:
        raise ValidationError([violations.too_low(field, 0, value)])
    return value


def enum_value(field: str, number: int, known: Mapping[int, _Wanted]) -> _Wanted:
    """Return what an enum's number stands for; enums are open, a client may send any.

    Raises:
        ValidationError: it stands for nothing.
    """
    if number not in known:
        raise ValidationError([violations.not_listed(field, list(known), number)])
    return known[number]


def violation(field: str, code: str, message: str) -> ValidationError:
    """Return the error of one field."""
    return ValidationError([Violation(field, code, message, {})])
