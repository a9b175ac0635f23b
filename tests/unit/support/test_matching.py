"""What a filter means, in plain Python."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_media.model import Filter, FilterOperator
from tests.contract.media_samples import make_media
from tests.support.matching import passes

MISSING = object()


def _passes(value: Any, operator: FilterOperator, *values: str) -> bool:
    document = {} if value is MISSING else {"key": value}
    return passes(make_media("the-id", **document), Filter(("key",), operator, values))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("", ""),
        (None, ""),
        (MISSING, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-5, "-5"),
        (5.0, "5.0"),
        (1e20, "1e+20"),
        (2**64 - 1, "18446744073709551615"),
    ],
)
def test_values_are_compared_as_text(value: Any, text: str) -> None:
    assert _passes(value, FilterOperator.EQUALS, "other", text)
    assert not _passes(value, FilterOperator.EQUALS, "other")
    assert not _passes(value, FilterOperator.NOT_EQUALS, "other", text)
    assert _passes(value, FilterOperator.NOT_EQUALS, "other")


@pytest.mark.parametrize("value", [{}, [], {"a": 1}, ["x"]])
def test_objects_and_arrays_equal_nothing(value: Any) -> None:
    texts = ("", "{}", "[]", '{"a":1}', '["x"]', "x")
    assert not _passes(value, FilterOperator.EQUALS, *texts)
    assert _passes(value, FilterOperator.NOT_EQUALS, *texts)


@pytest.mark.parametrize("value", [MISSING, None, "", 0, 0.0, "0", [], {}])
def test_emptiness_is_no_value(value: Any) -> None:
    assert not _passes(value, FilterOperator.HAS_VALUE)
    assert _passes(value, FilterOperator.VALUE_MISSING)
    assert _passes(value, FilterOperator.HAS_KEY) == (value is not MISSING)
    assert _passes(value, FilterOperator.KEY_MISSING) == (value is MISSING)


@pytest.mark.parametrize("value", [False, True, 1, 0.5, " ", "00", [None], {"a": None}])
def test_everything_else_is_a_value(value: Any) -> None:
    assert _passes(value, FilterOperator.HAS_VALUE)
    assert not _passes(value, FilterOperator.VALUE_MISSING)


def test_only_language_ignores_case() -> None:
    media = make_media("ID", language="EN-us", name="EN-us", deep={"language": "EN-us"})
    for path, ignores_case in (
        (("language",), True),
        (("name",), False),
        (("deep", "language"), False),
    ):
        condition = Filter(path, FilterOperator.EQUALS, ("en-US",))
        assert passes(media, condition) == ignores_case


def test_a_path_walks_through_objects_only() -> None:
    media = make_media("the-id", list=[{"0": 1}], text="abc", deep={"a.b": {"": 1}})
    assert passes(media, Filter(("deep", "a.b", ""), FilterOperator.EQUALS, ("1",)))
    assert passes(media, Filter(("list", "0"), FilterOperator.KEY_MISSING))
    assert passes(media, Filter(("text", "a"), FilterOperator.KEY_MISSING))
    assert passes(media, Filter(("id",), FilterOperator.EQUALS, ("the-id",)))
    assert passes(media, Filter(("id", "x"), FilterOperator.KEY_MISSING))
