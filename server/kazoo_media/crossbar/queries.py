"""Filters and paging: Kazoo's query parameters as a MediaQuery.

Source: Kazoo crossbar_filter.erl, crossbar_doc.erl.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import orjson

from kazoo_media.crossbar.identifiers import decoded, start_key
from kazoo_media.crossbar.operations import Resource
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.violations import wrong_type
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.model import Filter, FilterOperator, MediaQuery, unix_time_ms

GREGORIAN_UNIX_OFFSET_S = 62_167_219_200
"""Seconds from the year 0, Kazoo's epoch, to 1970."""

_KEY_OPERATORS = {
    "has_key": FilterOperator.HAS_KEY,
    "key_missing": FilterOperator.KEY_MISSING,
    "has_value": FilterOperator.HAS_VALUE,
    "value_missing": FilterOperator.VALUE_MISSING,
    "missing_value": FilterOperator.VALUE_MISSING,
}
_VALUE_OPERATORS = (
    ("filter_not_", FilterOperator.NOT_EQUALS),
    ("filter_", FilterOperator.EQUALS),
)
_SECONDS = re.compile(r"-?\d{1,15}", re.ASCII)
_PAGE_SIZE = re.compile(r"0*([1-9]\d*)", re.ASCII)
_LARGEST_PAGE = 999_999_999
_RECORDINGS_MS = 31 * 86_400_000


@dataclass(frozen=True, slots=True)
class Paging:
    """The requested part of a list.

    Attributes:
        size: Maximum number of rows; None: all rows, and no paging keys in the envelope.
        start: The decoded start key; "": none.
        sent_start: The start key as the client sent it; "": none.
    """

    size: int | None
    start: str
    sent_start: str


def paging_of(request: Request, default_size: int) -> Paging:
    """Return the paging that a request asks for; there is none in v1, as in Kazoo.

    An invalid page size is ignored.

    Raises:
        ValidationError: the start key cannot be an id.
    """
    if request.is_v1 or request.parameter("paginate") not in {"", "true"}:
        return Paging(None, "", "")
    sent_size, sent_start = request.parameter("page_size"), request.parameter("start_key")
    return Paging(_page_size(sent_size, default_size), start_key(sent_start), sent_start)


def _page_size(sent: str, default_size: int) -> int:
    found = _PAGE_SIZE.fullmatch(sent)
    if found is None:
        return default_size
    digits = found[1]
    return int(digits) if len(digits) < len(str(_LARGEST_PAGE)) else _LARGEST_PAGE


def media_query(request: Request, start: str) -> MediaQuery:
    """Return the query with all filters of a request; the caller sets its limit.

    Raises:
        ValidationError: a time is not a number, or an id is invalid.
    """
    return MediaQuery(
        limit=1,
        start=start or None,
        descending=request.parameter("descending") == "true",
        deleted=request.parameter("deleted") == "true",
        filters=tuple(_filters(request)),
        created_from_ms=max(_times(request, "created_from"), default=None),
        created_to_ms=min(_times(request, "created_to"), default=None),
        modified_from_ms=max(_times(request, "modified_from"), default=None),
        modified_to_ms=min(_times(request, "modified_to"), default=None),
        with_recordings=False,
    )


def recordings_query(request: Request) -> MediaQuery:
    """Return the query for recordings with all filters of a request; the caller sets its limit.

    Without `created_from` it begins 31 days before its end, as in Kazoo.

    Raises:
        ValidationError: a time is not a number, or an id is invalid.
    """
    query = media_query(request, "")
    query = replace(query, with_recordings=True, descending=False, deleted=False)
    if request.target.resource is Resource.USER_RECORDINGS:
        user = Filter(("owner_id",), FilterOperator.EQUALS, (decoded(request.target.name),))
        query = replace(query, filters=(*query.filters, user))
    if query.created_from_ms is None:
        end_ms = unix_time_ms() if query.created_to_ms is None else query.created_to_ms
        query = replace(query, created_from_ms=end_ms - _RECORDINGS_MS)
    return query


def written_place(place: tuple[int, str]) -> str:
    """Return the start key of a place in a list of recordings."""
    created_ms, recording_id = place
    return f"{created_ms}-{recording_id}"


def place_of(start: str) -> tuple[int, str] | None:
    """Return the place that a start key names; None if it is "".

    Raises:
        ValidationError: it is not a `next_start_key`.
    """
    if not start:
        return None
    created_ms, _, recording_id = start.partition("-")
    if not _SECONDS.fullmatch(created_ms):
        text = "must be the next_start_key of another page"
        raise ValidationError([Violation("start_key", "invalid", text, {})])
    return int(created_ms), recording_id


def _filters(request: Request) -> Iterator[Filter]:
    for name, values in request.query.items():
        operator = _KEY_OPERATORS.get(name)
        if operator is not None:
            yield from (Filter(_path(value), operator) for value in values if value)
            continue
        for prefix, operator in _VALUE_OPERATORS:
            if name.startswith(prefix) and name != prefix:
                path = _path(name.removeprefix(prefix))
                yield from (Filter(path, operator, _alternatives(path, value)) for value in values)
                break


def _path(key: str) -> tuple[str, ...]:
    return tuple(key.split("."))


def _alternatives(path: tuple[str, ...], value: str) -> tuple[str, ...]:
    """Return the texts of which one must match: the elements of a JSON array, or the value."""
    texts = [value]
    if value.startswith("["):
        # Not an array, but a text that starts with a bracket; or it is too deep to be written.
        with contextlib.suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
            texts = [_text(each) for each in orjson.loads(value)] or [value]
    if path == ("id",):
        texts = [decoded(each) for each in texts]
    return tuple(texts)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _times(request: Request, name: str) -> Iterator[int]:
    """Yield bounds in Unix milliseconds; an upper bound includes its whole second."""
    for value in request.query.get(name, ()):
        if not _SECONDS.fullmatch(value):
            raise ValidationError([wrong_type(name, "integer", value)])
        milliseconds = (int(value) - GREGORIAN_UNIX_OFFSET_S) * 1000
        yield milliseconds + 999 if name.endswith("_to") else milliseconds
