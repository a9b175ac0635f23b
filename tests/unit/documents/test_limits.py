"""How much a document and the filters of a query may have."""

from __future__ import annotations

import pytest

from kazoo_media.documents.limits import check_extent, check_filters, check_nul
from kazoo_media.errors import TooLargeError, ValidationError
from kazoo_media.model import Filter, FilterOperator


def _nested(levels: int) -> object:
    return [_nested(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"x": [1] * 5_000}, "5001 values are too many: at most 5000 are allowed"),
        ({f"k{n}": {} for n in range(5_001)}, "5001 values are too many: at most 5000 are allowed"),
        ({"x": [{"y": 2**64}]}, "an integer must not have more than 64 bits"),
        ({"x": -(2**63) - 1}, "an integer must not have more than 64 bits"),
        ({"x": _nested(31)}, "33 levels are too many: at most 32 are allowed"),
    ],
)
def test_too_much_is_refused_with_its_number(document: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_extent(document)
    assert refused.value.violations[0].message == message


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"x": [{"y": "a\0b"}]}, "x.y"),
        ({"x": {"a\0b": 1}}, "x"),
        ({"a\0b": 1}, "data"),
    ],
)
def test_nul_is_refused_where_it_is(document: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_nul(document)
    assert refused.value.violations[0].field == field


def test_as_much_as_allowed_passes() -> None:
    check_extent({"x": [1] * 4_999})
    check_extent({"x": _nested(30)})
    check_extent({"x": [2**64 - 1, -(2**63), True]})
    check_extent({"x": "x" * (6 * 2**20 - 1)})


def test_longer_text_is_too_large() -> None:
    with pytest.raises(TooLargeError):
        check_extent({"x": ["x" * (3 * 2**20)] * 2})


def test_filters_have_limits() -> None:
    has_key = Filter(("a",), FilterOperator.HAS_KEY)
    check_filters([has_key] * 100)
    compares = Filter(("a",), FilterOperator.EQUALS, ("x",) * 600)
    deep = Filter(("a",) * 33, FilterOperator.HAS_KEY)
    for filters in ([has_key] * 101, [compares] * 2, [deep]):
        with pytest.raises(ValidationError):
            check_filters(filters)
