"""Queries mean what Kazoo's mean."""

from __future__ import annotations

import pytest

from kazoo_media.crossbar.identifiers import start_key
from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.queries import media_query, paging_of
from kazoo_media.crossbar.requests import Request
from kazoo_media.errors import ValidationError
from kazoo_media.model import Filter, FilterOperator

_EQUALS, _NOT = FilterOperator.EQUALS, FilterOperator.NOT_EQUALS


def _request(query: str) -> Request:
    headers = {"x-rest-uri": f"/v2/media?{query}", "x-rest-method": "GET"}
    return Request.of(Target(Resource.MEDIA), headers, "id")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("filter_name=a+b", Filter(("name",), _EQUALS, ("a b",))),
        ("filter_a.b.c=x", Filter(("a", "b", "c"), _EQUALS, ("x",))),
        ("filter_not_name=x", Filter(("name",), _NOT, ("x",))),
        ('filter_n=["a",1,true,null,1.5]', Filter(("n",), _EQUALS, ("a", "1", "true", "", "1.5"))),
        ("filter_n=[]", Filter(("n",), _EQUALS, ("[]",))),
        ("filter_n=[broken", Filter(("n",), _EQUALS, ("[broken",))),
        ('filter_id=["fr%252Fx","a"]', Filter(("id",), _EQUALS, ("fr/x", "a"))),
        ("filter_name=", Filter(("name",), _EQUALS, ("",))),
        ("has_key=a.b", Filter(("a", "b"), FilterOperator.HAS_KEY)),
        ("key_missing=a", Filter(("a",), FilterOperator.KEY_MISSING)),
        ("has_value=a", Filter(("a",), FilterOperator.HAS_VALUE)),
        ("missing_value=a", Filter(("a",), FilterOperator.VALUE_MISSING)),
        ("value_missing=a", Filter(("a",), FilterOperator.VALUE_MISSING)),
    ],
)
def test_a_filter_is_understood(query: str, wanted: Filter) -> None:
    assert media_query(_request(query), "").filters == (wanted,)


@pytest.mark.parametrize("query", ["", "filter_=x", "has_key=", "filters=x", "name=x", "_=1"])
def test_other_keys_are_no_filters(query: str) -> None:
    assert media_query(_request(query), "").filters == ()


def test_of_repeated_bounds_the_narrowest_counts() -> None:
    epoch = 62_167_219_200
    lower = f"created_from={epoch}&created_from={epoch + 5}"
    query = f"{lower}&created_to={epoch + 9}&created_to=99999999999"
    found = media_query(_request(query), "")
    assert (found.created_from_ms, found.created_to_ms) == (5000, 9999)


@pytest.mark.parametrize("value", ["", "x", "1.5", "1e3", "9" * 30])
def test_a_bound_that_is_not_a_number_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        media_query(_request(f"modified_to={value}"), "")


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("conf-deaf", "conf-deaf"),
        ("g20AAAAJY29uZi1kZWFm", "conf-deaf"),
        ("g20AAAAJY29uZi1kZWF", "g20AAAAJY29uZi1kZWF"),
        ("g20AAAAA", ""),
        ("fr-fr%2Fx", "fr-fr/x"),
        ("0c34" * 8, "0c34" * 8),
        ("ż", "ż"),
        ("", ""),
    ],
)
def test_start_keys(sent: str, key: str) -> None:
    assert start_key(sent) == key


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("", 50),
        ("page_size=7", 7),
        ("page_size=007", 7),
        ("page_size=999999999", 999_999_999),
        ("page_size=1000000000", 999_999_999),
        ("page_size=" + "9" * 5000, 999_999_999),
        ("page_size=0", 50),
        ("page_size=-1", 50),
        ("page_size=x", 50),
        ("page_size=9&page_size=3", 3),
        ("paginate=true", 50),
        ("paginate=false", None),
        ("paginate=false&page_size=3", None),
        ("paginate=", 50),
    ],
)
def test_page_sizes(query: str, size: int | None) -> None:
    assert paging_of(_request(query), 50).size == size
