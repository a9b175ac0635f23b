"""JSON values survive their way through protobuf."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.errors import ValidationError
from kazoo_media.rpc.values import from_value, to_timestamp, to_value

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_a_json_value_comes_back_equal(value: Any) -> None:
    sent = Value.FromString(to_value(value).SerializeToString())
    assert from_value(sent, "x") == value


@pytest.mark.parametrize("number", [0, 1, -1, 8000, 2**53])
def test_an_integer_stays_an_integer(number: int) -> None:
    back = from_value(to_value({"n": [number]}), "x")["n"][0]
    assert back == number
    assert type(back) is int


def test_a_fraction_stays_a_float() -> None:
    assert from_value(to_value(1.5), "x") == 1.5


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(ValidationError) as refused:
        from_value(to_value({"a": {"b": number}}), "extra")
    assert refused.value.violations[0].field == "extra.a.b"


def test_a_value_of_no_kind_is_null() -> None:
    assert from_value(Value(), "x") is None


def test_milliseconds_become_a_timestamp() -> None:
    assert to_timestamp(1_700_000_000_123).ToJsonString() == "2023-11-14T22:13:20.123Z"
