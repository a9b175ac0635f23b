"""ListMedia's request as a MediaQuery."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kazoo_media.documents.violations import required
from kazoo_media.errors import ValidationError
from kazoo_media.model import Filter, FilterOperator, MediaQuery
from kazoo_media.rpc.convert import SOURCES
from kazoo_media.rpc.fields import enum_value
from kazoo_media.rpc.paging import rows_of, start_of
from kazoo_media.v1 import media_service_pb2

_MediaFilter = media_service_pb2.MediaFilter
_OPERATORS: Mapping[int, FilterOperator] = {
    _MediaFilter.OPERATOR_EQUALS: FilterOperator.EQUALS,
    _MediaFilter.OPERATOR_NOT_EQUALS: FilterOperator.NOT_EQUALS,
    _MediaFilter.OPERATOR_HAS_KEY: FilterOperator.HAS_KEY,
    _MediaFilter.OPERATOR_KEY_MISSING: FilterOperator.KEY_MISSING,
    _MediaFilter.OPERATOR_HAS_VALUE: FilterOperator.HAS_VALUE,
    _MediaFilter.OPERATOR_VALUE_MISSING: FilterOperator.VALUE_MISSING,
}
_COMPARING = (FilterOperator.EQUALS, FilterOperator.NOT_EQUALS)


def query_of(request: media_service_pb2.ListMediaRequest) -> MediaQuery:
    """Return the query that a request describes.

    Raises:
        ValidationError: a filter or the page size breaks a rule.
        BadRequestError: this service did not issue the page token.
    """
    return MediaQuery(
        limit=rows_of(request.page_size),
        start=start_of(request.page_token) or None,
        descending=request.descending,
        deleted=request.deleted,
        filters=_filters(request),
        created_from_ms=_ms_at_or_after(_bound(request, "created_from")),
        created_to_ms=_ms_at_or_before(_bound(request, "created_to")),
        modified_from_ms=_ms_at_or_after(_bound(request, "modified_from")),
        modified_to_ms=_ms_at_or_before(_bound(request, "modified_to")),
    )


def _bound(message: Message, field: str) -> Timestamp | None:
    return getattr(message, field) if message.HasField(field) else None


def _filters(request: media_service_pb2.ListMediaRequest) -> tuple[Filter, ...]:
    filters = [_filter(each, f"filters[{n}]") for n, each in enumerate(request.filters)]
    if request.language:
        filters.append(Filter(("language",), FilterOperator.EQUALS, (request.language,)))
    if request.media_source:
        source = enum_value("media_source", request.media_source, SOURCES)
        filters.append(Filter(("media_source",), FilterOperator.EQUALS, (source,)))
    return tuple(filters)


def _filter(message: media_service_pb2.MediaFilter, field: str) -> Filter:
    operator = enum_value(f"{field}.operator", message.operator, _OPERATORS)
    missing = [] if message.key else ["key"]
    if operator in _COMPARING and not message.values:
        missing.append("values")
    if missing:
        raise ValidationError([required(f"{field}.{each}") for each in missing])
    return Filter(tuple(message.key.split(".")), operator, tuple(message.values))


def _ms_at_or_after(time: Timestamp | None) -> int | None:
    return None if time is None else time.seconds * 1000 - (-time.nanos // 1_000_000)


def _ms_at_or_before(time: Timestamp | None) -> int | None:
    return None if time is None else time.seconds * 1000 + time.nanos // 1_000_000
