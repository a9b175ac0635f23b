"""Page tokens and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_media.errors import BadRequestError, ValidationError
from kazoo_media.rpc.paging import page_token, rows_of, start_of


@given(st.text(min_size=1))
def test_a_token_leads_back_to_its_id(media_id: str) -> None:
    assert start_of(page_token(media_id)) == media_id


def test_no_next_page_has_an_empty_token() -> None:
    assert page_token(None) == ""
    assert start_of("") == ""


@pytest.mark.parametrize("token", ["!", "a", "ab cd", "gICA", "ä", "a+b/"])
def test_a_token_of_another_service_is_refused(token: str) -> None:
    with pytest.raises(BadRequestError):
        start_of(token)


@pytest.mark.parametrize(("asked", "rows"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000)])
def test_a_page_has_as_many_rows_as_asked_within_limits(asked: int, rows: int) -> None:
    assert rows_of(asked) == rows


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(ValidationError):
        rows_of(-1)
