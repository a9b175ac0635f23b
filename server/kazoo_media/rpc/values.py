"""Conversion of JSON values and times to protobuf's well-known types and back."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.rpc.fields import violation

_EXACT_INTEGERS = 2**53
"""Up to here a double holds every integer exactly. Source: RFC 8259, 6."""


def to_value(value: object) -> Value:
    """Return a JSON value as protobuf; integers beyond 2**53 lose their last digits."""
    if value is None:
        return Value(null_value=0)  # type: ignore[arg-type] # the enum's only number
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, dict):
        return Value(
            struct_value=Struct(fields={key: to_value(each) for key, each in value.items()})
        )
    if isinstance(value, list):
        return Value(list_value=ListValue(values=[to_value(each) for each in value]))
    raise TypeError(f"{type(value).__name__} is not a type of JSON values")


def from_value(value: Value, field: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a protobuf value as JSON. Whole numbers become integers, an empty value null.

    Args:
        field: Path of the value, for the error.

    Raises:
        ValidationError: a number is infinite or not a number.
    """
    match value.WhichOneof("kind"):
        case "number_value":
            return _number(value.number_value, field)
        case "struct_value":
            return {
                key: from_value(each, f"{field}.{key}")
                for key, each in value.struct_value.fields.items()
            }
        case "list_value":
            return [from_value(each, field) for each in value.list_value.values]
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


def to_timestamp(unix_ms: int) -> Timestamp:
    """Return a time in Unix milliseconds as a timestamp."""
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


def _number(number: float, field: str) -> int | float:
    if not math.isfinite(number):
        raise violation(field, "type", "Value must be a finite number")
    return int(number) if number.is_integer() and abs(number) <= _EXACT_INTEGERS else number
