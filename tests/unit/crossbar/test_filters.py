"""Every filter, as it comes over the wire, means on SQLite what the plain model says."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_media.crossbar.operations import Resource, Target
from kazoo_media.crossbar.queries import GREGORIAN_UNIX_OFFSET_S, media_query
from kazoo_media.crossbar.requests import Request
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Filter, FilterOperator, Media
from tests.support.matching import passes

_KEYS = st.sampled_from(["name", "language", "n", "tts", "voice", "ż", "a b", "x+y", "%41", "&="])
_WORDS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "true",
        "null",
        "en-US",
        "EN-us",
        "ÅÉ-x",
        "åé-X",
        "a b",
        "+",
        "%2F",
        "[x",
        "[]",
        "&x=1",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.just(1.5) | _WORDS
_DOCUMENTS = st.dictionaries(
    _KEYS, _SCALARS | st.lists(_SCALARS, max_size=2) | st.dictionaries(_KEYS, _SCALARS), max_size=5
)
_VALUE_WORDS = {
    "filter_": FilterOperator.EQUALS,
    "filter_not_": FilterOperator.NOT_EQUALS,
}
_KEY_WORDS = {
    "has_key": FilterOperator.HAS_KEY,
    "key_missing": FilterOperator.KEY_MISSING,
    "has_value": FilterOperator.HAS_VALUE,
    "value_missing": FilterOperator.VALUE_MISSING,
    "missing_value": FilterOperator.VALUE_MISSING,
}


@dataclass(frozen=True)
class _Wish:
    """A filter as a client writes it, and as the model has it."""

    sent: str
    meant: Filter


def _escaped(text: str, plus: bool) -> str:  # noqa: FBT001 - drawn
    return quote_plus(text) if plus else quote(text, safe="")


@st.composite
def _wishes(draw: st.DrawFn) -> _Wish:
    path = tuple(draw(st.lists(_KEYS, min_size=1, max_size=2)))
    key, plus = ".".join(path), draw(st.booleans())
    if draw(st.booleans()):
        word = draw(st.sampled_from(sorted(_KEY_WORDS)))
        return _Wish(f"{word}={_escaped(key, plus)}", Filter(path, _KEY_WORDS[word]))
    word = draw(st.sampled_from(sorted(_VALUE_WORDS)))
    if draw(st.booleans()):
        values = draw(st.lists(_SCALARS, min_size=1, max_size=3))
        text, meant = orjson.dumps(values).decode(), tuple(_text(each) for each in values)
    else:
        text = draw(_WORDS)
        meant = (text,)
    name = _escaped(word + key, plus)
    return _Wish(f"{name}={_escaped(text, plus)}", Filter(path, _VALUE_WORDS[word], meant))


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_BOUNDS = ("created_from", "created_to", "modified_from", "modified_to")
_TIMES = st.integers(0, 9)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteMetadataStore]:
    opened = await SqliteMetadataStore.open(tmp_path / "metadata.sqlite", shared=False)
    yield opened
    await opened.aclose()


def _request(query: str) -> Request:
    headers = {"x-rest-uri": f"/v2/media?{query}", "x-rest-method": "GET"}
    return Request.of(Target(Resource.MEDIA), headers, "id")


@settings(max_examples=60)
@given(
    documents=st.lists(st.tuples(_DOCUMENTS, _TIMES, _TIMES), min_size=1, max_size=6),
    wishes=st.lists(_wishes(), max_size=4),
    bounds=st.lists(st.tuples(st.sampled_from(_BOUNDS), _TIMES), max_size=3),
)
async def test_a_list_holds_what_all_its_filters_pass(
    store: SqliteMetadataStore,
    documents: list[tuple[dict[str, Any], int, int]],
    wishes: list[_Wish],
    bounds: list[tuple[str, int]],
) -> None:
    account = secrets.token_hex(16)
    shelf = [
        Media(account, f"m{number}", document, "1-x", created * 1000 + number, modified * 1000)
        for number, (document, created, modified) in enumerate(documents)
    ]
    for media in shelf:
        await store.insert_media(media)
    sent = [wish.sent for wish in wishes]
    sent += [f"{name}={time_s + GREGORIAN_UNIX_OFFSET_S}" for name, time_s in bounds]
    query = media_query(_request("&".join(sent)), "")
    found = await store.list_media(account, replace(query, limit=100))
    assert [media.id for media in found] == [
        media.id
        for media in shelf
        if all(passes(media, wish.meant) for wish in wishes)
        and all(_is_within(media, *bound) for bound in bounds)
    ]


def _is_within(media: Media, name: str, time_s: int) -> bool:
    value_s = (media.created_ms if name.startswith("created") else media.modified_ms) // 1000
    return value_s >= time_s if name.endswith("from") else value_s <= time_s
