"""The reference meaning of a media query, with which every driver's SQL has to agree."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from kazoo_media.model import Filter, FilterOperator, Media, MediaQuery

_MISSING = object()


def matches(media: Media, query: MediaQuery) -> bool:
    """Return whether a media is in the range of ids and times of a query and passes its filters."""
    return (
        _within_ids(media.id, query)
        and (query.with_recordings or not media.is_recording)
        and _within(media.created_ms, query.created_from_ms, query.created_to_ms)
        and _within(media.modified_ms, query.modified_from_ms, query.modified_to_ms)
        and all(passes(media, each) for each in query.filters)
    )


def passes(media: Media, condition: Filter) -> bool:
    """Return whether a media passes one filter."""
    value = _value_at(media, condition.path)
    match condition.operator:
        case FilterOperator.EQUALS:
            return _equals_any(value, condition)
        case FilterOperator.NOT_EQUALS:
            return not _equals_any(value, condition)
        case FilterOperator.HAS_KEY:
            return value is not _MISSING
        case FilterOperator.KEY_MISSING:
            return value is _MISSING
        case FilterOperator.HAS_VALUE:
            return _has_value(value)
        case FilterOperator.VALUE_MISSING:
            return not _has_value(value)


def _within_ids(media_id: str, query: MediaQuery) -> bool:
    if query.start is None:
        return True
    return media_id <= query.start if query.descending else media_id >= query.start


def _within(value: int, lowest: int | None, highest: int | None) -> bool:
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _value_at(media: Media, path: tuple[str, ...]) -> object:
    value: object = media.id if path[0] == "id" else media.document.get(path[0], _MISSING)
    for key in path[1:]:
        if not isinstance(value, Mapping):
            return _MISSING
        value = value.get(key, _MISSING)
    return value


def _equals_any(value: object, condition: Filter) -> bool:
    text = _text(value)
    if text is None:
        return False
    if condition.ignores_case:
        return text.lower() in {each.lower() for each in condition.values}
    return text in condition.values


def _text(value: object) -> str | None:
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    return None


def _has_value(value: object) -> bool:
    if value is _MISSING or value is None:
        return False
    if isinstance(value, bool):
        return True
    return value not in ("", "0", 0, [], {})
