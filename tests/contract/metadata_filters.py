"""What every metadata store promises of filters: the plain meaning in `matching`."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Filter, FilterOperator, MediaQuery
from tests.contract.media_samples import ACCOUNT, make_media
from tests.support.matching import matches

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
_KEYS = st.sampled_from(
    [
        "a",
        "b",
        "language",
        "",
        "a.b",
        'a"b',
        '"',
        "\\",
        '\\"',
        "[0]",
        "0",
        "$",
        "#-1",
        "'",
        "é",
        "😀",
    ]
)
_NUMBERS = st.sampled_from([0, 5, -5, 5.0, 0.0, -0.0, 0.1, 1e20, 1e-7, 2**53 + 1, 2**64 - 1])
_WORDS = st.sampled_from(["", "0", "5", "5.0", "true", "false", "null", "en-US", "EN-us", "[]"])
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _WORDS,
    _TEXT,
)
_DOCUMENTS = st.dictionaries(
    _KEYS,
    st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=2),
        max_leaves=6,
    ),
    max_size=4,
)
_PATHS = st.lists(_KEYS, min_size=1, max_size=3).map(tuple) | st.sampled_from(
    [("id",), ("id", "a"), ("language",), ("a\0",), ("a", "\0")]
)
_VALUES = _WORDS | _TEXT | st.sampled_from(["1e20", "1e+20", "-0.0", "0.1", "m0", "M0", "Infinity"])
_FILTERS = st.builds(
    Filter,
    path=_PATHS,
    operator=st.sampled_from(FilterOperator),
    values=st.lists(_VALUES, min_size=1, max_size=3).map(tuple),
)


def _equals(path: str, *values: str) -> Filter:
    return Filter(tuple(path.split(".")), FilterOperator.EQUALS, values)


class FilterContract:
    """Filters of `list_media`."""

    @settings(max_examples=60)
    @given(
        documents=st.lists(_DOCUMENTS, min_size=1, max_size=5),
        filters=st.lists(_FILTERS, min_size=1, max_size=2).map(tuple),
    )
    async def test_filters_mean_on_every_document_what_the_model_says(
        self,
        store: MetadataStore,
        documents: list[dict[str, Any]],
        filters: tuple[Filter, ...],
    ) -> None:
        account_id = secrets.token_hex(16)
        stored = []
        for number, document in enumerate(documents):
            media = replace(make_media(f"m{number}", account_id), document=document)
            await store.insert_media(media)
            stored.append(media)
        query = MediaQuery(100, filters=filters)
        found = [each.id for each in await store.list_media(account_id, query)]
        listed = await store.list_documents(account_id, query)
        assert [each.id for each in listed] == found
        assert found == [each.id for each in stored if matches(each, query)]

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (_equals("n", "5"), "i"),
            (_equals("n", "5.0"), "f"),
            (_equals("n", "true"), "t"),
            (_equals("n", "1"), ""),
            (_equals("n", ""), "mn"),
            (_equals("n", "5", "true", "x"), "ist"),
            (_equals("n.k", "v"), "o"),
            (_equals("n", '{"k":"v"}'), ""),
            (_equals("n", "X"), ""),
            (_equals("language", "EN-us"), "i"),
            (_equals("id", "i", "s"), "is"),
            (Filter(("n",), FilterOperator.NOT_EQUALS, ("5", "")), "foqst"),
            (Filter(("n",), FilterOperator.HAS_KEY), "finoqst"),
            (Filter(("n",), FilterOperator.KEY_MISSING), "m"),
            (Filter(("n",), FilterOperator.HAS_VALUE), "fiost"),
            (Filter(("n",), FilterOperator.VALUE_MISSING), "mnq"),
        ],
    )
    async def test_a_filter_finds(
        self, store: MetadataStore, condition: Filter, expected: str
    ) -> None:
        values = {"i": 5, "f": 5.0, "t": True, "s": "x", "o": {"k": "v"}, "q": [], "n": None}
        for media_id, value in values.items():
            language = {"language": "en-US"} if media_id == "i" else {}
            await store.insert_media(make_media(media_id, n=value, **language))
        await store.insert_media(make_media("m"))
        found = await store.list_media(ACCOUNT, MediaQuery(99, filters=(condition,)))
        assert "".join(each.id for each in found) == "".join(sorted(expected))

    async def test_pages_are_full_after_filtering(self, store: MetadataStore) -> None:
        for number in range(30):
            await store.insert_media(make_media(f"{number:02}", third=number % 3 == 0))
        query = MediaQuery(4, start="05", filters=(_equals("third", "true"),))
        found = await store.list_media(ACCOUNT, query)
        assert [each.id for each in found] == ["06", "09", "12", "15"]
