"""JSON is kept exactly, or refused with the place where it breaks."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.crossbar.json_text import parsed
from kazoo_media.errors import ValidationError
from kazoo_media.rpc.values import to_value
from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.media_service_pb2 import ListMediaResponse

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES, st.booleans())
def test_what_is_read_is_written_the_same(value: object, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.loads(orjson.dumps(parsed(text))) == value


def _message(text: bytes) -> str:
    with pytest.raises(ValidationError) as caught:
        parsed(text)
    [violation] = caught.value.violations
    assert (violation.field, violation.code) == ("json", "invalid")
    return violation.message


@given(st.integers(2**64) | st.integers(max_value=-(2**63) - 1), _TEXT)
def test_an_integer_that_would_be_rounded_is_refused(number: int, before: str) -> None:
    head = json.dumps([before, 1, "18446744073709551616"], ensure_ascii=False)[:-1] + ", "
    text = f"{head}{number}]".encode()
    assert _message(text) == f"invalid_number around {len(head.encode()) + 1}"


def test_digits_that_are_no_integer_are_no_concern() -> None:
    text = b'{"a":"99999999999999999999999","b\\"99999999999999999999999":1.5e10,"c":1e25}'
    assert parsed(text) == {"a": "9" * 23, f'b"{"9" * 23}': 1.5e10, "c": 1e25}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_has_a_limit_that_can_be_written(opening: str) -> None:
    def nested(levels: int) -> bytes:
        closing = "]" if opening == "[" else "}"
        return (opening * (levels - 1) + opening[0] + closing * levels).encode()

    assert orjson.dumps(parsed(nested(32))) == nested(32)
    assert _message(nested(33)) == "the JSON has more than 32 levels"
    assert _message(nested(1000)) == "the JSON has more than 32 levels"
    assert _message(nested(5000)).startswith("invalid_json around ")


def test_what_is_read_with_a_nul_in_its_depth_is_refused_for_its_depth() -> None:
    text = b'{"a":' * 900 + b'"\\u0000"' + b"}" * 900
    assert _message(text) == "the JSON has more than 32 levels"


def test_the_deepest_document_can_be_listed_over_grpc() -> None:
    text = b'{"data":{"k":' + b'{"n":' * 30 + b"1" + b"}" * 32
    document: Any = parsed(text)
    listed = ListMediaResponse(media=[Media()])
    listed.media[0].extra.fields["k"].CopyFrom(to_value(document["data"]["k"]))
    assert ListMediaResponse.FromString(listed.SerializeToString()) == listed


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b'{"data":{"name":"File",}}', 24),
        (b'{"data":[1,]}', 12),
        (b'{"data":', 9),
        (b'{"data":{}}{}', 12),
        (b'{"data":{}} x', 13),
        (b"{'data':1}", 2),
        (b'{"data":tru}', 9),
        (b'{"a":1.}', 8),
        (b'{"a":NaN}', 6),
        (b'{"a":"\\x"}', 7),
        (b"nonsense", 1),
    ],
)
def test_the_position_of_an_error_is_reported(text: bytes, position: int) -> None:
    assert _message(text) == f"invalid_json around {position}"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"[" + b"1," * 5_000 + b"1]", 5_001),
        (b"[" + b"[]," * 5_000 + b"{}]", 5_001),
        (b"[" + b"[ ],\n" * 5_000 + b"{\t}]", 5_001),
        (b'{"a":[' + b'"[,",' * 4_999 + b'"\\""],"b":"\\\\"}', 5_002),
    ],
)
def test_too_many_values_are_refused_with_their_number(text: bytes, number: int) -> None:
    with pytest.raises(ValidationError) as refused:
        parsed(text)
    message = f"{number} values are too many: at most 5000 are allowed"
    assert refused.value.violations[0].message == message


def test_as_many_values_as_allowed_are_read() -> None:
    assert parsed(b"[" + b'"a,[{",' * 4_999 + b"[ ]]") == ["a,[{"] * 4_999 + [[]]


def test_the_position_of_a_large_integer_counts_what_strings_have_before_it() -> None:
    text = b'{"\\"1\\\\": "12345678901234567890123\\"", "n": 12345678901234567890123}'
    with pytest.raises(ValidationError) as refused:
        parsed(text)
    position = text.index(b" 1234") + 2
    assert refused.value.violations[0].message == f"invalid_number around {position}"
