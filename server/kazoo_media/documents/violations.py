"""Kazoo's texts for the rules that a value can break. Source: Kazoo's kzs_validation.erl."""

from __future__ import annotations

from collections.abc import Sequence

from kazoo_media.errors import Violation


def required(field: str) -> Violation:
    """Return that a field is missing."""
    return Violation(field, "required", "Field is required but missing", {"value": field})


def wrong_type(field: str, wanted: str, value: object) -> Violation:
    """Return that a value is not of the wanted types, which are named as JSON names them."""
    text = f"Value did not match type(s): {wanted}"
    return Violation(field, "type", text, {"target": wanted, "value": value})


def not_listed(field: str, permitted: Sequence[object], value: object) -> Violation:
    """Return that a value is not one of those that are permitted."""
    text = "Value not found in enumerated list of values"
    return Violation(field, "enum", text, {"target": list(permitted), "value": value})


def too_low(field: str, low: int, value: int) -> Violation:
    """Return that a number is below the lowest that is permitted."""
    text = f"Value must be at least {low}"
    return Violation(field, "minimum", text, {"target": low, "value": value})


def too_high(field: str, high: int, value: int) -> Violation:
    """Return that a number is above the highest that is permitted."""
    text = f"Value must be at most {high}"
    return Violation(field, "maximum", text, {"target": high, "value": value})


def too_many(field: str, what: str, number: int, limit: int) -> Violation:
    """Return that there are more of something than are permitted."""
    text = f"{number} {what} are too many: at most {limit} are allowed"
    return Violation(field, "maxItems", text, {"target": limit})


def too_short(field: str, least: int, value: str) -> Violation:
    """Return that a text has too few characters."""
    text = f"String must be at least {least} characters"
    return Violation(field, "minLength", text, {"target": least, "cause": value, "value": value})


def too_long(field: str, most: int, value: str) -> Violation:
    """Return that a text has too many characters."""
    text = f"String must not be more than {most} characters"
    return Violation(field, "maxLength", text, {"target": most, "cause": value, "value": value})
